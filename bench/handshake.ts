/**
 * Server CPU per full TLS 1.3 handshake with one request, beside nginx and Apache: same P-256 certificate, one
 * worker each, servers on one core and the load on another, rounds interleaved, several processes of each server one
 * after another (those of one program differ).
 *
 *     npm run bench:handshake [-- ROUNDS SECONDS WARM-UP PROCESSES openssl|ab]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, run } from '../test/latchkey.testing.ts';
import { apache, handshakeOf, latchkey, median, nginx, RunningPeer, type Peer } from './peers.ts';
import { LOAD_CORE, medianRatio, SERVER_CORE, takeTurns } from './rounds.ts';

const CLIENTS = 8;
const [rounds = 5, seconds = 4, warmUp = 25, processes = 2] = process.argv.slice(2, 6).map(Number);
const by = process.argv[6] ?? 'openssl';

/**
 * Handshakes done in `time` seconds, each with one request and without resumption, several at once: a server that
 * sleeps between connections is measured waking up.
 */
type Load = (port: number, time: number) => Promise<number>;

/** One process for all clients, which costs less, so that the server has little time to sleep. */
const byAb: Load = async (port, time) => {
  const clients = ['-c', `${CLIENTS}`, '-t', `${time}`, '-n', '10000000'];
  const command = ['ab', '-q', ...clients, `https://127.0.0.1:${port}/index.html`];
  const { stdout, stderr } = await run('taskset', ['-c', `${LOAD_CORE}`, ...command]);
  const done = Number(/^Complete requests: +(\d+)/m.exec(stdout)?.[1]);
  const isWhole = /^Failed requests: +0$/m.test(stdout) && /^SSL\/TLS Protocol: +TLSv1\.3,/m.test(stdout);
  if (!(done > 0) || !isWhole) throw new Error(`ab could not ask port ${port}: ${stdout}${stderr}`);
  return done;
};

/** Eight processes, which keep their core busy and let the server sleep for half of the time. */
const byOpenssl: Load = async (port, time) => {
  const request = ['-new', '-www', '/index.html', '-time', `${time}`];
  const command = ['openssl', 's_time', '-connect', `127.0.0.1:${port}`, ...request];
  const clients = Array.from({ length: CLIENTS }, () => run('taskset', ['-c', `${LOAD_CORE}`, ...command]));
  const counts = (await Promise.all(clients)).map(({ stdout }) =>
    Number(/(\d+) connections in \d+ real/.exec(stdout)?.[1]),
  );
  const sum = counts.reduce((total, count) => total + count, 0);
  if (!(sum > 0)) throw new Error(`openssl s_time could not connect to port ${port}`);
  return sum;
};

/** A P-256 leaf with an intermediate, as CAs give them: without one, OpenSSL builds a chain at each handshake. */
function issuedPair(folder: string): { cert: string; key: string } {
  const sh = (script: string) => execFileSync('sh', ['-ec', script], { cwd: folder, stdio: 'ignore' });
  const request = 'openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';
  sh(`${request} -x509 -keyout ca.key -out ca.crt -days 30 -subj /CN=root
      ${request} -keyout int.key -out int.csr -subj /CN=intermediate
      printf basicConstraints=critical,CA:TRUE >int.ext
      openssl x509 -req -in int.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile int.ext -out int.crt
      ${request} -keyout leaf.key -out leaf.csr -subj /CN=localhost
      printf subjectAltName=DNS:localhost >leaf.ext
      openssl x509 -req -in leaf.csr -CA int.crt -CAkey int.key -CAcreateserial -days 30 -extfile leaf.ext -out leaf.crt
      cat leaf.crt int.crt >chain.crt`);
  return { cert: join(folder, 'chain.crt'), key: join(folder, 'leaf.key') };
}

const peers: readonly Peer[] = [nginx, apache, latchkey].filter((peer) => !peer.missing);
const load = by === 'ab' ? byAb : byOpenssl;
const costs = new Map<string, number[]>(peers.map(({ name }) => [name, []]));

/** Of one process of each server. */
async function measure(dir: string, pair: { readonly cert: string; readonly key: string }): Promise<void> {
  const ports = await freePorts(peers.length);
  await using running = new AsyncDisposableStack();
  const contestants = [];
  for (const [index, peer] of peers.entries()) {
    const port = ports[index] ?? 0;
    const place = { dir: mkdtempSync(join(dir, 'peer-')), port, ...pair };
    const server = running.use(await RunningPeer.start(peer, place, SERVER_CORE));
    console.log(`${peer.name} ${peer.version}: ${handshakeOf(port)}`);
    // A JIT compiles for some ten thousand handshakes until it has what it wants; servers run longer than that.
    await load(port, warmUp);
    contestants.push({ name: peer.name, server, load: (time: number) => load(port, time) });
  }
  for (const [name, its] of await takeTurns(contestants, { rounds, seconds })) costs.get(name)?.push(...its);
}

const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
try {
  const pair = issuedPair(dir);
  for (let process = 1; process <= processes; process++) await measure(dir, pair);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
const own = costs.get(latchkey.name) ?? [];
console.log(
  '\n| server | ms CPU per handshake (median) | Latchkey is (median of the rounds) |\n|---|---|---|',
);
for (const { name, version } of peers) {
  const theirs = costs.get(name) ?? [];
  const ratio = medianRatio(own, theirs).toFixed(2);
  console.log(`| ${name} ${version} | ${median(theirs).toFixed(3)} | ${ratio} x |`);
}
