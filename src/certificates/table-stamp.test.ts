import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { TestContext } from 'node:test';
import { makeStamp, TableStamp } from './table-stamp.ts';

/** A writer and a reader of one stamp, and a clock that stands until it is moved. */
function pair(t: TestContext): { writer: TableStamp; reader: TableStamp; time: { now: number } } {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-'));
  const path = join(folder, 'stamp');
  makeStamp(path);
  const [writer, reader] = [new TableStamp(path, 'advance'), new TableStamp(path, 'read')];
  const time = { now: 1000 };
  t.mock.method(performance, 'now', () => time.now);
  t.after(() => {
    writer[Symbol.dispose]();
    reader[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  return { writer, reader, time };
}

suite('The stamp of a table', () => {
  test('is looked at once in 5 ms', (t) => {
    const { writer, reader, time } = pair(t);
    const before = reader.recent();
    writer.advance();
    time.now += 4.9;
    assert.equal(reader.recent(), before);
    time.now += 0.1;
    assert.notEqual(reader.recent(), before);
    assert.equal(reader.recent(), writer.recent());
  });

  test('is looked at anew by who has heard of a change, and by who made it', (t) => {
    const { writer, reader } = pair(t);
    const before = reader.recent();
    assert.equal(writer.recent(), before);
    writer.advance();
    assert.notEqual(writer.recent(), before);
    reader.refresh();
    assert.equal(reader.recent(), writer.recent());
  });
});
