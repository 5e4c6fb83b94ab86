import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { List } from './list.ts';

const HOUR = 3_600_000;
const NOW = Date.parse('2026-11-22T06:00:00Z');

const fresh = () => new List('http://ca.example/crl', { sha256: 'aa' } as never);

suite('the next look at a revocation list', () => {
  test('comes after an hour at the soonest and half a day at the latest, whatever the list says', () => {
    for (const [good, pause] of [
      [0, 1],
      [5, 5],
      [240, 12],
    ] as const) {
      assert.equal(fresh().seen(NOW, NOW + good * HOUR, 0), NOW + pause * HOUR);
    }
    assert.equal(fresh().seen(NOW, undefined, 0), NOW + 12 * HOUR);
  });

  test('is up to a quarter later by chance, so that not all come at once', () => {
    const list = fresh();
    assert.equal(list.seen(NOW, NOW + 4 * HOUR, 1), NOW + 5 * HOUR);
    assert.equal(list.failed(NOW, undefined, 1), NOW + 1.25 * HOUR);
  });

  test('is put off ever longer by failures, and as long as is asked for, but for a day', () => {
    const list = fresh();
    const pauses = [1, 2, 3, 4, 5].map(() => (list.failed(NOW, undefined, 0) - NOW) / HOUR);
    assert.deepEqual(pauses, [1, 2, 4, 8, 12]);
    assert.equal(list.failed(NOW, 100 * HOUR, 0), NOW + 24 * HOUR);
    list.seen(NOW, undefined, 0);
    assert.equal(list.failed(NOW, undefined, 0), NOW + HOUR);
  });
});
