import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { Slru } from './slru.ts';

/** As the cache does it. */
function add(slru: Slru, id: string, size = 1): void {
  slru.set(id, size);
  while (slru.full && slru.oldest !== undefined) slru.delete(slru.oldest);
}

suite('a segmented LRU', () => {
  test('keeps who was used again, whoever passes by once', () => {
    const slru = new Slru(10);
    for (const id of ['a', 'b', 'c']) {
      add(slru, id);
      slru.use(id);
    }
    for (let n = 0; n < 1000; n++) add(slru, `scanner-${n}`);
    const kept = [...slru.ids()];
    assert.equal(kept.length, 10);
    for (const id of ['a', 'b', 'c']) assert.ok(kept.includes(id));
  });

  test('lets protected ones go, too, when all have been used: the one used longest ago', () => {
    const slru = new Slru(4);
    for (const id of ['a', 'b', 'c', 'd']) {
      add(slru, id);
      slru.use(id);
    }
    slru.use('a');
    add(slru, 'e');
    assert.deepEqual([...slru.ids()].toSorted(), ['a', 'c', 'd', 'e']);
  });

  test('never counts wrong, and never keeps more than it may', () => {
    const action = fc.tuple(
      fc.constantFrom('add', 'use', 'delete'),
      fc.integer({ min: 0, max: 12 }).map(String),
      fc.integer({ min: 1, max: 40 }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const slru = new Slru(100);
        const sizes = new Map<string, number>();
        for (const [what, id, size] of actions) {
          if (what === 'use') slru.use(id);
          else if (what === 'delete') slru.delete(id);
          else {
            add(slru, id, size);
            sizes.set(id, size);
          }
          const kept = [...slru.ids()];
          assert.equal(new Set(kept).size, slru.count);
          assert.equal(
            kept.reduce((sum, each) => sum + (sizes.get(each) ?? 0), 0),
            slru.bytes,
          );
          assert.ok(slru.bytes <= 100);
        }
      }),
    );
  });
});
