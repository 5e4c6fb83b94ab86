/**
 * Requests per CPU-second through the reverse proxy: 1 KB and 1 MB, over HTTP/1.1 and HTTP/2, beside nginx, Apache
 * and Caddy. One worker each, pinned to one core; the clients and the backend are on the other. Rounds take turns.
 *
 *     npm run bench:proxy [-- ROUNDS SECONDS]
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, freePorts, run, selfSigned } from '../test/latchkey.testing.ts';
import { median, RunningPeer } from './peers.ts';
import { backendConfig, proxies } from './proxies.ts';
import { LOAD_CORE, SERVER_CORE } from './rounds.ts';

const [rounds = 5, seconds = 4] = process.argv.slice(2).map(Number);
/** Seconds of each kind before anything is counted: a JIT has to see what it is to compile. */
const WARM_UP = 5;
const client = fileURLToPath(new URL('load.ts', import.meta.url));

const kinds = [
  { name: '1 KB, HTTP/1.1', protocol: 'h1', file: 'small.bin', atOnce: 32 },
  { name: '1 KB, HTTP/2', protocol: 'h2', file: 'small.bin', atOnce: 64 },
  { name: '1 MB, HTTP/1.1', protocol: 'h1', file: 'large.bin', atOnce: 8 },
  { name: '1 MB, HTTP/2', protocol: 'h2', file: 'large.bin', atOnce: 8 },
] as const;
type Kind = (typeof kinds)[number];

async function load(
  { protocol, file, atOnce }: Kind,
  { peer, place: { port } }: RunningPeer,
  time: number,
): Promise<number> {
  const url = `https://127.0.0.1:${port}/${file}`;
  const command = [process.execPath, client, protocol, url, `${time}`, `${atOnce}`];
  const { stdout, stderr } = await run('taskset', ['-c', `${LOAD_CORE}`, ...command]);
  const done = Number(stdout);
  if (!(done > 0)) throw new Error(`no answer from ${peer.name}: ${stderr}`);
  return done;
}

async function startBackend(dir: string, port: number): Promise<AsyncDisposable> {
  mkdirSync(join(dir, 'htdocs'));
  writeFileSync(join(dir, 'htdocs/small.bin'), Buffer.alloc(1024, 'x'));
  writeFileSync(join(dir, 'htdocs/large.bin'), Buffer.alloc(1024 * 1024, 'x'));
  writeFileSync(join(dir, 'htdocs/index.html'), 'ok');
  writeFileSync(join(dir, 'backend.conf'), backendConfig({ dir, port }));
  const command = ['-c', `${LOAD_CORE}`, 'nginx', '-c', join(dir, 'backend.conf'), '-p', dir];
  const child = spawn('taskset', command, { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await eventually('the backend', () => fetch(`http://127.0.0.1:${port}/`).then(({ ok }) => ok));
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
const pair = selfSigned(dir, 'localhost');
const [backendPort = 0, ...ports] = await freePorts(5);
const running: RunningPeer[] = [];
/** By server and kind: requests per CPU-second in each round. */
const results = new Map<string, number[]>();
try {
  await using _backend = await startBackend(dir, backendPort);
  for (const [index, peer] of proxies(backendPort).entries()) {
    const place = { dir: mkdtempSync(join(dir, 'peer-')), port: ports[index] ?? 0, ...pair };
    running.push(await RunningPeer.start(peer, place, SERVER_CORE));
  }
  for (const kind of kinds) {
    for (const server of running) await load(kind, server, WARM_UP);
    for (let round = 1; round <= rounds; round++) {
      for (const server of running) {
        const before = server.cpu();
        const done = await load(kind, server, seconds);
        const rate = (done / (server.cpu() - before)) * 1000;
        const key = `${server.peer.name} ${kind.name}`;
        results.set(key, [...(results.get(key) ?? []), rate]);
        console.log(`round ${round} ${kind.name} ${server.peer.name}: ${rate.toFixed(0)} per CPU-second`);
      }
    }
  }
  console.log(`\n| requests per CPU-second | ${kinds.map(({ name }) => name).join(' | ')} |`);
  console.log(`|---|${kinds.map(() => '---').join('|')}|`);
  for (const { peer } of running) {
    const cells = kinds.map(({ name }) => median(results.get(`${peer.name} ${name}`) ?? []).toFixed(0));
    console.log(`| ${peer.name} ${peer.version} | ${cells.join(' | ')} |`);
  }
} finally {
  for (const server of running) await server[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
}
