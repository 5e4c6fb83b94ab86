/** What an engine watches beyond renewals: clocks, delays, files that come from elsewhere. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseChain } from '../pki/certificate.ts';
import { keyToPem } from '../pki/keys.ts';
import { readMd } from '../store/documents.ts';
import { MemoryStore } from '../store/memory.ts';
import { DAY, makePair, put, settings, until } from './domains.testing.ts';
import { fixture, type Fixture, idle, statusOf } from './engine.testing.ts';
import { syncDomains } from './stored/registry.ts';

const NAME = 'a.example';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const YEAR = 365 * DAY;

/** Moves the wall clock, and gives the engine the time to notice. */
async function leap(f: Fixture, ms: number): Promise<void> {
  f.clock.jump(f.clock.now() + ms);
  await f.clock.advance(2 * MINUTE);
  await idle(f);
}

suite('a delay of activation', () => {
  test('holds a new set while the old one is good, no longer than that lasts', async () => {
    for (const [delay, end] of [
      [2 * DAY, 2 * DAY],
      [40 * DAY, 20 * DAY],
    ] as const) {
      await using f = fixture([settings(NAME)], { activationDelay: delay });
      const start = f.clock.now();
      await put(f.store, 'domains', NAME, {
        names: [NAME],
        notBefore: start - 70 * DAY,
        notAfter: start + 20 * DAY,
      });
      f.engine.start();
      await until(() => f.issuer.runs.length === 1);
      await idle(f);
      assert.equal(f.activations, 0);
      const { staged } = statusOf(f.engine, NAME);
      assert.equal(staged?.validFrom, start + end);
      await leap(f, end - HOUR);
      assert.equal(f.activations, 0);
      await leap(f, HOUR);
      await until(() => f.activations === 1);
      assert.equal(f.issuer.runs.length, 2);
    }
  });

  test('keeps nobody waiting who has no certificate, or an expired one', async () => {
    for (const old of [false, true]) {
      await using f = fixture([settings(NAME)], { activationDelay: 2 * DAY });
      const now = f.clock.now();
      if (old)
        await put(f.store, 'domains', NAME, { names: [NAME], notBefore: now - DAY, notAfter: now - HOUR });
      f.engine.start();
      await until(() => f.activations === 1);
    }
  });
});

suite('a domain that is removed while the store is read for it', () => {
  test('is watched no more: no CA is asked about it, and nobody compares lists for it', async () => {
    const store = new MemoryStore();
    await put(store, 'domains', NAME, { names: [NAME] });
    const watched = new Map<string, number>();
    const asked: string[] = [];
    await using f = fixture([], { onLook: (name, chains) => void watched.set(name, chains.length) }, store);
    const renewalInfo = async () => {
      asked.push(NAME);
      return undefined;
    };
    Object.assign(f.issuer, { renewalInfo });
    f.engine.start();
    const gate = Promise.withResolvers<void>();
    const aspects = store.aspects.bind(store);
    let reading = false;
    store.aspects = async (...where) => {
      reading = true;
      await gate.promise;
      return aspects(...where);
    };
    f.engine.add(settings(NAME));
    await until(() => reading);
    f.engine.remove(NAME);
    gate.resolve();
    await f.clock.advance(HOUR);
    assert.deepEqual([...watched], [[NAME, 0]]);
    assert.deepEqual(asked, []);
  });
});

suite('the clock', () => {
  test('may jump ahead by a year and back: what was put aside by then is renewed, and nothing again', async () => {
    await using f = fixture([settings(NAME)]);
    f.engine.start();
    await until(() => f.activations === 1);
    await idle(f);
    await leap(f, YEAR);
    await until(() => f.activations === 2);
    await leap(f, -YEAR);
    const { certificates, state } = statusOf(f.engine, NAME);
    assert.equal(state, 'complete');
    assert.equal(certificates.length, 1);
    await leap(f, HOUR);
    assert.ok(f.issuer.runs.length <= 3, `${f.issuer.runs.length} orders`);
  });

  test('does nothing before MDInitialDelay has passed, but knows the state', async () => {
    await using f = fixture([settings(NAME)], { initialDelay: HOUR });
    f.engine.start();
    await idle(f);
    assert.equal(statusOf(f.engine, NAME).state, 'incomplete');
    await f.clock.advance(59 * MINUTE);
    assert.equal(f.issuer.runs.length, 0);
    await f.clock.advance(2 * MINUTE);
    await until(() => f.activations === 1);
  });

  test('has domains looked at every MDCheckInterval: what was changed by hand is seen', async () => {
    const random = () => 0.5;
    await using f = fixture([settings(NAME)], { checkInterval: HOUR, random });
    await put(f.store, 'domains', NAME, { names: [NAME] });
    f.engine.start();
    await idle(f);
    const [before] = statusOf(f.engine, NAME).certificates;
    await put(f.store, 'domains', NAME, { names: [NAME], notAfter: f.clock.now() + 60 * DAY });
    await f.clock.advance(50 * MINUTE);
    await idle(f);
    assert.equal(statusOf(f.engine, NAME).certificates[0]?.serial, before?.serial);
    await f.clock.advance(20 * MINUTE);
    await until(() => statusOf(f.engine, NAME).certificates[0]?.serial !== before?.serial);
  });
});

suite('certificates from files', () => {
  const file = { certificateFile: '/etc/ssl/a.pem', keyFile: '/etc/ssl/a.key' };

  async function pem(now: number, days: number, names: readonly string[] = [NAME]): Promise<string> {
    return (await makePair({ names, notBefore: now - 80 * DAY, notAfter: now + days * DAY })).pem;
  }

  test('are watched, and renewed only with renewMode always', async () => {
    for (const renewMode of ['auto', 'manual', 'always'] as const) {
      const domain = settings(NAME, { staticFiles: [file], renewMode });
      let served = '';
      await using f = fixture([domain], { readPem: async () => served });
      served = await pem(f.clock.now(), 5);
      f.engine.start();
      await idle(f);
      const { state, certificates } = statusOf(f.engine, NAME);
      assert.deepEqual([state, certificates.length], ['complete', 1]);
      if (renewMode === 'always') await until(() => f.activations === 1);
      await idle(f);
      await leap(f, DAY);
      assert.equal(f.issuer.runs.length, renewMode === 'always' ? 1 : 0);
    }
  });

  test('that are gone, garbage or for other names are told', async () => {
    const domain = settings(NAME, { staticFiles: [file] });
    for (const [read, told] of [
      [() => Promise.reject(new Error('ENOENT: no such file')), /a\.pem can't be used: ENOENT/],
      [async () => 'garbage', /a\.pem can't be used/],
      [(now: number) => pem(now, 5, ['b.example']), /a\.pem does not cover a\.example/],
    ] as const) {
      await using f = fixture([domain], { readPem: () => read(f.clock.now()) });
      f.engine.start();
      await idle(f);
      assert.match(statusOf(f.engine, NAME).description, told);
      assert.equal(f.issuer.runs.length, 0);
    }
  });

  test('stand in md.json, and leave no fallback certificate to be made', async () => {
    const store = new MemoryStore();
    await using f = fixture([], {}, store);
    await syncDomains(store, [settings(NAME, { staticFiles: [file] })], f.clock);
    const md = await readMd(store, 'domains', NAME);
    assert.deepEqual([md?.['cert-files'], md?.['pkey-files']], [[file.certificateFile], [file.keyFile]]);
    assert.deepEqual(await store.aspects('domains', NAME), ['md.json']);
  });
});

suite('a domain’s life', () => {
  test('removed and back, it finds its certificate again; a name that left it orders nothing', async () => {
    const both = settings(NAME, { domains: [NAME, 'www.a.example'] });
    await using f = fixture([both]);
    f.engine.start();
    await until(() => f.activations === 1);
    await idle(f);
    f.engine.reconfigure([]);
    assert.deepEqual(f.engine.status(), []);
    f.engine.reconfigure([both]);
    await idle(f);
    f.engine.reconfigure([settings(NAME)]);
    await idle(f);
    await f.clock.advance(2 * MINUTE);
    await idle(f);
    assert.equal(statusOf(f.engine, NAME).state, 'complete');
    assert.equal(f.issuer.runs.length, 1);
  });

  test('a name moved to another domain has that one renewed, and the one it left keep its certificate', async () => {
    const [one, two] = [settings(NAME, { domains: [NAME, 'm.example'] }), settings('b.example')];
    await using f = fixture([one, two]);
    f.engine.start();
    await until(() => f.activations === 2);
    await idle(f);
    const kept = statusOf(f.engine, NAME).certificates[0]?.serial;
    const moved = [settings(NAME), settings('b.example', { domains: ['b.example', 'm.example'] })];
    await syncDomains(f.store, moved, f.clock);
    f.engine.reconfigure(moved);
    await until(() => f.activations === 3);
    await idle(f);
    assert.deepEqual([f.issuer.count(NAME), f.issuer.count('b.example')], [1, 2]);
    assert.equal(statusOf(f.engine, NAME).certificates[0]?.serial, kept);
    assert.deepEqual(statusOf(f.engine, 'b.example').certificates[0]?.names, ['b.example', 'm.example']);
  });

  test('what was put into staging from outside, in plain PEM, is taken at the next check', async () => {
    await using f = fixture([settings(NAME)], { checkInterval: HOUR });
    await put(f.store, 'domains', NAME, { names: [NAME] });
    f.engine.start();
    await idle(f);
    const { pem, key } = await makePair({ names: [NAME], notAfter: f.clock.now() + 80 * DAY });
    await f.store.save('staging', NAME, 'pubcert.p-256.pem', pem);
    await f.store.save('staging', NAME, 'privkey.p-256.pem', keyToPem(key));
    await f.clock.advance(2 * HOUR);
    await until(() => f.activations === 1);
    await idle(f);
    assert.equal(statusOf(f.engine, NAME).certificates[0]?.serial, parseChain(pem)[0]?.serial);
  });
});
