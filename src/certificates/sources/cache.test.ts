import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import * as fc from 'fast-check';
import { TestClock } from '../../base/clock.testing.ts';
import { covers } from '../../pki/names.ts';
import { createAuthority } from '../credentials.testing.ts';
import { openTableForWriting } from '../lmdb-table.ts';
import { MemoryTable } from '../memory-table.ts';
import type { Found } from '../source.ts';
import type { CertificateTable } from '../table.ts';
import { DynamicCache, type Entry } from './cache.ts';
import { storeSettings } from './settings.testing.ts';

const STORE = storeSettings([]);
const NAMES = ['a.x', 'b.x', 'c.x', 'a.y', '*.x', '*.y'];

type Given = Extract<Found, { kind: 'found' }>;

let answers: readonly Given[];
before(async () => {
  const authority = await createAuthority();
  const sets = [
    ['a.x'],
    ['a.x', 'b.x'],
    ['b.x', 'a.x'],
    ['*.x'],
    ['c.x', '*.x'],
    ['a.y', '*.y', 'a.x'],
    ['c.x'],
  ];
  answers = await Promise.all(
    sets.map(async (names): Promise<Given> => {
      const set = { fallback: false, certificates: [await authority.issue(names)] };
      return { kind: 'found', set, names, tag: undefined };
    }),
  );
});

/** All that must hold whatever was done. */
function check(cache: DynamicCache, table: CertificateTable): void {
  const entries = [...cache.entries()];
  assert.equal(cache.count, entries.length);
  assert.deepEqual([...table.ids()].toSorted(), entries.map(({ id }) => id).toSorted());
  for (const name of NAMES) {
    const id = table.find(STORE.id, name);
    if (id === undefined) continue;
    const entry = entries.find((each) => each.id === id);
    assert.ok(entry?.names.has(name), `${name} leads to nothing`);
  }
  for (const { asked, id } of entries) assert.equal(table.find(STORE.id, asked), id);
}

suite('the cache of certificates by name', () => {
  test('leads every name to a certificate that covers it, whatever comes and goes', () => {
    const action = fc.record({
      what: fc.constantFrom('keep', 'keep', 'drop', 'use', 'adopt'),
      name: fc.constantFrom('a.x', 'b.x', 'c.x', 'a.y'),
      answer: fc.nat({ max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), fc.constantFrom(4000, 1e6), (actions, bytes) => {
        const table = new MemoryTable();
        const clock = new TestClock(Date.now());
        let cache = new DynamicCache(table, clock, bytes);
        for (const { what, name, answer } of actions) {
          const given = answers[answer];
          const found: Entry | undefined = cache.find(STORE, name);
          if (what === 'keep' && given && covers(given.names, name)) cache.keep(STORE, name, given);
          if (what === 'drop' && found) assert.equal(cache.drop(found), true);
          if (what === 'use' && found) cache.use(found);
          if (what === 'adopt') {
            cache = new DynamicCache(table, clock, bytes);
            for (const id of table.ids()) cache.adopt(STORE, id);
          }
          check(cache, table);
          const entry = cache.find(STORE, name);
          const served =
            entry && answers.find(({ set }) => set.certificates[0]?.serial === serialOf(table, entry));
          if (entry) assert.ok(served && covers(served.names, name));
        }
      }),
      { numRuns: 150 },
    );
  });

  test('goes on in a table on a full filesystem: who is used last finds room', (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root may mount a small filesystem');
    const folder = mkdtempSync(join(tmpdir(), 'latchkey-cache-'));
    const dir = join(folder, 'small');
    mkdirSync(dir);
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', dir]);
    if (mount.status !== 0) return t.skip(`mount is not allowed here: ${mount.stderr.toString().trim()}`);
    try {
      using table = openTableForWriting({ dir });
      const cache = new DynamicCache(table, new TestClock(Date.now()), 2 ** 30);
      const [given] = answers;
      assert.ok(given);
      const keep = (n: number) => cache.keep(STORE, `n${n}.x`, { ...given, names: [`n${n}.x`] });
      let kept = 0;
      for (let n = 0; n < 2000; n++) if (keep(n)) kept++;
      // What finds none is handed out by itself, and begins again with the next.
      assert.ok(kept > 1990, `${kept} kept`);
      assert.ok(cache.count < 1500, `${cache.count} entries`);
      assert.equal([...table.ids()].length, cache.count);
      for (const { id, asked } of cache.entries()) {
        assert.equal(table.find(STORE.id, asked), id);
        assert.ok(table.get(id));
      }
      assert.ok(cache.find(STORE, 'n1999.x'));
      assert.equal(cache.find(STORE, 'n0.x'), undefined);
    } finally {
      spawnSync('umount', ['-l', dir]);
      rmSync(folder, { recursive: true, force: true });
    }
    return undefined;
  });
});

function serialOf(table: CertificateTable, { id }: Entry): string | undefined {
  return table.get(id)?.certificates[0]?.serial;
}
