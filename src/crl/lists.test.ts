import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { before, suite, test } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { createLoggers } from '../base/log.ts';
import { makeCrl } from '../pki/crl.testing.ts';
import { OcspTestCa } from '../pki/ocsp.testing.ts';
import { MemoryStore } from '../store/memory.ts';
import { RevocationLists } from './lists.ts';

const MINUTE = 60_000;
/** Less than a fetch may take. */
const STEP = MINUTE / 2;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const now = Date.parse('2026-11-22T06:00:00Z');

type Reply = (request: IncomingMessage, response: ServerResponse) => void;

const sends =
  (der: Buffer, headers: Record<string, string> = {}): Reply =>
  (_request, response) =>
    void response.writeHead(200, headers).end(der);

/** An engine whose time is the test's, and the server of its lists, which answers as told; the last answer stays. */
async function fixture(store = new MemoryStore()) {
  const clock = new TestClock(now);
  const asked: { readonly at: number; readonly headers: IncomingMessage['headers'] }[] = [];
  const replies: Reply[] = [];
  const server = createServer((request, response) => {
    asked.push({ at: clock.now(), headers: request.headers });
    (replies.length > 1 ? replies.shift() : replies[0])?.(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/1.crl`;
  const revoked: string[] = [];
  const log: string[] = [];
  const loggers = createLoggers(
    (line) => log.push(line),
    () => ({ all: 'debug', modules: {} }),
  );
  const make = () =>
    new RevocationLists({
      store,
      clock,
      loggers,
      random: () => 0,
      onRevoked: ({ owner, serial }) => revoked.push(`${owner} ${serial.toUpperCase()}`),
    });
  const self = {
    store,
    clock,
    asked,
    replies,
    url,
    revoked,
    log,
    lists: make(),
    /** Another process goes on with the store. */
    restart: async () => {
      await self.lists[Symbol.asyncDispose]();
      self.lists = make();
      self.lists.start();
    },
    /** Time passes, and what is begun in it is done: only the schedule sleeps then. */
    pass: async (ms: number) => {
      for (let left = ms; left > 0; left -= STEP) {
        await clock.advance(Math.min(left, STEP));
        await self.until(() => clock.sleeping === 1);
      }
    },
    /** Real time for what goes over the network. */
    until: async (done: () => boolean | Promise<boolean>) => {
      await new Promise((resolve) => setImmediate(resolve));
      for (let tries = 0; !(await done()); tries += 1) {
        if (tries > 15_000) throw new Error(`this never came to be: ${done.toString()}\n${log.join('\n')}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    [Symbol.asyncDispose]: async () => {
      await self.lists[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return self;
}

suite('revocation lists', () => {
  let ca: OcspTestCa;
  before(async () => {
    ca = await OcspTestCa.create(now);
  });
  const chainOf = async (crl: string) => {
    const { certificate } = await ca.issue({ crl });
    return { certificate, chain: [certificate, ca.certificate] };
  };

  test('are asked for once for all who are on them, and again when they are over, with what is known', async () => {
    await using f = await fixture();
    const [a, b, c] = await Promise.all([chainOf(f.url), chainOf(f.url), chainOf(f.url)]);
    const first = await makeCrl({ issuer: ca, thisUpdate: now, nextUpdate: now + 3 * HOUR });
    const second = await makeCrl({ issuer: ca, thisUpdate: now + HOUR, revoked: [b.certificate] });
    f.replies.push(
      sends(first, { etag: '"1"', 'last-modified': new Date(now).toUTCString() }),
      (_request, response) => void response.writeHead(304).end(),
      sends(second),
    );
    f.lists.watch('a.example', [a.chain]);
    f.lists.watch('b.example', [b.chain, c.chain]);
    f.lists.start();
    await f.until(() => f.asked.length === 1);
    await f.until(() => f.clock.sleeping === 1);
    await f.pass(3 * HOUR - MINUTE);
    assert.equal(f.asked.length, 1);
    await f.pass(MINUTE);
    await f.until(() => f.asked.length === 2);
    assert.equal(f.asked[1]?.headers['if-none-match'], '"1"');
    assert.equal(f.asked[1]?.headers['if-modified-since'], new Date(now).toUTCString());
    await f.pass(12 * HOUR);
    await f.until(() => f.revoked.length > 0);
    assert.deepEqual(f.revoked, [`b.example ${b.certificate.serial}`]);
    assert.deepEqual([f.asked.length, f.asked[2]?.at], [3, now + 15 * HOUR]);
  });

  test('are not asked for again within an hour, whatever they say and however often one starts', async () => {
    await using f = await fixture();
    const { certificate, chain } = await chainOf(f.url);
    const over = await makeCrl({
      issuer: ca,
      thisUpdate: now,
      nextUpdate: now + 1000,
      revoked: [certificate],
    });
    f.replies.push(sends(over));
    f.lists.watch('a.example', [chain]);
    f.lists.start();
    await f.until(() => f.revoked.length === 1);
    await f.restart();
    f.lists.watch('a.example', [chain]);
    await f.until(() => f.revoked.length === 2);
    await f.pass(50 * MINUTE);
    assert.equal(f.asked.length, 1, 'what is kept says it');
    await f.pass(20 * MINUTE);
    await f.until(() => f.asked.length === 2);
    assert.equal(f.revoked.length, 2, 'told once');
  });

  test('that fail, hang or hold garbage are asked for ever more rarely', async () => {
    await using f = await fixture();
    const { chain } = await chainOf(f.url);
    f.replies.push(
      (_request, response) => void response.writeHead(503, { 'retry-after': String(5 * 3600) }).end(),
      () => {},
      sends(Buffer.from('<!DOCTYPE html>')),
      (request) => void request.socket.destroy(),
    );
    f.lists.watch('a.example', [chain]);
    f.lists.start();
    for (const [count, hours] of [5, 2, 4, 8].entries()) {
      await f.until(() => f.asked.length === count + 1);
      // What hangs is given up after a minute.
      if (count === 1) await f.clock.advance(MINUTE);
      await f.until(
        () => f.log.filter((line) => line.includes('is not used, next try')).length === count + 1,
      );
      // The next one hangs: nobody waits for its end.
      await (count === 0 ? f.clock.advance(hours * HOUR) : f.pass(hours * HOUR));
    }
    await f.until(() => f.asked.length === 5);
    assert.match(f.log.join('\n'), /status 503[^]*within 60 seconds[^]*not a list[^]*can't be reached/);
    assert.deepEqual(f.revoked, []);
  });

  test('of more than a store holds are fetched anew for who comes later', async () => {
    await using f = await fixture();
    const [a, b] = await Promise.all([chainOf(f.url), chainOf(f.url)]);
    const many = Array.from({ length: 2000 }, (_, n) => Buffer.alloc(600, `${n}`));
    const huge = await makeCrl({ issuer: ca, thisUpdate: now, revoked: [...many, b.certificate] });
    assert.ok(huge.length > 1024 * 1024);
    f.replies.push(sends(huge, { etag: '"1"' }));
    f.lists.watch('a.example', [a.chain]);
    f.lists.start();
    await f.until(async () => (await f.store.list('crl')).length === 1);
    f.lists.watch('b.example', [b.chain]);
    await f.pass(12 * HOUR);
    await f.until(() => f.revoked.length === 1);
    assert.equal(f.asked[1]?.headers['if-none-match'], undefined);
  });

  test('leave nothing behind when nobody is on them any more', async () => {
    await using f = await fixture();
    const { chain } = await chainOf(f.url);
    await f.store.save('crl', 'left-behind', 'list.json', '{}');
    f.replies.push(sends(await makeCrl({ issuer: ca, thisUpdate: now })));
    f.lists.watch('a.example', [chain]);
    f.lists.start();
    const kept = () => f.store.list('crl');
    await f.until(async () => (await kept()).length === 1 && f.asked.length === 1);
    f.lists.watch('a.example', []);
    await f.pass(DAY);
    assert.deepEqual([f.asked.length, await kept()], [1, []]);
  });

  test('are nothing to a certificate that names none, or whose issuer is unknown', async () => {
    await using f = await fixture();
    const { chain } = await chainOf(f.url);
    f.lists.watch('a.example', [chain.slice(0, 1), [(await ca.issue()).certificate, ca.certificate]]);
    f.lists.start();
    await f.pass(DAY);
    assert.deepEqual([f.asked.length, f.log], [0, []]);
  });
});
