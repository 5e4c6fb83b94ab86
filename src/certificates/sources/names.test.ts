import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import type { Sought } from './dynamic.ts';
import { FLUSHES } from './flushes.ts';
import { storeSettings } from './settings.testing.ts';
import { MemoryTable } from '../memory-table.ts';
import { Names } from './names.ts';

const STORE = storeSettings(['http://localhost/certs']);
const CLIENT = '192.0.2.1';

/** Names before an engine that answers as told. */
function names(answer: (name: string) => Sought | Promise<Sought>) {
  const clock = new TestClock();
  const table = new MemoryTable();
  const asked: string[] = [];
  const told: (readonly string[])[] = [];
  const all = new Names({
    table: () => table,
    seek: async ({ name }) => {
      asked.push(name);
      return answer(name);
    },
    used: async (ids) => void told.push(ids),
    clock,
  });
  return {
    clock,
    table,
    asked,
    told,
    find: (name: string) => all.find(STORE.id, name),
    note: (id: string) => all.note(id),
    end: () => all[Symbol.dispose](),
    ask: (name: string, client = CLIENT) => all.ask(STORE, name, client),
  };
}

const NONE: Sought = { kind: 'none', life: 10_000 };
const never = () => Promise.withResolvers<Sought>().promise;

suite('a worker finds a name', () => {
  test('by itself, else by the wildcard over it', () => {
    const { table, find } = names(() => NONE);
    table.point(STORE.id, ['*.a.example'], 'wild');
    assert.deepEqual(
      [find('b.a.example'), find('c.b.a.example'), find('a.example')],
      ['wild', undefined, undefined],
    );
    table.point(STORE.id, ['b.a.example'], 'exact');
    assert.equal(find('b.a.example'), 'exact');
    assert.equal(find('localhost'), undefined);
  });

  test('by asking once, however many wait', async () => {
    const { ask, asked } = names(() => ({ kind: 'stored', id: 'x' }));
    const answers = await Promise.all(Array.from({ length: 1000 }, () => ask('a.example')));
    assert.ok(answers.every(({ kind }) => kind === 'stored'));
    assert.equal(asked.length, 1);
    await ask('a.example');
    assert.equal(asked.length, 2);
  });
});

suite('what there is not', () => {
  test('is remembered as long as the engine says, and until a flush', async () => {
    const { ask, asked, clock, table } = names(() => NONE);
    await ask('a.example');
    await clock.advance(9999);
    assert.equal((await ask('a.example')).kind, 'none');
    assert.equal(asked.length, 1);
    table.point(FLUSHES.scope, [FLUSHES.name], '1');
    await ask('a.example');
    assert.equal(asked.length, 2);
    await clock.advance(10_000);
    await ask('a.example');
    assert.equal(asked.length, 3);
  });

  test('is not remembered where the flush came while it was asked for', async () => {
    const early = Promise.withResolvers<Sought>();
    const { ask, asked, table } = names(() => (asked.length === 1 ? early.promise : NONE));
    const first = ask('a.example');
    table.point(FLUSHES.scope, [FLUSHES.name], '1');
    early.resolve(NONE);
    await first;
    await ask('a.example');
    assert.equal(asked.length, 2);
  });

  test('is remembered of so many names only', async () => {
    const { ask, asked } = names(() => NONE);
    for (let n = 0; n < 12_000; n++) await ask(`a${n}.example`, `2001:db8:${n.toString(16)}::1`);
    await ask('a11999.example');
    assert.equal(asked.length, 12_000);
    await ask('a0.example');
    assert.equal(asked.length, 12_001);
  });

  test('costs the client who asks, in a /64 too, and nobody else', async () => {
    const { ask, asked, clock } = names(() => NONE);
    const scan = async (client: (n: number) => string) => {
      const before = asked.length;
      for (let n = 0; n < 500; n++) await ask(`s${asked.length}-${n}.example`, client(n));
      return asked.length - before;
    };
    assert.equal(await scan(() => CLIENT), 200);
    assert.equal(await scan(() => CLIENT), 0);
    assert.equal(await scan((n) => `2001:db8::${n.toString(16)}`), 200);
    assert.equal(await scan((n) => `::ffff:192.0.2.${(n % 2) + 2}`), 400);
    await clock.advance(5000);
    assert.equal(await scan(() => CLIENT), 100);
  });

  test('known names cost nothing', async () => {
    const { ask, asked } = names(() => ({ kind: 'stored', id: 'x' }));
    for (let n = 0; n < 1000; n++) await ask(`a${n}.example`);
    assert.equal(asked.length, 1000);
  });
});

suite('an engine', () => {
  test('that does not answer is waited for no longer than the store may take', async () => {
    const { ask, clock } = names(never);
    const asked = ask('a.example');
    await clock.advance(STORE.timeout + 1000);
    assert.equal((await asked).kind, 'failed');
    assert.equal(clock.sleeping, 0);
  });

  test('that is away fails for now only', async () => {
    let away = true;
    const { ask } = names(() => {
      if (away) throw new Error('the other process has ended');
      return { kind: 'stored', id: 'x' };
    });
    assert.equal((await ask('a.example')).kind, 'failed');
    away = false;
    assert.equal((await ask('a.example')).kind, 'stored');
  });

  test('is asked for so many names at a time, and the others get the fallback at once', async () => {
    const { ask, asked } = names(never);
    for (let n = 0; n < 600; n++) void ask(`a${n}.example`, `192.0.2.${n % 250}`);
    assert.equal(asked.length, 500);
    assert.equal((await ask('late.example')).kind, 'failed');
  });

  test('is told now and then what was used', async () => {
    const { note, told, clock, end } = names(never);
    for (const id of ['a', 'b', 'a']) note(id);
    await clock.advance(5000);
    note('c');
    await clock.advance(5000);
    await clock.advance(60_000);
    assert.deepEqual(told, [['a', 'b'], ['c']]);
    note('d');
    end();
    await clock.advance(0);
    assert.deepEqual([told.at(-1), clock.sleeping], [['d'], 0]);
  });

  test('hands out what the table has no room for, for some seconds', async () => {
    const set = { fallback: false, certificates: [] };
    const { ask, asked, clock } = names(() => ({ kind: 'set', id: 'x', set }));
    await ask('a.example');
    const again = await ask('a.example');
    assert.ok(again.kind === 'set' && again.set === set);
    assert.equal(asked.length, 1);
    await clock.advance(10_000);
    await ask('a.example');
    assert.equal(asked.length, 2);
  });
});
