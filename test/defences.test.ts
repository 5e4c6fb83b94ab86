/** docs/defences.md names tests that exist. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read, rowsOf, testsExist } from './shown.testing.ts';

const page = read('docs/defences.md');
const rows = rowsOf(page);

test('every row of the tables is read', () => {
  const heads = 2 * 2;
  assert.equal(rows.length, page.split('\n').filter((line) => line.startsWith('|')).length - heads);
});

testsExist(rows);
