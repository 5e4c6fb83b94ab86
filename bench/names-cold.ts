/**
 * Names that are not in memory: what a handshake waits for that has to ask the certificate store, and for which a
 * context has to be made; and how long a start takes to the first handshake, without and with a snapshot of all.
 *
 *     node bench/names-cold.ts [NAMES DIR]
 *
 * DIR keeps the certificates for the next time.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { binary, freePorts } from '../test/latchkey.testing.ts';
import { answerTime, firstHandshake } from './names-clients.ts';
import { nameOf, writeFullSnapshot, writeNames } from './names-files.ts';
import { latchkey, placeOf, Running, type Names } from './names-servers.ts';
import { median } from './peers.ts';
import { LOAD_CORE, SERVER_CORE } from './rounds.ts';

const count = Number(process.argv[2] ?? 100_000);
/** Names that are timed, and as many before, for the compiler. */
const SAMPLE = Math.min(1500, Math.floor(count / 4));
const STARTS = 5;

function shown(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `median ${median(sorted).toFixed(2)} ms, p99 ${(sorted[Math.floor(sorted.length * 0.99)] ?? 0).toFixed(2)} ms`;
}

/** ms that the store takes. */
async function storeTime(storePort: number, name: string): Promise<number> {
  const began = performance.now();
  const response = await fetch(`http://127.0.0.1:${storePort}/certs/${name}`);
  await response.arrayBuffer();
  return performance.now() - began;
}

async function started(names: Names): Promise<{ server: Running; ms: number }> {
  const began = performance.now();
  const server = new Running(latchkey.prepare(names), SERVER_CORE);
  await firstHandshake(names.port, nameOf(Math.floor(Math.random() * count)));
  return { server, ms: performance.now() - began };
}

async function cold(names: Names): Promise<void> {
  const { server, ms } = await started(names);
  await using _server = server;
  console.log(`start to first handshake, nothing kept: ${(ms / 1000).toFixed(2)} s`);
  const [fetched, asked, made] = [[] as number[], [] as number[], [] as number[]];
  for (let index = 0; index < 2 * SAMPLE; index++) {
    fetched.push(await answerTime(names.port, nameOf(index)));
    asked.push(await storeTime(names.storePort, nameOf(index)));
  }
  // Those fetched last are the ones whose contexts are kept.
  for (let index = 0; index < SAMPLE; index++) made.push(await answerTime(names.port, nameOf(index)));
  const beyond = fetched.map((time, index) => time - (asked[index] ?? 0));
  console.log(`the store by itself: ${shown(asked.slice(SAMPLE))}`);
  console.log(`a cold fetch: ${shown(fetched.slice(SAMPLE))}`);
  console.log(`a cold fetch beyond the store's answer: ${shown(beyond.slice(SAMPLE))}`);
  console.log(`a cold fetch beyond the store's answer, after the start: ${shown(beyond.slice(0, SAMPLE))}`);
  console.log(`a name in the table, context made: ${shown(made)}`);
}

async function warm(names: Names): Promise<void> {
  const times: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    const { server, ms } = await started({ ...names, snapshot: true });
    times.push(ms);
    await server[Symbol.asyncDispose]();
  }
  const all = times.map((ms) => (ms / 1000).toFixed(2)).join(' ');
  console.log(
    `start to first handshake with a snapshot, store stopped: ${(median(times) / 1000).toFixed(2)} s (${all})`,
  );
}

await using place = placeOf(process.argv[3]);
const { dir } = place;
await writeNames(dir, count);
const [port = 0, storePort = 0] = await freePorts(2);
const names = { dir, port, storePort, snapshot: false };
console.log(`${count} names, Node.js ${process.version}, ${new Date().toISOString().slice(0, 10)}`);
{
  const command = [
    binary,
    'store',
    '--dir',
    join(dir, 'pairs'),
    '--listen',
    `127.0.0.1:${storePort}`,
  ] as const;
  await using _store = new Running(command, LOAD_CORE);
  await delay(1000);
  await cold(names);
}
await writeFullSnapshot(dir, count);
await warm(names);
rmSync(join(dir, 'snapshot'));
