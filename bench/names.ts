/**
 * Many names, each with a P-256 certificate of its own: start to first handshake, memory, server CPU per handshake
 * with one name, names by Zipf and uniformly drawn. Writes names.svg.
 *
 *     npm run bench:names [-- NAMES SECONDS DIR SERVER …]
 *
 * DIR keeps certificates and snapshot for the next time, for a week.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { explain } from '../src/base/errors.ts';
import { freePorts } from '../test/latchkey.testing.ts';
import { firstHandshake, handshake } from './names-clients.ts';
import { nameOf, writeFullSnapshot, writeNames } from './names-files.ts';
import {
  caddy,
  haproxy,
  latchkey,
  nginx,
  placeOf,
  Running,
  type Contestant,
  type Names,
} from './names-servers.ts';
import { median } from './peers.ts';
import { bars } from './plot.ts';
import { SERVER_CORE } from './rounds.ts';

const [count = 100_000, seconds = 5] = process.argv.slice(2, 4).map(Number);
const CLIENTS = 8;
const ROUNDS = 3;

interface Figures {
  readonly server: string;
  /** ms from the start to the first handshake. */
  readonly start: number;
  /** MB of each process. */
  readonly memory: readonly number[];
  /** ms CPU of a handshake: with one name, by Zipf, uniformly. */
  readonly cpu: readonly [one: number, zipf: number, uniform: number];
  /** Uniformly drawn against one name. */
  readonly ratio: number;
}

/** Server CPU in ms for each handshake with names of `draw`. */
async function cost(server: Running, port: number, draw: () => number, time = seconds): Promise<number> {
  const before = server.cpu();
  const end = performance.now() + time * 1000;
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

async function measure(contestant: Contestant, names: Names): Promise<Figures> {
  const began = performance.now();
  await using server = new Running(contestant.prepare(names), SERVER_CORE);
  await firstHandshake(names.port, nameOf(Math.floor(Math.random() * count)));
  const start = performance.now() - began;
  // What is taken in in the background has to be there.
  await settled(server);
  // A JIT compiles for some ten thousand handshakes.
  await cost(server, names.port, uniform, 4 * seconds);
  const rounds: (readonly [number, number, number])[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const one = await cost(server, names.port, () => 0);
    const byZipf = await cost(server, names.port, zipf);
    rounds.push([one, byZipf, await cost(server, names.port, uniform)]);
  }
  const of = (kind: 0 | 1 | 2) => median(rounds.map((round) => round[kind]));
  const ratio = median(rounds.map(([one, , all]) => all / one));
  return {
    server: `${contestant.name} ${contestant.version}`,
    start,
    memory: server.memory(),
    cpu: [of(0), of(1), of(2)],
    ratio,
  };
}

/** All names are in the snapshot; its key is made by a first start. */
async function prepareLatchkey(names: Names): Promise<void> {
  await using server = new Running(latchkey.prepare(names), SERVER_CORE);
  for (const end = Date.now() + 60_000; !existsSync(join(names.dir, 'md/md_store.json'));) {
    if (Date.now() > end) throw new Error('Latchkey does not start');
    await delay(50);
  }
  await delay(1000);
  await server[Symbol.asyncDispose]();
  await writeFullSnapshot(names.dir, count);
}

/** Until it uses no CPU to speak of. */
async function settled(server: Running): Promise<void> {
  for (let before = server.cpu(), now = Infinity; now - before > 100;) {
    before = server.cpu();
    await delay(2000);
    now = server.cpu();
  }
}

function row({ server, start, memory, cpu, ratio }: Figures): string {
  const after = `${(start / 1000).toFixed(2)} s`;
  const cells = [server, after, shownMemory(memory), ...cpu.map((ms) => ms.toFixed(2))];
  return `| ${[...cells, `${ratio.toFixed(2)} x`].join(' | ')} |`;
}

function shownMemory(parts: readonly number[]): string {
  const sum = parts.reduce((total, part) => total + part, 0);
  return `${sum.toFixed(0)} MB (${parts.map((part) => part.toFixed(0)).join(' + ')})`;
}

await using place = placeOf(process.argv[4]);
const { dir } = place;
const wanted = process.argv.slice(5);
const figures: Figures[] = [];
console.log(`${count} names, Node.js ${process.version}, ${new Date().toISOString().slice(0, 10)}`);
await writeNames(dir, count);
console.log(
  '| server | start to first handshake | memory of all processes (PSS) | ms CPU per handshake: one name | Zipf | uniform | uniform / one |\n|---|---|---|---|---|---|---|',
);
for (const contestant of [latchkey, nginx, caddy, haproxy]) {
  if (contestant.missing !== undefined || (wanted.length > 0 && !wanted.includes(contestant.name))) continue;
  const [port = 0] = await freePorts(1);
  // Nobody is a store there: what is measured is handshakes, not what is fetched anew.
  const names = { dir, port, storePort: 1, snapshot: true };
  if (contestant === latchkey && !existsSync(join(dir, 'snapshot'))) await prepareLatchkey(names);
  try {
    const figure = await measure(contestant, names);
    figures.push(figure);
    console.log(row(figure));
  } catch (error) {
    console.log(`| ${contestant.name} ${contestant.version} | ${explain(error)} |`);
  }
}
writeFileSync(
  new URL('names.svg', import.meta.url),
  bars(
    `ms of server CPU per handshake, ${count} names with certificates of their own`,
    ['one name', 'Zipf', 'uniform'],
    figures.map(({ server, cpu }) => ({ label: server, values: cpu })),
  ),
);
