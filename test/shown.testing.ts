/** Tables in docs whose rows end with the test that shows what they say: file, colon, name. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const root = new URL('../', import.meta.url);

/** A file of the project, by its path from the root. */
export const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

export interface Row {
  /** What comes before the test. */
  readonly cells: readonly string[];
  readonly file: string;
  /** Of the test, or a part of it. */
  readonly name: string;
}

/** Rows of all tables of a page that name a test. */
export function rowsOf(page: string): Row[] {
  return page
    .split('\n')
    .map((line) => /^\| (.+?) ?\| `([^`|]+)`: ([^|]+) \|$/.exec(line))
    .filter((match) => match !== null)
    .map(([, cells = '', file = '', name = '']) => ({
      cells: cells.split('|').map((cell) => cell.trim()),
      file,
      name,
    }));
}

/** One test for each row. `whole`: the name is all of it, as the file has it between quotes. */
export function testsExist(rows: readonly Row[], options: { readonly whole?: boolean } = {}): void {
  for (const { cells, file, name } of rows) {
    test(`what shows ${cells.slice(0, 2).join(' ')} is there`, () => {
      assert.ok(existsSync(new URL(file, root)), file);
      // Formatters may break a line before a name, but not within one.
      const quoted = ["'", '`'].map((quote) => quote + name + quote);
      const found = (options.whole ? quoted : [name]).some((text) => read(file).includes(text));
      assert.ok(found, `${file} has no test '${name}'`);
    });
  }
}
