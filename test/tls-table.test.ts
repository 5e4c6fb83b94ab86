/** docs/tls.md names tests that exist, and a reason for each no. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read, rowsOf, testsExist } from './shown.testing.ts';

const page = read('docs/tls.md');
const rows = rowsOf(page);

test('the table has all rows of the comparison', () => assert.equal(rows.length, 24));

testsExist(rows);

for (const { cells } of rows) {
  const [feature = '', , , here = ''] = cells;
  test(`${feature}: a no has its reason`, () => {
    assert.equal(cells.length, 4);
    const reason = /\((\d)\)$/.exec(here)?.[1];
    if (here.startsWith('no')) assert.ok(reason, feature);
    if (reason) assert.match(page, new RegExp(`^${reason}\\. `, 'm'));
  });
}
