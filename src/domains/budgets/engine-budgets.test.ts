import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { createLoggers } from '../../base/log.ts';
import { MemoryStore } from '../../store/memory.ts';
import { activateStaged } from '../stored/activate.ts';
import { DAY, put, settings, until } from '../domains.testing.ts';
import type { EngineOptions } from '../engine-options.ts';
import { RenewalEngine } from '../engine.ts';
import { type Issuer, type ObtainOptions, type Problem, RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const CA = 'https://ca.example/dir';

/** Orders as often as it may, and gives what is asked for unless `fail` says why not. */
function fixture(domains: readonly ManagedDomainSettings[], options: Partial<EngineOptions>) {
  const clock = new TestClock();
  const store = new MemoryStore();
  const contacts: string[] = [];
  const orders: { readonly name: string; readonly at: number }[] = [];
  const log: string[] = [];
  const start = clock.now();
  let fail: (name: string) => Problem | undefined = () => undefined;
  const issuer: Issuer = {
    check: () => [],
    async obtain({ name, domains: names, keys }, { beforeOrder }: ObtainOptions) {
      contacts.push(name);
      if ((await store.aspects('staging', name)).some((aspect) => aspect.startsWith('pubcert'))) return;
      await beforeOrder?.();
      orders.push({ name, at: clock.now() - start });
      const problem = fail(name);
      if (problem) throw new RenewalError(problem);
      const notBefore = clock.now();
      for (const spec of keys) {
        await put(store, 'staging', name, { names, spec, notBefore, notAfter: notBefore + 90 * DAY });
      }
    },
  };
  const engine = new RenewalEngine({
    domains,
    store,
    clock,
    issuer,
    random: () => 0,
    loggers: createLoggers(
      (line) => log.push(line),
      () => ({ all: 'info', modules: {} }),
    ),
    activate: async (name) => {
      await activateStaged(store, name, { clock });
      return {};
    },
    ...options,
  });
  const of = (name: string) => engine.status().find((status) => status.name === name);
  const complete = () => engine.status().filter(({ state }) => state === 'complete').length;
  const idle = () => until(() => clock.sleeping > 0 && engine.status().every(({ running }) => !running));
  return {
    clock,
    store,
    engine,
    contacts,
    orders,
    log,
    of,
    complete,
    idle,
    failing: (say: typeof fail) => void (fail = say),
    async pass(ms: number) {
      await clock.advance(ms);
      await idle();
    },
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

const several = (count: number) => Array.from({ length: count }, (_, n) => settings(`d${n}.example`));

suite('the engine and the budgets of a CA', () => {
  test('orders what the budget allows, the rest as it refills, and says until when each waits', async () => {
    const rateLimits = { [CA]: { 'new-orders': { count: 3, period: HOUR } } };
    await using f = fixture(several(6), { rateLimits });
    f.engine.start();
    await until(() => f.complete() === 3);
    await f.idle();
    const waiting = f.engine.status().filter(({ hold }) => hold);
    assert.equal(waiting.length, 3);
    assert.match(waiting[0]?.hold?.reason ?? '', /The budget of new orders at https:\/\/ca\.example/);
    assert.equal(f.engine.status().filter(({ errors }) => errors > 0).length, 0, 'waiting is no failure');
    for (const done of [4, 5, 6]) {
      await f.pass(20 * MINUTE);
      await until(() => f.complete() === done);
    }
    assert.deepEqual(
      f.orders.map(({ at }) => at),
      [0, 0, 0, 20 * MINUTE, 40 * MINUTE, 60 * MINUTE],
    );
    assert.ok(f.engine.status().every(({ hold }) => hold === undefined));
  });

  test('what has expired comes before what expires, and that before what is new', async () => {
    const rateLimits = { [CA]: { 'new-orders': { count: 1, period: HOUR } } };
    const names = ['first', 'new', 'expiring', 'expired'].map((label) => settings(`${label}.example`));
    await using f = fixture(names, { rateLimits, maxParallelPerCa: 1 });
    const now = f.clock.now();
    await put(f.store, 'domains', 'expired.example', {
      names: ['expired.example'],
      notBefore: now - 90 * DAY,
      notAfter: now - DAY,
    });
    await put(f.store, 'domains', 'expiring.example', {
      names: ['expiring.example'],
      notBefore: now - 80 * DAY,
      notAfter: now + 10 * DAY,
    });
    f.engine.start();
    await until(() => f.contacts.length >= 4);
    await f.idle();
    for (let hours = 0; hours < 4; hours += 1) await f.pass(HOUR);
    const order = f.orders.map(({ name }) => name);
    assert.equal(order.length, 4);
    const rest = order.filter((name) => name !== 'first.example' && name !== order[0]);
    const rank = (name: string) => ['expired.example', 'expiring.example', 'new.example'].indexOf(name);
    assert.deepEqual(
      rest,
      [...rest].sort((a, b) => rank(a) - rank(b)),
    );
  });

  test('a CA that asks for a pause is left alone by all its domains, others go on', async () => {
    const other = settings('other.example', { authorities: ['https://other.example/dir'] });
    await using f = fixture([settings('a.example'), other], { maxParallelPerCa: 1 });
    const problem = {
      type: 'urn:ietf:params:acme:error:rateLimited',
      detail: 'too many new orders (300) from this account in the last 3h0m0s',
      status: 429,
      retryAfter: 2 * HOUR,
    };
    f.failing((name) => (name === 'other.example' ? undefined : problem));
    f.engine.start();
    await until(() => f.of('a.example')?.problem !== undefined && f.complete() === 1);
    await f.idle();
    f.engine.reconfigure([settings('a.example'), settings('b.example'), other]);
    await until(() => f.of('b.example')?.state === 'incomplete');
    await f.pass(1000);
    assert.ok(!f.contacts.includes('b.example'), 'not even contacted');
    assert.match(f.of('b.example')?.hold?.reason ?? '', /too many new orders/);
    assert.equal(f.of('b.example')?.nextRun, f.of('b.example')?.hold?.until);
    f.failing(() => undefined);
    await f.pass(2 * HOUR);
    await until(() => f.of('b.example')?.state === 'complete');
  });

  test('one domain that fails and fails leaves the others their budget', async () => {
    const rateLimits = { [CA]: { 'new-orders': { count: 8, period: 30 * DAY } } };
    await using f = fixture([settings('bad.example')], { rateLimits, retryDelay: 1000 });
    const problem = { type: 'urn:ietf:params:acme:error:unauthorized', detail: 'no' };
    f.failing((name) => (name === 'bad.example' ? problem : undefined));
    f.engine.start();
    await until(() => f.orders.length > 0);
    for (let hours = 0; hours < 12; hours += 1) await f.pass(HOUR);
    assert.ok(f.orders.length <= 5, `${f.orders.length} orders of the failing one`);
    assert.ok(f.of('bad.example')?.hold);
    assert.equal(f.of('bad.example')?.problem?.detail, 'no', 'why it failed is still shown');
    f.engine.reconfigure([settings('bad.example'), ...several(3)]);
    await until(() => f.complete() === 3);
  });

  test('who asks for a renewal that has to wait is told so, and it is done when it may be', async () => {
    const rateLimits = { [CA]: { 'new-orders': { count: 1, period: HOUR } } };
    await using f = fixture([settings('a.example')], { rateLimits });
    f.engine.start();
    await until(() => f.complete() === 1);
    await f.idle();
    const outcome = await f.engine.renewNow('a.example');
    assert.equal(outcome.status, 'postponed');
    await f.pass(HOUR);
    await until(() => f.orders.length === 2);
  });

  test('says how far it is when there is much to obtain', async () => {
    const rateLimits = { [CA]: { 'new-orders': { count: 1, period: MINUTE } } };
    await using f = fixture(several(12), { rateLimits });
    f.failing((name) => (name === 'd3.example' ? { type: 'x', detail: 'x' } : undefined));
    f.engine.start();
    await until(() => f.orders.length > 0);
    for (let n = 0; n < 8; n += 1) await f.pass(MINUTE);
    const { total, obtained, failing, left } = f.engine.obtaining();
    assert.equal(total, 12);
    assert.ok(obtained >= 6 && obtained < 12 && failing <= 1);
    assert.ok(left !== undefined && left > MINUTE && left < 12 * MINUTE, `${left}`);
    assert.ok(f.log.some((line) => /\d of 12 certificates obtained, .*about \d+ min left/.test(line)));
  });
});
