/**
 * Stapling of many certificates of one responder: how evenly it is asked, what a response takes of memory, how long
 * the start takes. `npm run bench:stapling [CERTIFICATES]` (default 10,000). Time runs five times as fast as on the
 * wall, for the engine and for the responder's clock; rates are those of the engine's time. Responses are signed
 * beforehand, so that it is the engine that keeps the process busy.
 */
import { writeFileSync } from 'node:fs';
import type { Clock } from '../src/base/clock.ts';
import { systemClock } from '../src/base/clock.ts';
import { OcspEngine } from '../src/ocsp/engine.ts';
import { HostileResponder } from '../src/ocsp/hostile-responder.testing.ts';
import { makeOcspResponse, OcspTestCa } from '../src/pki/ocsp.testing.ts';
import { MemoryStore } from '../src/store/memory.ts';

const SPEED = 5;
const BUCKET = 10_000;
const LIFE = 72 * 3_600_000;
const count = Number(process.argv[2] ?? 10_000);

const began = Date.now();
const clock: Clock = {
  now: () => began + (Date.now() - began) * SPEED,
  sleep: (ms, options) => systemClock.sleep(ms / SPEED, options),
};

const ca = await OcspTestCa.create(began);
await using responder = await HostileResponder.start(ca, clock);
const { key } = await ca.issue();
console.log(`making ${count} certificates`);
const chains: string[] = [];
const responses = new Map<string, Buffer>();
for (let index = 0; index < count; index += 1) {
  const { certificate, chainPem } = await ca.issue({ names: [`h${index}.test`], ocsp: responder.url, key });
  chains.push(chainPem);
  const times = { thisUpdate: began, nextUpdate: began + LIFE };
  const parts = { issuer: ca.certificate, leaf: certificate, signer: ca, ...times };
  responses.set(certificate.serial, await makeOcspResponse(parts));
}
responder.always = (answer, { serial }) => {
  answer.writeHead(200, { 'content-type': 'application/ocsp-response' }).end(responses.get(serial));
};

const progress = { done: 0 };
// What is measured is the engine's memory: the store keeps nothing.
const store = new MemoryStore();
store.save = async () => {};
await using engine = new OcspEngine({
  store,
  clock,
  onChange: () => (progress.done += 1),
  onRevoked: () => {},
});
const empty = memory();
const start = performance.now();
for (const [index, chainPem] of chains.entries())
  await engine.watch(`h${index}`, [{ chainPem, timeout: 60_000 }]);
const watched = performance.now() - start;
const known = memory();
engine.start();
const startedAt = clock.now();
while (progress.done < count) {
  await systemClock.sleep(10_000);
  console.log(`${progress.done} of ${count} after ${Math.round((clock.now() - startedAt) / 1000)} s`);
}
const full = memory();
const rates = ratesOf(responder.seen.map(({ at }) => at - startedAt));
const inner = rates.slice(1, -1);
console.log(`told of all: ${watched.toFixed(0)} ms, ${((known - empty) / count / 1024).toFixed(1)} KB each`);
console.log(
  `response: ${((full - known) / count / 1024).toFixed(1)} KB each (with what the responder notes of requests)`,
);
console.log(
  `requests per second: ${Math.min(...inner)} to ${Math.max(...inner)}, ${responder.seen.length} in all`,
);
const nextRuns = engine.status().map(({ nextRun = 0 }) => (nextRun - startedAt) / 3_600_000);
console.log(`next: between ${Math.min(...nextRuns).toFixed(1)} h and ${Math.max(...nextRuns).toFixed(1)} h`);
writeFileSync(new URL('stapling.svg', import.meta.url), plot(rates));

function memory(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Requests per second in each bucket. */
function ratesOf(times: readonly number[]): number[] {
  const rates: number[] = Array.from({ length: Math.floor(Math.max(...times) / BUCKET) + 1 }, () => 0);
  for (const time of times) {
    const bucket = Math.max(0, Math.floor(time / BUCKET));
    rates[bucket] = (rates[bucket] ?? 0) + 1000 / BUCKET;
  }
  return rates.map((rate) => Math.round(rate * 10) / 10);
}

function plot(values: readonly number[]): string {
  const [width, height, left, bottom] = [720, 240, 50, 40];
  const top = Math.max(20, ...values);
  const x = (index: number) => left + (index / Math.max(values.length - 1, 1)) * (width - left - 20);
  const y = (value: number) => height - bottom - (value / top) * (height - bottom - 30);
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  const seconds = (values.length * BUCKET) / 1000;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
  <rect width="${width}" height="${height}" fill="white"/>
  <text x="${left}" y="18">Requests per second to one responder of ${count} certificates, from a start without responses</text>
  <path d="M${left},30 V${height - bottom} H${width - 20}" fill="none" stroke="black"/>
  <text x="${left - 8}" y="${y(0)}" text-anchor="end">0</text>
  <text x="${left - 8}" y="${y(10) + 4}" text-anchor="end">10</text>
  <text x="${left - 8}" y="${y(20) + 4}" text-anchor="end">20</text>
  <text x="${width - 20}" y="${height - 15}" text-anchor="end">${seconds} s</text>
  <polyline points="${points}" fill="none" stroke="#06c" stroke-width="1.5"/>
</svg>
`;
}
