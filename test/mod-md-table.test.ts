/** docs/mod_md.md names every MD directive there is, and tests that exist. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families } from '../src/config/registry.ts';
import { read, rowsOf, testsExist } from './shown.testing.ts';

const rows = rowsOf(read('docs/mod_md.md'));

test('the table has each directive once', () => {
  const known = families
    .flatMap(({ directives }) => directives)
    .flatMap(({ name, aliases = [] }) => [name, ...aliases])
    .map((name) => (name.startsWith('<') ? `${name}>` : name))
    .filter((name) => /^<?MD(?!OnDemand)/.test(name));
  const told = rows.map(({ cells: [directive = ''] }) => directive.replaceAll('`', ''));
  assert.deepEqual(told.toSorted(), known.toSorted());
});

testsExist(rows, { whole: true });
