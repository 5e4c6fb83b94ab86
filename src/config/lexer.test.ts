import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Lines, takeWord, words } from './lexer.ts';

function lines(text: string): (readonly [number, string])[] {
  const found: (readonly [number, string])[] = [];
  const reader = new Lines(text);
  for (let line = reader.next(); line !== undefined; line = reader.next()) found.push([reader.number, line]);
  return found;
}

test('a line ends at a line feed, loses white space around it and keeps its number', () => {
  assert.deepEqual(lines('a\n  b c\t\n\nd'), [
    [1, 'a'],
    [2, 'b c'],
    [3, ''],
    [4, 'd'],
  ]);
  assert.deepEqual(lines('a\r\nb\r\n'), [
    [1, 'a'],
    [2, 'b'],
  ]);
  assert.deepEqual(lines(''), []);
});

test('a backslash at the end continues a line, which has the number of its last part', () => {
  assert.deepEqual(lines('a \\\nb\\\r\n c\nd'), [
    [3, 'a b c'],
    [4, 'd'],
  ]);
  assert.deepEqual(lines('# a comment \\\ngoes on\nb'), [
    [2, '# a comment goes on'],
    [3, 'b'],
  ]);
  assert.deepEqual(lines('a\\\\\nb'), [[2, 'a\\b']], 'two backslashes continue, too');
  assert.deepEqual(lines('a\\'), [[1, 'a\\']], 'there is nothing to continue with');
});

test('words are split as ap_getword_conf does', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['a  b\tc', ['a', 'b', 'c']],
    [`"a b" 'c d'`, ['a b', 'c d']],
    ['"a"b c', ['a', 'b', 'c']],
    ['a"b c"', ['a"b', 'c"']],
    ['"a\\"b" "c\\\\d" "e\\f"', ['a"b', 'c\\d', 'e\\f']],
    [`'a\\'b' 'c\\"d'`, [`a'b`, 'c\\"d']],
    ['a\\\\b a\\b', ['a\\b', 'a\\b']],
    ['"open end', ['open end']],
    ['"ends in \\"', ['ends in "']],
    ['"" a', ['', 'a']],
    ['a # b', ['a', '#', 'b']],
    ['', []],
    ['a\u00a0b', ['a\u00a0b']],
  ];
  for (const [text, expected] of cases) assert.deepEqual(words(text), expected, text);
});

test('any word that is quoted is read back', () => {
  const quoted = (word: string) => `"${word.replace(/["\\]/g, '\\$&')}"`;
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (all) => {
      assert.deepEqual(words(all.map(quoted).join(' ')), all);
    }),
  );
});

test('taking words one by one gives all of them', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '"', "'", '\\', '\t') }), (text) => {
      const found: string[] = [];
      for (let rest = text.trimStart(); rest !== '';) {
        const taken = takeWord(rest);
        found.push(taken.word);
        rest = taken.rest;
      }
      assert.deepEqual(found, words(text));
    }),
  );
});
