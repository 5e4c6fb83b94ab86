import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silent } from '../../base/log.ts';
import { createAuthority } from '../../certificates/credentials.testing.ts';
import { MemoryTable } from '../../certificates/memory-table.ts';
import { put } from '../../domains/domains.testing.ts';
import { settingsOf } from '../../http/settings.testing.ts';
import type { Leases } from '../../store/leases.ts';
import { MemoryStore } from '../../store/memory.ts';
import { ADDED_SCOPE } from '../calls.ts';
import { EngineAdded } from './added.ts';
import type { Renewals } from './renewals.ts';

/** A server on the store, as far as domains are added to it. `refreshed`: its names, while it reads a certificate. */
async function server(
  store: MemoryStore,
  refreshed: (found: readonly boolean[]) => void = () => {},
  leases?: Leases,
) {
  const table = new MemoryTable();
  const certificates = [await (await createAuthority()).issue(['a.example'])];
  const added: EngineAdded = await EngineAdded.open(
    {
      store,
      table,
      keeper: {
        problems: new Map(),
        fill: async () => {},
        refresh: async ([id = '']) => {
          refreshed(['a.example', 'b.example'].map((name) => table.find(ADDED_SCOPE, name) === id));
          table.put(id, { fallback: false, certificates });
        },
      },
      renewals: async () => ({ add() {}, remove() {} }) as unknown as Renewals,
      leases,
      changed: () => {},
      logger: silent('md'),
    },
    settingsOf({}),
  );
  const found = (name: string) => table.find(ADDED_SCOPE, name) !== undefined;
  return { added, found };
}

test('a domain that another server has given other names is served by those that stay, all the time', async () => {
  const store = new MemoryStore();
  await put(store, 'domains', 'a.example', { names: ['a.example', 'b.example'] });
  const seen: (readonly boolean[])[] = [];
  const one = await server(store);
  const two = await server(store, (names) => seen.push(names));
  await one.added.add(['a.example', 'b.example']);
  await two.added.follow();
  await one.added.add(['a.example', 'c.example']);
  await two.added.follow();
  assert.deepEqual(seen, [
    [false, false],
    [true, false],
  ]);
  assert.deepEqual(['a.example', 'b.example', 'c.example'].map(two.found), [true, false, true]);
  await one.added.remove('a.example');
  await two.added.follow();
  assert.deepEqual(['a.example', 'c.example'].map(two.found), [false, false]);
});

test('while another server on the store makes changes none is made, and that is said', async () => {
  const none = async () => undefined;
  const { added } = await server(new MemoryStore(), undefined, {
    take: none,
    takeWithin: none,
    changed: async () => [],
  });
  const busy = { name: 'AddedError', code: 'added-busy' };
  await assert.rejects(added.add(['a.example']), busy);
  await assert.rejects(added.remove('a.example'), busy);
});
