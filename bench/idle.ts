/**
 * Memory that an idle TLS connection takes, beside the peers: as many are opened as is said, each asks once over
 * HTTP/1.1 and waits. Resident memory of all processes of the server (PSS), after less before. Meanwhile the server
 * has to serve another client, and then it is said what it keeps once all of them are gone.
 *
 *     npm run bench:idle [-- CONNECTIONS]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { getSecure } from '../test/faults/faults.testing.ts';
import { freePorts, selfSigned } from '../test/latchkey.testing.ts';
import { apache, latchkey, nginx, RunningPeer, type Peer } from './peers.ts';
import { proxies } from './proxies.ts';
import { SERVER_CORE } from './rounds.ts';

const [connections = 10_000] = process.argv.slice(2).map(Number);
/** ms until what is freed after a handshake is freed. */
const SETTLING = 5000;
const client = fileURLToPath(new URL('idlers.ts', import.meta.url));

/** Idle connections are kept for an hour, and there may be so many. */
function keeping(peer: Peer, edit: (text: string) => string, file: string): Peer {
  return {
    ...peer,
    prepare(place) {
      const command = peer.prepare(place);
      const path = join(place.dir, file);
      writeFileSync(path, edit(readFileSync(path, 'utf8')));
      return command;
    },
  };
}

const caddy = proxies(9).filter(({ name }) => name === 'Caddy');
const peers = [
  keeping(
    nginx,
    (text) =>
      text
        .replace('worker_connections 4096', 'worker_connections 30000')
        .replace('access_log off;', 'access_log off; keepalive_timeout 3600;'),
    'nginx.conf',
  ),
  keeping(apache, (text) => `${text}KeepAliveTimeout 3600\nAsyncRequestWorkerFactor 2000\n`, 'apache.conf'),
  ...caddy.map((peer) =>
    keeping(peer, (text) => text.replace(/ {2}reverse_proxy .*\n/, '  respond ok\n'), 'Caddyfile'),
  ),
  keeping(latchkey, (text) => `KeepAliveTimeout 3600\n${text}`, 'latchkey.conf'),
].filter((peer) => !peer.missing);

/** Fulfilled with how to end them, once all are open. */
async function idlers({ peer, place: { port } }: RunningPeer): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [client, `${port}`, `${connections}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ready = new Promise<boolean>((resolve) => child.stdout.once('data', () => resolve(true)));
  if (!(await Promise.race([ready, ended.then(() => false)]))) throw new Error(`${peer.name} closed some`);
  return async () => {
    child.stdin.end();
    await ended;
  };
}

async function servesAnother({ peer, place: { port } }: RunningPeer): Promise<void> {
  const { status } = await getSecure(port, 'localhost', '/index.html');
  if (status !== 200) throw new Error(`${peer.name} serves nobody else (${status})`);
}

const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
const pair = selfSigned(dir, 'localhost');
const rows: string[] = [];
try {
  for (const peer of peers) {
    const [port = 0] = await freePorts(1);
    const place = { dir: mkdtempSync(join(dir, 'peer-')), port, ...pair };
    await using server = await RunningPeer.start(peer, place, SERVER_CORE);
    await delay(SETTLING);
    const before = server.memory();
    const end = await idlers(server);
    await delay(SETTLING);
    const each = ((server.memory() - before) * 1024) / connections;
    const all = server.memory();
    await servesAnother(server);
    await end();
    await delay(SETTLING);
    const left = server.memory() - before;
    rows.push(
      `| ${peer.name} ${peer.version} | ${each.toFixed(1)} KB | ${all.toFixed(0)} MB | ${left.toFixed(0)} MB |`,
    );
  }
  console.log(
    `| server | for each of ${connections} idle TLS connections | all in all | kept when they are gone |\n|---|---|---|---|`,
  );
  console.log(rows.join('\n'));
} finally {
  rmSync(dir, { recursive: true, force: true });
}
