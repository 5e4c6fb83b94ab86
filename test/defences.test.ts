/** docs/defences.md names tests that exist. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

const lines = read('docs/defences.md').split('\n');
const rows = lines
  .map((line) => /^\| ([^|]*) ?\| ([^|]+) \| `([^`|]+)`: ([^|]+) \|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, who = '', what = '', file = '', name = '']) => ({ what: `${who.trim()} ${what}`, file, name }));

test('every row of the tables is read', () => {
  const heads = 2 * 2;
  assert.equal(rows.length, lines.filter((line) => line.startsWith('|')).length - heads);
});

for (const { what, file, name } of rows) {
  test(`what shows ${what} is there`, () => {
    assert.ok(existsSync(new URL(file, root)), file);
    assert.ok(read(file).includes(name), `${file} has no test '${name}'`);
  });
}
