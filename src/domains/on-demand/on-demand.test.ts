import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createLoggers } from '../../base/log.ts';
import { DAY, P256, put, settings, until } from '../domains.testing.ts';
import { type Fixture, fixture, idle } from '../engine.testing.ts';
import { ownProblem, RenewalError } from '../issuer.ts';
import type { OnDemandSettings } from '../settings.ts';
import { AskService } from './ask-service.testing.ts';
import { OnDemand } from './on-demand.ts';

const NAME = 'shop.customer.test';
const CLIENT = '192.0.2.7';

interface Setting extends AsyncDisposable {
  readonly at: Fixture;
  readonly ask: AskService;
  readonly discarded: string[];
  readonly configured: Set<string>;
  /** Waited for before files are removed. */
  discarding: Promise<void> | undefined;
  /** Names that lead elsewhere. */
  readonly strays: Set<string>;
  onDemand: OnDemand;
  readonly call: (name: string, client?: string) => Promise<string | undefined>;
  /** Another engine takes over. */
  restart(): Promise<void>;
}

/** With a CA that does as told, in a time that a test moves. */
async function setting(changes: Partial<OnDemandSettings> = {}): Promise<Setting> {
  const ask = await AskService.start();
  const strays = new Set<string>();
  const discarded: string[] = [];
  const configured = new Set(['configured.test']);
  const at = fixture([], { admit: (domain, options) => self.onDemand.admit(domain, options) });
  const own: OnDemandSettings = {
    id: 'on-demand',
    ask: ask.url,
    wait: 5000,
    keep: 30 * DAY,
    addresses: [],
    template: settings('MDOnDemand', { keys: [P256] }),
    ...changes,
  };
  const make = () =>
    new OnDemand({
      settings: [own],
      store: at.store,
      clock: at.clock,
      logger: createLoggers(
        (line) => at.log.push(line),
        () => ({ all: 'debug', modules: {} }),
      )('md'),
      engine: at.engine,
      isConfigured: (name) => configured.has(name),
      straying: async (name) => (strays.has(name) ? 'it leads elsewhere' : undefined),
      discard: async (name) => {
        discarded.push(name);
        await self.discarding;
        await at.store.purge('domains', name);
      },
    });
  const self: Setting = {
    at,
    ask,
    discarded,
    configured,
    strays,
    discarding: undefined,
    onDemand: make(),
    call: (name, client = CLIENT) => self.onDemand.provide('on-demand', name, client),
    async restart() {
      await self.onDemand[Symbol.asyncDispose]();
      await at.engine[Symbol.asyncDispose]();
      at.restart([]);
      self.onDemand = make();
      at.engine.start();
      self.onDemand.start();
      await until(async () => at.engine.names.length > 0);
      await idle(at);
    },
    async [Symbol.asyncDispose]() {
      await self.onDemand[Symbol.asyncDispose]();
      await at[Symbol.asyncDispose]();
      await ask[Symbol.asyncDispose]();
    },
  };
  at.engine.start();
  self.onDemand.start();
  return self;
}

/** Lets time pass; what sleeps looks at the clock once a minute. */
async function pass({ at }: Setting, ms: number): Promise<void> {
  await idle(at);
  at.clock.jump(at.clock.now() + ms);
  await at.clock.advance(60_000);
}

suite('a name that is called for', () => {
  test('and permitted is ordered once, however many call, and not asked for again', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    const all = await Promise.all(Array.from({ length: 20 }, () => self.call(NAME)));
    assert.deepEqual([...new Set(all)], [undefined]);
    assert.equal(self.at.issuer.count(NAME), 1);
    assert.equal(await self.call(NAME), undefined);
    assert.equal(self.ask.count(NAME), 1);
    const { seen = 0, dropAt = 0 } = self.onDemand.status(NAME) ?? {};
    assert.deepEqual([seen, dropAt - seen], [self.at.clock.now(), 30 * DAY]);
  });

  for (const [name, reason] of [
    ['a.a.customer.test', 'its labels repeat'],
    ['192.0.2.1', 'it is an IP address'],
    ['configured.test', 'it is a name of a managed domain'],
    ['unknown.test', 'MDOnDemandAsk does not permit it'],
    ['stray.test', 'it leads elsewhere'],
  ] as const) {
    test(`${name} is not ordered: ${reason}`, async () => {
      await using self = await setting();
      self.ask.permit('a.a.customer.test', '192.0.2.1', 'configured.test', 'stray.test');
      self.strays.add('stray.test');
      assert.equal(await self.call(name), reason);
      assert.deepEqual(self.at.issuer.runs, []);
      assert.equal(self.onDemand.status(name), undefined);
      assert.deepEqual(await self.at.store.list('limits'), []);
    });
  }

  test('is one of twenty that a client may bring in an hour, and of twenty below a registered domain', async () => {
    await using self = await setting();
    const names = Array.from({ length: 25 }, (_, n) => `n${n}.x${n}.test`);
    const below = Array.from({ length: 25 }, (_, n) => `n${n}.customer.test`);
    self.ask.permit(...names, ...below);
    const answers = [];
    for (const name of names) answers.push(await self.call(name, '2001:db8::1'));
    assert.deepEqual(answers.filter((answer) => answer !== undefined).length, 5);
    assert.equal(answers[20], 'too many new names are called for from 2001:db8:0:0');
    assert.equal(await self.call(names[22] ?? '', '2001:db8:0:1::1'), undefined);
    const others = [];
    for (const [n, name] of below.entries()) others.push(await self.call(name, `198.51.100.${n}`));
    assert.equal(others.filter((answer) => answer !== undefined).length, 5);
    assert.equal(others[20], 'there are too many new names below customer.test');
    await self.at.clock.advance(3_600_000);
    assert.equal(await self.call(names[24] ?? '', '2001:db8::1'), undefined);
  });

  test('is one of twenty also where all are called for at once', async () => {
    await using self = await setting();
    const names = Array.from({ length: 60 }, (_, n) => `n${n}.x${n}.test`);
    const below = Array.from({ length: 60 }, (_, n) => `n${n}.customer.test`);
    self.ask.permit(...names, ...below);
    const ordered = (answers: readonly (string | undefined)[]) =>
      answers.filter((answer) => answer === undefined).length;
    assert.equal(ordered(await Promise.all(names.map((name) => self.call(name)))), 20);
    const others = below.map((name, n) => self.call(name, `198.51.100.${n}`));
    assert.equal(ordered(await Promise.all(others)), 20);
  });

  test('and takes long gets its certificate all the same; meanwhile nobody waits longer than told', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    const { promise, resolve } = Promise.withResolvers<void>();
    self.at.issuer.script = () => promise;
    const first = self.call(NAME);
    await until(() => self.at.issuer.count(NAME) === 1);
    await self.at.clock.advance(5000);
    assert.equal(await first, 'its certificate is still being obtained');
    resolve();
    await until(async () => (await self.at.store.list('domains')).includes(NAME));
    assert.equal(await self.call(NAME), undefined);
    assert.equal(self.at.issuer.count(NAME), 1);
  });

  test('and fails at the CA is tried again in the background, not by who calls', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    self.at.issuer.script = () => {
      throw new RenewalError(ownProblem('test', 'the CA says no'));
    };
    assert.equal(await self.call(NAME), 'the CA says no');
    for (let n = 0; n < 10; n++) assert.equal(await self.call(NAME), 'the CA says no');
    assert.equal(self.at.issuer.count(NAME), 1);
    self.at.issuer.script = () => {};
    await self.at.clock.advance(60_000);
    await until(async () => (await self.at.store.list('domains')).includes(NAME));
  });

  test('and never gets a certificate is dropped a day after the last call', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    self.at.issuer.script = () => {
      throw new RenewalError(ownProblem('test', 'the CA says no'));
    };
    await self.call(NAME);
    await pass(self, DAY / 2);
    assert.ok(self.onDemand.status(NAME));
    await pass(self, DAY);
    await until(() => self.onDemand.status(NAME) === undefined);
    assert.deepEqual(self.at.engine.names, []);
  });
});

suite('a name that has a certificate', () => {
  test('keeps it over a restart, without anybody being asked', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    await self.call(NAME);
    self.ask.behaviour = 'silent';
    await self.restart();
    assert.equal(await self.call(NAME), undefined);
    assert.deepEqual([self.ask.count(NAME), self.at.issuer.count(NAME)], [1, 1]);
  });

  test('is renewed in the background while it is called for, with permission asked for anew', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    await self.call(NAME);
    for (let days = 0; days < 70; days += 10) {
      await pass(self, 10 * DAY);
      self.onDemand.seen(NAME);
    }
    await until(() => self.at.issuer.count(NAME) === 2);
    assert.equal(self.ask.count(NAME), 2);
    assert.equal(new URL(self.ask.asked[1] ?? '', self.ask.url).searchParams.has('client'), false);
  });

  test('is renewed while the service is down', async () => {
    await using self = await setting({ keep: 365 * DAY });
    self.ask.permit(NAME);
    await self.call(NAME);
    self.ask.behaviour = { status: 503 };
    await pass(self, 65 * DAY);
    await until(() => self.at.issuer.count(NAME) === 2);
  });

  test('is dropped with its files when the service permits it no more', async () => {
    await using self = await setting({ keep: 365 * DAY });
    self.ask.permit(NAME);
    await self.call(NAME);
    self.ask.forbid(NAME);
    await pass(self, 65 * DAY);
    await until(() => self.discarded.includes(NAME));
    assert.equal(self.at.issuer.count(NAME), 1);
    assert.deepEqual(self.at.engine.names, []);
    assert.deepEqual(await self.at.store.aspects('limits', 'on-demand'), []);
    assert.match(self.at.log.join('\n'), /dropped, as MDOnDemandAsk permits it no more/);
  });

  test('and is called for while it is being dropped is taken on anew, and keeps what it gets then', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    await self.call(NAME);
    const { promise, resolve } = Promise.withResolvers<void>();
    self.discarding = promise;
    await pass(self, 31 * DAY);
    await until(() => self.discarded.includes(NAME));
    const late = self.call(NAME);
    for (let turns = 0; turns < 100; turns += 1) await turn();
    resolve();
    assert.equal(await late, undefined);
    assert.equal(self.at.issuer.count(NAME), 2);
    assert.deepEqual(await self.at.store.list('domains'), [NAME]);
    assert.deepEqual(await self.at.store.aspects('limits', 'on-demand'), [`${NAME}.json`]);
    assert.ok(self.onDemand.status(NAME));
  });

  test('is not renewed while it leads elsewhere', async () => {
    await using self = await setting({ keep: 365 * DAY });
    self.ask.permit(NAME);
    await self.call(NAME);
    self.strays.add(NAME);
    await pass(self, 65 * DAY);
    assert.equal(self.at.issuer.count(NAME), 1);
    self.strays.delete(NAME);
    await pass(self, 2 * DAY);
    await until(() => self.at.issuer.count(NAME) === 2);
  });

  test('is dropped when nobody has called for it for so long, also over restarts', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    await self.call(NAME);
    await pass(self, 20 * DAY);
    self.onDemand.seen(NAME);
    await self.restart();
    await pass(self, 20 * DAY);
    assert.ok(self.onDemand.status(NAME));
    await pass(self, 12 * DAY);
    await until(() => self.discarded.includes(NAME));
    assert.match(self.at.log.join('\n'), /dropped, as nobody has called for it since/);
  });

  test('is not ordered where the store has one already', async () => {
    await using self = await setting();
    await put(self.at.store, 'domains', NAME, { names: [NAME] });
    self.ask.permit(NAME);
    assert.equal(await self.call(NAME), undefined);
    assert.equal(self.at.issuer.count(NAME), 0);
  });

  test('and is in the configuration by now is that domain: dropped, it loses nothing', async () => {
    await using self = await setting();
    self.ask.permit(NAME);
    await self.call(NAME);
    self.configured.add(NAME);
    self.at.engine.add(settings(NAME));
    assert.deepEqual([self.onDemand.status(NAME), self.onDemand.domains], [undefined, []]);
    await pass(self, 31 * DAY);
    await until(async () => (await self.at.store.aspects('limits', 'on-demand')).length === 0);
    assert.deepEqual([self.discarded, self.at.engine.names], [[], [NAME]]);
  });

  test('whose record is damaged is taken on anew', async () => {
    await using self = await setting();
    await self.at.store.save('limits', 'on-demand', `${NAME}.json`, '{"id": 7');
    self.ask.permit(NAME);
    assert.equal(await self.call(NAME), undefined);
    assert.equal(self.ask.count(NAME), 1);
  });
});
