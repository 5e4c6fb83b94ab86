/**
 * Certificates per second, and CPU time for each, of ACME clients with the same CA: a fresh Pebble that neither
 * sleeps nor refuses nonces, or the embedded CA. Real validation by http-01.
 *
 *     npm run bench:issue [-- [NAMES [SECONDS [pebble|embedded [CONTENDER …]]]]]
 *
 * Default: 1000 names, at most 90 s each, Pebble. A contender that needs longer is measured by what it has by then.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startChallengeDns, startPebble } from '../src/acme/pebble.testing.ts';
import { binary, eventually, freePorts } from '../test/latchkey.testing.ts';
import { type Contender, contenders, type Race } from './contenders.ts';
import { cpuOfTree } from './peers.ts';

const [names = '1000', seconds = '90', target = 'pebble', ...wanted] = process.argv.slice(2);

interface Result {
  readonly obtained: number;
  readonly seconds: number;
  /** CPU seconds. */
  readonly cpu: number;
  readonly caCpu: number;
}

interface Ca extends AsyncDisposable {
  readonly directoryUrl: string;
  readonly caFile: string;
}

console.log(
  `Node.js ${process.version}, ${cpus().length} x ${cpus()[0]?.model}; ${target}, ${names} names\n`,
);
console.log(
  '| client | certificates per second | CPU of the client, ms per certificate | CPU of the CA, ms per certificate | obtained |\n|---|---|---|---|---|',
);
/** Removed at the end only: ext4 makes whoever creates files pay for what was deleted shortly before. */
const folders: string[] = [];
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const contender of contenders) {
  if (wanted.length > 0 && !wanted.some((name) => contender.name.toLowerCase().startsWith(name))) continue;
  const title = `${contender.name} ${contender.version}`;
  if (contender.missing !== undefined) {
    console.log(`| ${title} | ${contender.missing} | | | |`);
    continue;
  }
  const { obtained, seconds: spent, cpu, caCpu } = await race(contender);
  const each = (cpuSeconds: number) => ((cpuSeconds * 1000) / obtained).toFixed(1);
  console.log(
    `| ${title} | ${(obtained / spent).toFixed(1)} | ${each(cpu)} | ${each(caCpu)} | ${obtained} in ${spent.toFixed(1)} s |`,
  );
}

async function race(contender: Contender): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
  folders.push(dir);
  chmodSync(dir, 0o755);
  const [httpPort = 0, httpsPort = 0, caPort = 0] = await freePorts(3);
  await using dns = await startChallengeDns();
  await using ca =
    target === 'embedded'
      ? await startEmbedded(dir, caPort, httpPort, dns.resolver)
      : await startFreshPebble(dir, httpPort, dns.resolver);
  const all = Array.from({ length: Number(names) }, (_, index) => `host-${index}.bench.example`);
  const field: Race = {
    dir,
    names: all,
    missing: new Set(all),
    directoryUrl: ca.directoryUrl,
    caFile: ca.caFile,
    httpPort,
    httpsPort,
  };
  // The CA, its DNS server and whoever else this process has started.
  const before = cpuOfTree(process.pid) - ownCpu();
  const [command, ...args] = contender.prepare(field);
  const began = performance.now();
  const child = spawn(command, args, { stdio: 'ignore' });
  try {
    const { obtained, at } = await watch(contender, field, began);
    const cpu = cpuOfTree(child.pid ?? 0) / 1000;
    const total = (cpuOfTree(process.pid) - ownCpu() - before) / 1000;
    return { obtained, seconds: (at - began) / 1000, cpu, caCpu: total - cpu };
  } finally {
    await end(child);
  }
}

/** Until it has all, or the time is over. */
async function watch(
  contender: Contender,
  field: Race,
  began: number,
): Promise<{ obtained: number; at: number }> {
  for (;;) {
    const obtained = contender.count(field);
    const at = performance.now();
    if (obtained >= field.names.length || at - began > Number(seconds) * 1000) return { obtained, at };
    await delay(250);
  }
}

async function startFreshPebble(dir: string, httpPort: number, resolver: string): Promise<Ca> {
  const pebble = await startPebble({ httpPort, resolver, env: { PEBBLE_WFE_NONCEREJECT: '0' } });
  const caFile = join(dir, 'pebble.pem');
  writeFileSync(caFile, pebble.ca);
  return {
    directoryUrl: pebble.directoryUrl,
    caFile,
    [Symbol.asyncDispose]: () => pebble[Symbol.asyncDispose](),
  };
}

async function startEmbedded(dir: string, port: number, httpPort: number, resolver: string): Promise<Ca> {
  const folder = join(dir, 'ca');
  mkdirSync(folder);
  const listen = `127.0.0.1:${port}`;
  const args = ['--dir', folder, '--listen', listen, '--http-port', `${httpPort}`, '--resolver', resolver];
  const child = spawn(binary, ['ca', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const directoryUrl = await eventually('the CA to serve', () => /ACME directory: (\S+)/.exec(said)?.[1]);
  return { directoryUrl, caFile: join(folder, 'root.pem'), [Symbol.asyncDispose]: () => end(child) };
}

/** In ms, as cpuOfTree(). */
function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(late);
}
