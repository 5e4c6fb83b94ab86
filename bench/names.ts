/**
 * Many names, each with a P-256 certificate of its own: start to first handshake, memory, server CPU per handshake
 * with one name, names by Zipf and uniformly drawn, and what a cold name costs. Writes names.svg.
 *
 *     npm run bench:names [-- NAMES SECONDS]
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { createFallbackCertificate } from '../src/pki/selfsigned.ts';
import { binary, freePorts } from '../test/latchkey.testing.ts';
import { caddy, haproxy, latchkey, nginx, Running, type Contestant, type Names } from './names-servers.ts';
import { bars } from './plot.ts';
import { LOAD_CORE, SERVER_CORE } from './rounds.ts';

const [count = 100_000, seconds = 20] = process.argv.slice(2).map(Number);
const CLIENTS = 8;
/** Names whose first handshake is timed. */
const SAMPLE = Math.min(1000, Math.floor(count / 4));

interface Figures {
  readonly server: string;
  readonly cold: number;
  readonly warm: number | undefined;
  readonly memory: readonly number[];
  /** ms CPU of a handshake: with one name, by Zipf, uniformly. */
  readonly cpu: readonly [one: number, zipf: number, uniform: number];
}

function nameOf(index: number): string {
  return `customer-${index}.example.org`;
}

async function writeNames(dir: string): Promise<void> {
  for (const folder of ['pairs', 'pems', 'logs']) mkdirSync(join(dir, folder));
  for (let index = 0; index < count; index++) {
    const name = nameOf(index);
    const { certPem, keyPem } = await createFallbackCertificate({ names: [name], now: Date.now() });
    writeFileSync(join(dir, `pairs/${name}.crt`), certPem);
    writeFileSync(join(dir, `pairs/${name}.key`), keyPem);
    writeFileSync(join(dir, `pems/${name}.pem`), certPem + keyPem);
  }
  const fallback = await createFallbackCertificate({ names: ['fallback.example'], now: Date.now() });
  writeFileSync(join(dir, 'fallback.crt'), fallback.certPem);
  writeFileSync(join(dir, 'fallback.key'), fallback.keyPem);
}

/** ms that a full handshake takes; rejects where another certificate is shown. */
async function handshake(port: number, name: string): Promise<number> {
  const began = performance.now();
  const socket = connect({ port, host: '127.0.0.1', servername: name, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    const time = performance.now() - began;
    const shown = socket.getPeerX509Certificate()?.subjectAltName;
    if (shown !== `DNS:${name}`) throw new Error(`${name} is shown ${shown}`);
    return time;
  } finally {
    socket.destroy();
  }
}

async function firstHandshake(port: number, name: string): Promise<void> {
  for (const end = performance.now() + 600_000; performance.now() < end; await delay(5)) {
    try {
      await handshake(port, name);
      return;
    } catch {
      // Not yet.
    }
  }
  throw new Error(`no handshake with ${name}`);
}

/** Server CPU in ms for each handshake with names of `draw`. */
async function cost(server: Running, port: number, draw: () => number): Promise<number> {
  const before = server.cpu();
  const end = performance.now() + seconds * 1000;
  let done = 0;
  const client = async () => {
    for (; performance.now() < end; done++) await handshake(port, nameOf(draw()));
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return (server.cpu() - before) / done;
}

const uniform = () => Math.floor(Math.random() * count);
/** Exponent 1, by the inverse of the harmonic sum's approximation. */
const zipf = () => Math.min(count - 1, Math.floor(count ** Math.random()) - 1);

/** A handshake with each of the names in turn, `CLIENTS` at a time. */
async function visit(port: number, names: readonly string[]): Promise<void> {
  const waiting = [...names];
  const client = async () => {
    for (let name; (name = waiting.pop()) !== undefined;) await handshake(port, name);
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

async function timed(names: readonly string[], work: (name: string) => Promise<unknown>): Promise<string> {
  const times: number[] = [];
  for (const name of names) {
    const began = performance.now();
    await work(name);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? Number.NaN).toFixed(1);
  return `median ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

async function started(contestant: Contestant, names: Names): Promise<{ server: Running; ms: number }> {
  const began = performance.now();
  const server = new Running(contestant.prepare(names), SERVER_CORE);
  await firstHandshake(names.port, nameOf(0));
  return { server, ms: performance.now() - began };
}

async function measure(contestant: Contestant, names: Names): Promise<Figures> {
  const { server, ms: cold } = await started(contestant, names);
  await using _server = server;
  const all = Array.from({ length: count }, (_, index) => nameOf(index));
  let running: Running | undefined = server;
  let warm: number | undefined;
  if (contestant === latchkey) {
    const fresh = all.slice(-SAMPLE);
    console.log(`the store by itself: ${await timed(all.slice(1, SAMPLE), (name) => askStore(names, name))}`);
    console.log(`a cold fetch:        ${await timed(fresh, (name) => handshake(names.port, name))}`);
    await visit(names.port, all);
    console.log(`memory with all names in the table: ${shownMemory(server.memory())}`);
    await server[Symbol.asyncDispose]();
    ({ server: running, ms: warm } = await started(contestant, names));
    await delay(5000);
    console.log(`a cold name (table): ${await timed(fresh, (name) => handshake(names.port, name))}`);
  }
  await using second = running;
  // A JIT compiles for some ten thousand handshakes.
  await cost(second, names.port, uniform);
  const one = await cost(second, names.port, () => 0);
  const byZipf = await cost(second, names.port, zipf);
  const cpu = [one, byZipf, await cost(second, names.port, uniform)] as const;
  return { server: `${contestant.name} ${contestant.version}`, cold, warm, memory: second.memory(), cpu };
}

async function askStore({ storePort }: Names, name: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${storePort}/certs/${name}`);
  await response.arrayBuffer();
}

function shownMemory(parts: readonly number[]): string {
  const sum = parts.reduce((total, part) => total + part, 0);
  return `${sum.toFixed(0)} MB (${parts.map((part) => part.toFixed(0)).join(' + ')})`;
}

const dir = mkdtempSync(join(tmpdir(), 'latchkey-names-'));
const figures: Figures[] = [];
try {
  console.log(`${count} names, Node.js ${process.version}, ${new Date().toISOString().slice(0, 10)}`);
  await writeNames(dir);
  const [storePort = 0] = await freePorts(1);
  const command = [
    binary,
    'store',
    '--dir',
    join(dir, 'pairs'),
    '--listen',
    `127.0.0.1:${storePort}`,
  ] as const;
  await using _store = new Running(command, LOAD_CORE);
  for (const contestant of [latchkey, nginx, haproxy, caddy].filter((one) => one.missing === undefined)) {
    const [port = 0] = await freePorts(1);
    const figure = await measure(contestant, { dir, port, storePort });
    figures.push(figure);
    console.log(`${figure.server}: ${figure.cpu.map((ms) => ms.toFixed(2)).join(' ')} ms`);
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
console.log(
  '\n| server | start to first handshake, cold / warm | memory of all processes (PSS) | ms CPU per handshake: one name | Zipf | uniform | uniform / one |\n|---|---|---|---|---|---|---|',
);
for (const { server, cold, warm, memory, cpu } of figures) {
  const start = [cold, ...(warm === undefined ? [] : [warm])].map((ms) => `${(ms / 1000).toFixed(2)} s`);
  const [one, , all] = cpu;
  const row = [server, start.join(' / '), shownMemory(memory), ...cpu.map((ms) => ms.toFixed(2))];
  console.log(`| ${[...row, `${(all / one).toFixed(2)} x`].join(' | ')} |`);
}
writeFileSync(
  new URL('names.svg', import.meta.url),
  bars(
    `ms of server CPU per handshake, ${count} names with certificates of their own`,
    ['one name', 'Zipf', 'uniform'],
    figures.map(({ server, cpu }) => ({ label: server, values: cpu })),
  ),
);
