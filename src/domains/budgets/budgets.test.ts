import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { FsLeases } from '../../store/fs/leases.ts';
import type { Leases } from '../../store/leases.ts';
import { MemoryStore } from '../../store/memory.ts';
import type { BudgetRequest } from './budget-limits.ts';
import { Budgets } from './budgets.ts';
import { PostponedError, type Problem } from '../issuer.ts';
import type { RateLimits } from '../settings.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const CA = 'https://ca.example/dir';
const LETSENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';

function request(name: string, overrides: Partial<BudgetRequest> = {}): BudgetRequest {
  const base = { name, names: [name], authority: CA, account: undefined, priority: 1, retrying: false };
  return { ...base, ...overrides };
}

function fixture(
  limits: RateLimits = {},
  store = new MemoryStore(),
  clock = new TestClock(),
  leases?: Leases,
) {
  const budgets = new Budgets({ store, clock, logger: silent('md'), leases });
  budgets.configure({ [CA]: limits });
  /** ms until it may go on; 0 where it got its tokens. */
  const take = async (wanted: BudgetRequest) => {
    try {
      await budgets.take(wanted);
      return 0;
    } catch (error) {
      if (error instanceof PostponedError) return error.until - clock.now();
      throw error;
    }
  };
  const held = async (wanted: BudgetRequest) => {
    const hold = await budgets.held(wanted);
    return hold && hold.until - clock.now();
  };
  return { budgets, store, clock, take, held };
}

const limited = (detail: string, more: Partial<Problem> = {}): Problem => ({
  type: 'urn:ietf:params:acme:error:rateLimited',
  detail,
  status: 429,
  retryAfter: HOUR,
  ...more,
});

suite('budgets of a CA', () => {
  test('a CA without known limits is asked as often as one likes, and nothing is kept of it', async () => {
    const { take, store } = fixture();
    for (let n = 0; n < 1000; n += 1) assert.equal(await take(request('a.org')), 0);
    assert.deepEqual(await store.list('limits'), []);
  });

  test("Let's Encrypt's figures are built in: orders, registered domain, exact names", async () => {
    const { take } = fixture();
    const at = (name: string, names = [name]) => request(name, { authority: LETSENCRYPT, names });
    for (let n = 0; n < 5; n += 1) assert.equal(await take(at('a.org', ['a.org', 'www.a.org'])), 0);
    assert.ok((await take(at('a.org', ['www.a.org', 'a.org']))) > 30 * HOUR, 'the same names again');
    for (let n = 0; n < 45; n += 1) assert.equal(await take(at(`h${n}.a.org`)), 0);
    assert.ok((await take(at('h50.a.org'))) > 3 * HOUR, 'the 51st of a registered domain');
    assert.equal(await take(at('x.blogspot.com')), 0, 'public suffixes, the private ones too, are none');
    for (let n = 0; n < 249; n += 1) assert.equal(await take(at(`h.b${n}.org`)), 0);
    assert.equal(await take(at('last.org')), 36_000, 'the 301st order in three hours');
  });

  test('what is configured replaces the built-in figure, or removes it', async () => {
    const { budgets, take } = fixture();
    budgets.configure({
      [LETSENCRYPT]: { 'new-orders': { count: 1, period: HOUR }, 'certificates-per-set': 'none' },
    });
    const at = (name: string) => request(name, { authority: LETSENCRYPT });
    assert.equal(await take(at('a.org')), 0);
    assert.equal(await take(at('b.org')), HOUR);
  });

  test('the more urgent have their turn first, equals in the order of their coming', async () => {
    const { take, clock } = fixture({ 'new-orders': { count: 1, period: HOUR } });
    assert.equal(await take(request('first.org')), 0);
    assert.equal(await take(request('new.org', { priority: 1 })), HOUR);
    assert.equal(await take(request('new2.org', { priority: 1 })), 2 * HOUR);
    assert.equal(await take(request('expired.org', { priority: 3 })), HOUR);
    assert.equal(await take(request('expiring.org', { priority: 2 })), 2 * HOUR);
    await clock.advance(HOUR);
    assert.equal(await take(request('late.org', { priority: 1 })), 4 * HOUR, 'nobody passes who waits');
    assert.equal(await take(request('new.org', { priority: 1 })), 2 * HOUR, 'two urgent ones are before it');
    assert.equal(await take(request('new2.org', { priority: 1 })), 3 * HOUR);
    assert.equal(await take(request('expired.org', { priority: 3 })), 0);
    await clock.advance(HOUR);
    assert.equal(await take(request('expiring.org', { priority: 2 })), 0);
  });

  test('one that waits for something of its own is in nobody’s way', async () => {
    const { take } = fixture({
      'new-orders': { count: 2, period: HOUR },
      'certificates-per-set': { count: 1, period: 10 * HOUR },
    });
    assert.equal(await take(request('a.org', { priority: 3 })), 0);
    assert.equal(await take(request('a.org', { priority: 3 })), 10 * HOUR);
    assert.equal(await take(request('b.org')), 0);
  });

  test('who fails again and again leaves half of what is shared to the others', async () => {
    const { take } = fixture({ 'new-orders': { count: 10, period: HOUR } });
    let used = 0;
    while ((await take(request(`fails${used}.org`, { retrying: true }))) === 0) used += 1;
    assert.equal(used, 5);
    for (let n = 0; n < 5; n += 1) assert.equal(await take(request(`good${n}.org`, { priority: 2 })), 0);
  });

  test('failed validations count for the name alone, and hold it before the CA would', async () => {
    const { budgets, take } = fixture({ 'failures-per-name': { count: 2, period: HOUR } });
    const problem = { type: 'urn:ietf:params:acme:error:dns', detail: 'NXDOMAIN', identifier: 'bad.org' };
    for (let n = 0; n < 2; n += 1) {
      assert.equal(await take(request('bad.org')), 0);
      await budgets.learn(request('bad.org'), problem);
    }
    assert.equal(await take(request('bad.org')), HOUR / 2);
    assert.equal(await take(request('good.org')), 0);
  });

  test('a limit of the account holds all of the account, 503 the whole CA, until it said', async () => {
    const { budgets, held, clock } = fixture();
    await budgets.learn(request('a.org'), limited('too many new orders (300) from this account'));
    assert.equal(await held(request('b.org')), HOUR);
    assert.equal(await held(request('b.org', { account: 'other' })), undefined);
    assert.equal(await held(request('b.org', { authority: 'https://other.example/dir' })), undefined);
    const busy = { type: 'urn:ietf:params:acme:error:serverInternal', status: 503, detail: 'Service busy' };
    await budgets.learn(request('a.org'), { ...busy, retryAfter: 2 * HOUR });
    assert.equal(await held(request('b.org', { account: 'other' })), 2 * HOUR);
    await clock.advance(2 * HOUR);
    assert.equal(await held(request('b.org')), undefined);
  });

  test('a limit of one name or one registered domain holds nothing else', async () => {
    const cases: readonly (readonly [detail: string, held: string, free: string])[] = [
      ['too many failed authorizations (5) for "www.a.org" in the last 1h0m0s', 'www.a.org', 'b.a.org'],
      ['too many certificates (50) already issued for "a.org" in the last 168h0m0s', 'x.a.org', 'a.com'],
      ['too many certificates (5) already issued for this exact set of identifiers', 'www.a.org', 'a.org'],
    ];
    for (const [detail, bad, good] of cases) {
      const { budgets, held } = fixture();
      await budgets.learn(request('www.a.org'), limited(detail));
      assert.equal(await held(request(bad)), HOUR, detail);
      assert.equal(await held(request(good)), undefined, detail);
    }
  });

  test('a time in words counts where there is no Retry-After; without either nobody is held', async () => {
    const { budgets, held } = fixture();
    const { retryAfter, ...silently } = limited('too many new orders, retry after 2026-11-22 09:00:00 UTC');
    await budgets.learn(request('a.org'), silently);
    assert.equal(await held(request('b.org')), 3 * HOUR);
    const other = fixture();
    await other.budgets.learn(request('a.org'), { ...silently, detail: 'too many new orders' });
    assert.equal(await other.held(request('b.org')), undefined);
    assert.equal(retryAfter, HOUR);
  });

  test('a restart forgets neither what was spent nor what the CA asked for', async () => {
    const limits: RateLimits = { 'new-orders': { count: 2, period: HOUR } };
    const before = fixture(limits);
    await Promise.all([before.take(request('a.org')), before.take(request('b.org'))]);
    await before.budgets.learn(request('c.org'), limited('"c.org" is limited'));
    const after = fixture(limits, before.store, before.clock);
    assert.equal(await after.take(request('d.org')), HOUR / 2);
    assert.equal(await after.held(request('c.org')), HOUR);
  });

  test('what is on disk is enough at the moment that an order may be made', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 30 }), async (orders) => {
        const { store, take } = fixture({ 'new-orders': { count: 100, period: HOUR } });
        const used: boolean[] = [];
        const all = Array.from({ length: orders }, async (_, n) => {
          await take(request(`d${n}.org`));
          const text = (await store.load('limits', 'ca.example', 'budgets.json'))?.toString() ?? '{}';
          const { buckets } = JSON.parse(text) as { buckets: Record<string, { used: number }> };
          used.push((buckets[`account ${CA} `]?.used ?? 0) >= used.length + 1);
        });
        await Promise.all(all);
        assert.ok(used.every(Boolean));
      }),
    );
  });

  test('a file of garbage is begun anew, and a time in it that only a wrong clock wrote is not believed', async () => {
    for (const text of ['', '{', '[]', '{"buckets":{"x":{"used":-1,"at":0,"full":0}},"holds":{}}']) {
      const store = new MemoryStore();
      await store.save('limits', 'ca.example', 'budgets.json', text);
      const { take } = fixture({ 'new-orders': { count: 1, period: HOUR } }, store);
      assert.equal(await take(request('a.org')), 0);
      assert.equal(await take(request('b.org')), HOUR);
    }
    const store = new MemoryStore();
    const holds = { [`ca ${CA}`]: { until: Date.parse('2050-01-01'), reason: 'never' } };
    await store.save('limits', 'ca.example', 'budgets.json', JSON.stringify({ buckets: {}, holds }));
    assert.equal(await fixture({}, store).held(request('a.org')), undefined);
  });

  test('a wait beyond any that is asked for is not believed, at no time', async () => {
    const { budgets, held, clock } = fixture();
    await budgets.learn(request('a.org'), limited('too many requests', { retryAfter: 30 * DAY }));
    assert.equal(await held(request('b.org')), undefined);
    await budgets.learn(request('a.org'), limited('too many requests'));
    assert.equal(await held(request('b.org')), HOUR, 'one that is believed counts all the same');
    await budgets.learn(request('d.org'), limited('"d.org" is limited', { retryAfter: 30 * DAY }));
    await clock.advance(25 * DAY);
    for (const name of ['b.org', 'd.org']) assert.equal(await held(request(name)), undefined);
  });

  test('a clock that is put back keeps nobody from what comes back in time', async () => {
    const limits: RateLimits = { 'new-orders': { count: 2, period: HOUR } };
    const { take, held, budgets, clock, store } = fixture(limits);
    const start = clock.now();
    clock.jump(start + 365 * DAY);
    for (const name of ['a.org', 'b.org']) assert.equal(await take(request(name)), 0);
    await budgets.learn(request('c.org'), limited('"c.org" is limited'));
    clock.jump(start);
    const after = fixture(limits, store, clock);
    assert.equal(await held(request('c.org')), undefined);
    assert.equal(await take(request('d.org')), HOUR / 2);
    assert.equal(await after.take(request('d.org')), HOUR / 2);
    await clock.advance(HOUR / 2);
    assert.equal(await take(request('d.org')), 0);
    assert.equal(await after.take(request('d.org')), 0);
  });

  test('are common to several servers on a store, whoever spends, gets back or is told to wait', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'latchkey-budgets-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const [store, clock] = [new MemoryStore(), new TestClock()];
    const limits = {
      'new-orders': { count: 20, period: HOUR },
      'certificates-per-set': { count: 1, period: HOUR },
    };
    const server = async () => fixture(limits, store, clock, await FsLeases.open(dir));
    const [one, two] = [await server(), await server()];
    const tries = Array.from({ length: 24 }, (_, n) => (n % 2 ? one : two).take(request(`a${n}.org`)));
    assert.equal((await Promise.all(tries)).filter((wait) => wait === 0).length, 20);
    await clock.advance(HOUR);
    assert.equal(await one.take(request('b.org')), 0);
    assert.equal(await two.take(request('b.org')), HOUR);
    await one.budgets.giveBack(request('b.org'), 1);
    assert.equal(await two.take(request('b.org')), 0);
    await two.budgets.learn(request('c.org'), limited('too many requests'));
    assert.equal(await one.held(request('d.org')), HOUR);
  });
});
