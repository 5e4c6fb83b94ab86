/** docs/stapling.md has every directive about stapling, and names tests that exist. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ignored } from '../src/config/directives/ignored.ts';
import { families } from '../src/config/registry.ts';
import { read, rowsOf, testsExist } from './shown.testing.ts';

const page = read('docs/stapling.md');
const rows = rowsOf(page);

test('the tables have each directive once', () => {
  const own = families.flatMap(({ directives }) => directives.map(({ name }) => name));
  const known = [...own, ...ignored.keys()].filter((name) => /Stapl/.test(name));
  const told = rows.flatMap(({ cells: [what = ''] }) => /^`(\w+)`$/.exec(what)?.[1] ?? []);
  assert.deepEqual(told.toSorted(), known.toSorted());
});

test('every row of the tables is read', () => {
  const heads = 3 * 2;
  assert.equal(rows.length, page.split('\n').filter((line) => line.startsWith('|')).length - heads);
});

testsExist(rows, { whole: true });
