import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { before, suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { createAuthority, type TestAuthority } from '../credentials.testing.ts';
import { MemoryTable } from '../memory-table.ts';
import type { CertificateTable } from '../table.ts';
import { DynamicCertificates, type Sought } from './dynamic.ts';
import { FLUSHES } from './flushes.ts';
import { HostileStore, saying, silence } from './hostile-store.testing.ts';
import { HttpStore } from './http-store.ts';
import type { DynamicStoreSettings } from './settings.ts';
import { storeSettings } from './settings.testing.ts';
import { collect, kept } from './snapshot.testing.ts';

const HOUR = 3_600_000;

let authority: TestAuthority;
before(async () => {
  authority = await createAuthority();
});

interface Options {
  readonly table?: CertificateTable;
  readonly cacheBytes?: number;
  readonly store?: Partial<DynamicStoreSettings>;
}

/** Certificates live a day from when they are made, in whole seconds; they are fetched again 4 h before their end. */
async function setting({ table = new MemoryTable(), cacheBytes = 2 ** 25, store = {} }: Options = {}) {
  const server = await HostileStore.start();
  const clock = new TestClock(Date.now());
  const said: string[] = [];
  const logger = { ...silent('ssl'), error: (line: string) => void said.push(line) };
  const settings = storeSettings([server.url], { renewBefore: 4 * HOUR, ...store });
  const open = (): DynamicCertificates =>
    new DynamicCertificates({
      table,
      clock,
      logger,
      settings: { stores: [settings], onDemand: [], cacheBytes },
      open: () => new HttpStore({ settings, ca: undefined, clock, logger }),
    });
  const all = open();
  return {
    server,
    clock,
    table,
    all,
    said,
    open,
    settings,
    async serve(...names: string[]) {
      const made = await authority.issue(names);
      server.certificates.set(names[0] ?? '', made);
      return made.serial;
    },
    seek: (name: string) => all.seek(settings.id, name),
    /** Moves time to the moment from which what is cached is asked for again, or so many ms before it. */
    async due(before = 0) {
      const [entry] = all.status().sample;
      assert.ok(entry);
      await clock.advance(entry.refetchAt - before - clock.now());
    },
    /** As a worker looks. */
    serial: (name: string) => table.get(table.find(settings.id, name) ?? '')?.certificates[0]?.serial,
    /** Waits until so many requests have come. */
    async hits(count: number) {
      await soon(() => server.hits.length >= count);
      assert.equal(server.hits.length, count);
    },
    async [Symbol.asyncDispose]() {
      await all[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Waits for what follows from an answer that is on its way. */
async function soon(what: () => boolean): Promise<void> {
  for (let tries = 0; !what() && tries < 15_000; tries++) await delay(2);
  assert.ok(what());
}

const NEVER = new AbortController().signal;

function ended<Certificate>(certificate: Certificate): Certificate & { notAfter: number } {
  return { ...certificate, notAfter: 1 };
}

const kinds = (answers: readonly Sought[]) => [...new Set(answers.map(({ kind }) => kind))];

suite('certificates by name', () => {
  test('are asked of the store once, however many wait', async () => {
    await using at = await setting();
    const serial = await at.serve('a.example');
    const answers = await Promise.all(Array.from({ length: 1000 }, () => at.seek('a.example')));
    assert.deepEqual(kinds(answers), ['stored']);
    await at.seek('a.example');
    await at.hits(1);
    assert.equal(at.serial('a.example'), serial);
  });

  test('are kept under all names of the certificate, wildcards too', async () => {
    await using at = await setting();
    await at.serve('a.example', 'www.a.example', '*.shop.example');
    await at.seek('a.example');
    for (const name of ['www.a.example', 'one.shop.example', 'two.shop.example']) {
      assert.equal((await at.seek(name)).kind, 'stored');
    }
    await at.hits(1);
    assert.ok(at.serial('*.shop.example'));
    await at.seek('deep.one.shop.example');
    await at.hits(2);
  });

  test('leave a name its own certificate, whoever else has it among his', async () => {
    await using at = await setting();
    const own = await at.serve('b.example');
    await at.seek('b.example');
    await at.serve('a.example', 'b.example');
    await at.seek('a.example');
    assert.equal(at.serial('b.example'), own);
  });

  test('are served past their time while they are fetched again, until they expire', async () => {
    await using at = await setting();
    const first = await at.serve('a.example');
    await at.seek('a.example');
    await at.due(1000);
    await at.seek('a.example');
    await at.hits(1);
    const second = await at.serve('a.example');
    await at.clock.advance(1000);
    assert.equal((await at.seek('a.example')).kind, 'stored');
    assert.equal(at.serial('a.example'), first);
    await at.hits(2);
    await soon(() => at.serial('a.example') === second);
  });

  test('that the store still has are not sent again', async () => {
    await using at = await setting();
    const serial = await at.serve('a.example');
    await at.seek('a.example');
    await at.due();
    at.all.used([at.table.find(at.settings.id, 'a.example') ?? '']);
    await at.hits(2);
    assert.ok(at.server.hits[1]?.ifNoneMatch);
    await soon(() => (at.all.status().sample[0]?.refetchAt ?? 0) >= at.clock.now() + 300_000);
    assert.equal(at.serial('a.example'), serial);
  });

  test('go on being served while the store is down, and not beyond their end', async () => {
    await using at = await setting();
    await at.serve('a.example');
    await at.seek('a.example');
    at.server.behaviour = saying(500);
    await at.due();
    assert.equal((await at.seek('a.example')).kind, 'stored');
    await at.hits(2);
    await soon(() => at.said.length > 0);
    assert.deepEqual([at.said.length, at.server.hits.length], [1, 2], at.said.join('\n'));
    await at.clock.advance(3 * HOUR);
    assert.equal((await at.seek('a.example')).kind, 'stored');
    await at.clock.advance(HOUR);
    assert.equal((await at.seek('a.example')).kind, 'failed');
    assert.equal(at.serial('a.example'), undefined);
  });

  test('that the store no longer has are dropped when it says so', async () => {
    await using at = await setting();
    await at.serve('a.example', 'www.a.example');
    await at.seek('a.example');
    at.server.certificates.clear();
    await at.due();
    await at.seek('www.a.example');
    await soon(() => at.serial('www.a.example') === undefined);
    assert.equal(at.serial('a.example'), undefined);
  });

  test('live as long as the directives say', async () => {
    await using at = await setting({ store: { renewBefore: 7 * 24 * HOUR, cacheFloor: 300_000 } });
    await at.serve('a.example');
    await at.seek('a.example');
    assert.equal(at.all.status().sample[0]?.refetchAt, at.clock.now() + 300_000);
    await using usual = await setting({ store: { renewBefore: 4 * HOUR } });
    await usual.serve('a.example');
    await usual.seek('a.example');
    const [entry] = usual.all.status().sample;
    assert.equal(entry?.refetchAt, (entry?.notAfter ?? 0) - 4 * HOUR);
  });
});

suite('names without a certificate', () => {
  test('are remembered for a short while, and forgotten by a flush', async () => {
    await using at = await setting();
    assert.deepEqual(await at.seek('a.example'), { kind: 'none', life: 10_000 });
    await at.clock.advance(9000);
    assert.deepEqual(await at.seek('a.example'), { kind: 'none', life: 1000 });
    await at.hits(1);
    await at.clock.advance(1000);
    await at.seek('a.example');
    await at.hits(2);
    await at.serve('a.example');
    at.all.flush('a.example');
    assert.equal((await at.seek('a.example')).kind, 'stored');
  });

  test('are asked for again a second after a failure, which is said once', async () => {
    await using at = await setting();
    at.server.behaviour = saying(500);
    for (let n = 0; n < 5; n++) await at.seek('a.example');
    await at.hits(1);
    await at.clock.advance(1000);
    await at.seek('a.example');
    await at.hits(2);
    assert.equal(at.said.length, 1);
    assert.match(at.said[0] ?? '', /no certificate for a\.example from the certificate store .* status 500/);
  });

  test('open no breaker; failures do, and its probe closes it', async () => {
    await using at = await setting({ store: { breakerFailures: 3, breakerReset: 30_000 } });
    for (let n = 0; n < 10; n++) await at.seek(`unknown${n}.example`);
    at.server.behaviour = saying(500);
    for (let n = 0; n < 5; n++) await at.seek(`a${n}.example`);
    await at.hits(13);
    at.server.behaviour = (request, response, name) => at.server.answer(request, response, name);
    await at.serve('b.example');
    assert.equal((await at.seek('b.example')).kind, 'failed');
    await at.clock.advance(30_000);
    assert.equal((await at.seek('b.example')).kind, 'stored');
    await at.hits(14);
  });

  test('in any number keep no more than so many questions under way, and known names go on', async () => {
    await using at = await setting();
    await at.serve('a.example');
    await at.seek('a.example');
    at.server.behaviour = silence;
    const answers = Array.from({ length: 10_000 }, (_, n) => at.seek(`scanner${n}.example`));
    const refused = await Promise.race([answers[5000], turn()]);
    assert.equal(refused?.kind, 'failed');
    assert.equal((await at.seek('a.example')).kind, 'stored');
    for (let n = 0; n < 1000; n++) await turn();
    assert.ok(at.server.hits.length <= 65);
    // All that wait are let go by the breaker.
    for (let n = 0; n < 40; n++) await at.clock.advance(2000);
    assert.ok(kinds(await Promise.all(answers)).every((kind) => kind === 'failed'));
  });
});

suite('a flush', () => {
  test('of one name drops what it is served with, under all names; of all, everything', async () => {
    await using at = await setting();
    await at.serve('a.example', 'www.a.example', '*.a.example');
    await at.serve('b.example');
    await at.seek('a.example');
    await at.seek('b.example');
    const before = at.table.find(FLUSHES.scope, FLUSHES.name);
    assert.equal(at.all.flush('shop.a.example'), true);
    assert.notEqual(at.table.find(FLUSHES.scope, FLUSHES.name), before);
    for (const name of ['a.example', 'www.a.example', '*.a.example'])
      assert.equal(at.serial(name), undefined);
    assert.ok(at.serial('b.example'));
    await at.seek('a.example');
    await at.hits(3);
    assert.equal(await at.all.flushAll(), true);
    assert.deepEqual([at.all.status().entries, [...at.table.ids()]], [0, []]);
    const { flushes } = at.all.status();
    assert.deepEqual(flushes, { all: 1, single: 1, lastName: 'shop.a.example' });
  });

  for (const [what, flush] of [
    ['all', (all: DynamicCertificates) => all.flushAll()],
    ['the name', (all: DynamicCertificates) => all.flush('a.example')],
    ['another of its names', (all: DynamicCertificates) => all.flush('www.a.example')],
    ['a name under its wildcard', (all: DynamicCertificates) => all.flush('shop.a.example')],
  ] as const) {
    test(`of ${what} in the middle of a fetch keeps the old certificate from coming back`, async () => {
      await using at = await setting();
      await at.serve('a.example', 'www.a.example', '*.a.example');
      const held = Promise.withResolvers<void>();
      const old = at.server.certificates.get('a.example');
      at.server.behaviour = async (request, response, name) => {
        if (at.server.hits.length > 1) return at.server.answer(request, response, name);
        await held.promise;
        response.writeHead(200).end(JSON.stringify({ cert: old?.chainPem, key: old?.keyPem }));
      };
      const early = at.seek('a.example');
      await at.hits(1);
      const second = await at.serve('a.example', 'www.a.example', '*.a.example');
      const flushed = flush(at.all);
      const late = at.seek('a.example');
      held.resolve();
      assert.deepEqual(kinds(await Promise.all([early, late])), ['stored']);
      await flushed;
      await at.hits(2);
      assert.equal(at.serial('a.example'), second);
      assert.equal(at.serial('www.a.example'), second);
    });
  }

  test('of many goes on in steps, between which others are answered, and what they get stays', async () => {
    await using at = await setting();
    await at.serve('new.example');
    const set = { fallback: false, certificates: [await authority.issue(['*.example'])] };
    const many = Array.from({ length: 200 }, (_, n) => `a${n}.example`);
    for (const name of many)
      at.all.bring(at.settings.id, name, { kind: 'found', set, names: [name], tag: '' });
    const left: number[] = [];
    const begun = at.all.flushes;
    const flushed = at.all.flushAll(async () => {
      left.push(many.filter((name) => at.serial(name) !== undefined).length);
      if (left.length === 1) assert.equal((await at.seek('new.example')).kind, 'stored');
    });
    const during = at.all.flushes;
    assert.equal(await flushed, true);
    assert.deepEqual(left, [150, 100, 50, 0]);
    assert.ok(at.serial('new.example'));
    // Who writes down what there is begins anew where it was begun before the end.
    assert.ok(begun < during && during < at.all.flushes);
  });

  test('of another name leaves a fetch alone', async () => {
    await using at = await setting();
    await at.serve('a.example');
    const early = at.seek('a.example');
    at.all.flush('b.example');
    await early;
    await at.hits(1);
    assert.ok(at.serial('a.example'));
  });

  test('over and over lets nobody wait for ever, and keeps nothing', async () => {
    await using at = await setting();
    await at.serve('a.example');
    at.server.behaviour = (request, response, name) => {
      void at.all.flushAll();
      at.server.answer(request, response, name);
    };
    const sought = await at.seek('a.example');
    assert.equal(sought.kind, 'set');
    await at.hits(3);
    assert.equal(at.serial('a.example'), undefined);
  });
});

suite('the cache of certificates by name', () => {
  test('is bounded in bytes: who is used stays', async () => {
    await using at = await setting({ cacheBytes: 20_000 });
    await at.serve('a.example');
    await at.seek('a.example');
    at.all.used([at.table.find(at.settings.id, 'a.example') ?? '']);
    for (let n = 0; n < 20; n++) {
      await at.serve(`a${n}.example`);
      await at.seek(`a${n}.example`);
    }
    const { entries, bytes } = at.all.status();
    assert.ok(bytes <= 20_000 && entries < 20, `${entries} entries, ${bytes} bytes`);
    assert.equal([...at.table.ids()].length, entries);
    assert.ok(at.serial('a.example'));
    assert.equal(at.serial('a0.example'), undefined);
  });

  test('makes room where the table has none, and hands out what finds none', async () => {
    const table = new MemoryTable();
    let room = 3;
    const small = new Proxy<CertificateTable>(table, {
      get: (target, name) => {
        if (name === 'put') {
          return (...[id, set]: Parameters<CertificateTable['put']>) => {
            const more = target.version(id) === undefined && [...target.ids()].length >= room;
            return more ? 'full' : target.put(id, set);
          };
        }
        return Reflect.get(target, name, target).bind(target);
      },
    });
    await using at = await setting({ table: small });
    for (const name of ['a.example', 'b.example', 'c.example', 'd.example']) {
      await at.serve(name);
      assert.equal((await at.seek(name)).kind, 'stored');
    }
    assert.equal(at.serial('a.example'), undefined);
    room = 0;
    await at.serve('e.example');
    const sought = await at.seek('e.example');
    assert.ok(sought.kind === 'set' && sought.set.certificates.length === 1);
  });

  test('is taken over by the engine that follows', async () => {
    await using at = await setting();
    const serial = await at.serve('a.example', 'www.a.example');
    await at.seek('a.example');
    at.table.put('dyn:gone:x.example', {
      fallback: false,
      certificates: [await authority.issue(['x.example'])],
    });
    await using next = at.open();
    assert.equal((await next.seek(at.settings.id, 'www.a.example')).kind, 'stored');
    await next.adoptAll(turn);
    assert.equal(next.status().entries, 1);
    assert.deepEqual([...at.table.ids()], ['dyn:test:a.example']);
    await at.hits(1);
    assert.equal(at.serial('a.example'), serial);
    next.flush('www.a.example');
    assert.equal(at.serial('a.example'), undefined);
  });

  test('comes back from a snapshot, each to be asked for again at its first use', async () => {
    await using at = await setting();
    const serial = await at.serve('a.example', '*.a.example');
    await at.serve('b.example');
    await at.seek('a.example');
    await at.seek('b.example');
    const entries = await collect(at.all.snapshot());
    const [, b = entries[0]] = entries;
    assert.ok(b);
    const expired = { ...b, asked: 'c.example', certificates: b.certificates.map(ended) };
    const foreign = { ...b, store: 'gone' };
    at.table[Symbol.dispose]();
    await using next = at.open();
    next.recall(kept([foreign, expired, ...entries]));
    assert.equal(await next.restore(turn, NEVER), 2);
    assert.equal(at.serial('www.a.example') ?? at.serial('*.a.example'), serial);
    await next.seek(at.settings.id, 'www.a.example');
    await at.hits(3);
    assert.ok(at.server.hits[2]?.ifNoneMatch);
  });

  test('is found in a snapshot before all of that is taken in, and no store is asked', async () => {
    await using at = await setting();
    const serial = await at.serve('a.example', '*.a.example');
    await at.serve('b.example');
    await at.seek('a.example');
    await at.seek('b.example');
    const entries = await collect(at.all.snapshot());
    at.table[Symbol.dispose]();
    await using next = at.open();
    next.recall(kept(entries));
    assert.deepEqual(kinds([await next.seek(at.settings.id, 'www.a.example')]), ['stored']);
    assert.equal(at.serial('*.a.example'), serial);
    await at.hits(2);
    // What is left of it goes into the next snapshot, too.
    const again = await collect(next.snapshot());
    assert.deepEqual(again.map(({ asked }) => asked).toSorted(), ['a.example', 'b.example']);
    assert.equal(await next.restore(turn, NEVER), 1);
  });

  test('that the store has taken back does not come from a snapshot a second time', async () => {
    await using at = await setting();
    await at.serve('a.example');
    await at.seek('a.example');
    const entries = await collect(at.all.snapshot());
    at.table[Symbol.dispose]();
    await using next = at.open();
    next.recall(kept(entries));
    await next.seek(at.settings.id, 'a.example');
    at.server.certificates.clear();
    await next.seek(at.settings.id, 'a.example');
    await soon(() => at.serial('a.example') === undefined);
    await at.clock.advance(HOUR);
    assert.deepEqual(kinds([await next.seek(at.settings.id, 'a.example')]), ['none']);
    assert.equal(await next.restore(turn, NEVER), 0);
  });

  test('takes no more of a snapshot after a flush', async () => {
    await using at = await setting();
    for (const name of ['a.example', 'b.example', 'c.example']) {
      await at.serve(name);
      await at.seek(name);
    }
    const entries = await collect(at.all.snapshot());
    at.table[Symbol.dispose]();
    await using next = at.open();
    const flushing = async function* () {
      for (const entry of entries) {
        yield entry;
        next.flush('b.example');
      }
    };
    next.recall({ ...kept(entries), entries: flushing });
    assert.equal(await next.restore(turn, NEVER), 1);
    assert.equal(at.serial('b.example'), undefined);
    at.server.behaviour = saying(500);
    assert.deepEqual(kinds([await next.seek(at.settings.id, 'c.example')]), ['failed']);
  });

  test('survives new settings of its stores, but not without them', async () => {
    await using at = await setting();
    await at.serve('a.example');
    await at.seek('a.example');
    await at.all.reconfigure({ stores: [{ ...at.settings, timeout: 1 }], onDemand: [], cacheBytes: 2 ** 25 });
    assert.equal((await at.seek('a.example')).kind, 'stored');
    await at.all.reconfigure({ stores: [], onDemand: [], cacheBytes: 2 ** 25 });
    assert.deepEqual([...at.table.ids()], []);
    assert.equal((await at.seek('a.example')).kind, 'failed');
  });
});
