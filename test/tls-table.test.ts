/** docs/tls.md names tests that exist, and a reason for each no. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const page = read('docs/tls.md');

const rows = page
  .split('\n')
  .map((line) => /^\| ([^|]+) \| [^|]* \| [^|]* \| ([^|]+) \| `([^`|]+)`: ([^|]+) \|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, feature = '', here = '', file = '', name = '']) => ({ feature, here, file, name }));

test('the table has all rows of the comparison', () => assert.equal(rows.length, 24));

for (const { feature, here, file, name } of rows) {
  test(`what shows ${feature} is there`, () => {
    assert.ok(existsSync(new URL(file, root)), file);
    assert.ok(read(file).includes(name), `${file} has no test '${name}'`);
  });

  test(`${feature}: a no has its reason`, () => {
    const reason = /\((\d)\)$/.exec(here)?.[1];
    if (here.startsWith('no')) assert.ok(reason, feature);
    if (reason) assert.match(page, new RegExp(`^${reason}\\. `, 'm'));
  });
}
