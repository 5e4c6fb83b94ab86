/**
 * Server CPU per full TLS 1.3 handshake with one request, beside nginx and Apache: same P-256 certificate, one
 * worker each, servers on one core and the load on another, rounds interleaved.
 *
 *     npm run bench:handshake [-- ROUNDS SECONDS WARM-UP]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, run } from '../test/latchkey.testing.ts';
import { apache, handshakeOf, latchkey, median, nginx, RunningPeer, type Peer } from './peers.ts';
import { LOAD_CORE, medianRatio, SERVER_CORE, takeTurns } from './rounds.ts';

const CLIENTS = 8;
const [rounds = 7, seconds = 4, warmUp = 25] = process.argv.slice(2).map(Number);

/**
 * Handshakes done in `time` seconds, each with one request and without resumption, by openssl s_time, several at
 * once: a server that sleeps between connections would be measured waking up.
 */
async function load(port: number, time: number): Promise<number> {
  const { stdout, stderr } = await run('taskset', [
    '-c',
    `${LOAD_CORE}`,
    'ab',
    '-q',
    '-t',
    `${time}`,
    '-n',
    '10000000',
    '-c',
    `${CLIENTS}`,
    `https://127.0.0.1:${port}/index.html`,
  ]);
  const count = Number(/Complete requests: +(\d+)/.exec(stdout)?.[1]);
  if (!(count > 0) || !/Failed requests: +0/.test(stdout)) throw new Error(stdout + stderr);
  return count;
}

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

const dir = mkdtempSync(join(tmpdir(), 'latchkey-bench-'));
const pair = issuedPair(dir);
const peers: readonly Peer[] = [nginx, apache, latchkey].filter((peer) => !peer.missing);
const ports = await freePorts(peers.length);
const running: RunningPeer[] = [];
try {
  for (const [index, peer] of peers.entries()) {
    const port = ports[index] ?? 0;
    running.push(
      await RunningPeer.start(peer, { dir: mkdtempSync(join(dir, 'peer-')), port, ...pair }, SERVER_CORE),
    );
    console.log(`${peer.name} ${peer.version}: ${handshakeOf(port)}`);
    // A JIT compiles for some ten thousand handshakes until it has what it wants; servers run longer than that.
    await load(port, warmUp);
  }
  const contestants = running.map((server) => ({
    name: server.peer.name,
    server,
    load: (time: number) => load(server.place.port, time),
  }));
  const costs = await takeTurns(contestants, { rounds, seconds });
  const own = costs.get(latchkey.name) ?? [];
  console.log(
    '\n| server | ms CPU per handshake (median) | Latchkey is (median of the rounds) |\n|---|---|---|',
  );
  for (const { name, version } of peers) {
    const theirs = costs.get(name) ?? [];
    const ratio = medianRatio(own, theirs).toFixed(2);
    console.log(`| ${name} ${version} | ${median(theirs).toFixed(3)} | ${ratio} x |`);
  }
} finally {
  await Promise.all(running.map((server) => server[Symbol.asyncDispose]()));
  rmSync(dir, { recursive: true, force: true });
}
