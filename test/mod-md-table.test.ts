/** docs/mod_md.md names every MD directive there is, and tests that exist. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { families } from '../src/config/registry.ts';

const root = new URL('../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

const rows = read('docs/mod_md.md')
  .split('\n')
  .map((line) => /^\| `(<?MD\w+>?)` \| ([^|]+) \| `([^`|]+)`: ([^|]+) \|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, directive = '', , file = '', name = '']) => ({ directive, file, name }));

test('the table has each directive once', () => {
  const known = families
    .flatMap(({ directives }) => directives)
    .flatMap(({ name, aliases = [] }) => [name, ...aliases])
    .map((name) => (name.startsWith('<') ? `${name}>` : name))
    .filter((name) => /^<?MD(?!OnDemand)/.test(name));
  const told = rows.map(({ directive }) => directive);
  assert.deepEqual(told.toSorted(), known.toSorted());
});

for (const { directive, file, name } of rows) {
  test(`what shows ${directive} is there`, () => {
    assert.ok(existsSync(new URL(file, root)), file);
    // Formatters may break a line before a name, but not within one.
    assert.ok(read(file).includes(`'${name}'`), `${file} has no test '${name}'`);
  });
}
