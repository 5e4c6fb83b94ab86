import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { readSnapshot, writeSnapshot, type SnapshotEntry } from './snapshot.ts';

const SECRET = Buffer.alloc(48, 7);
const entry = (n: number): SnapshotEntry => ({
  store: 'store',
  asked: `a${n}.example`,
  ...(n % 2 ? { tag: `0 "${n}"` } : {}),
  chain: `chain ${n}`,
  key: `SECRET KEY ${n}`,
});

function place(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-snapshot-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'snapshot');
}

/** What can be read before the end, or before what ends it. */
async function read(file: string, secret = SECRET): Promise<{ entries: SnapshotEntry[]; problem: string }> {
  const entries: SnapshotEntry[] = [];
  try {
    for await (const each of readSnapshot(file, secret)) entries.push(each);
    return { entries, problem: '' };
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'snapshot-unusable');
    return { entries, problem: error.message };
  }
}

suite('a snapshot', () => {
  test('gives back what was written, and shows nobody else anything of it', async (t) => {
    const file = place(t);
    const entries = Array.from({ length: 500 }, (_, n) => entry(n));
    await writeSnapshot(file, SECRET, entries);
    assert.deepEqual((await read(file)).entries, entries);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.doesNotMatch(readFileSync(file, 'latin1'), /SECRET|example|chain/);
    assert.equal(readdirSync(join(file, '..')).length, 1);
    const { entries: none, problem } = await read(file, Buffer.alloc(48, 8));
    assert.deepEqual(
      [none.length, problem],
      [0, "the snapshot can't be read: it is damaged, or of another store"],
    );
  });

  test('that is not there is empty; that cannot be written leaves the one before', async (t) => {
    const file = place(t);
    assert.deepEqual(await read(file), { entries: [], problem: '' });
    await writeSnapshot(file, SECRET, [entry(1)]);
    const broken = (function* () {
      yield entry(2);
      throw new Error('disk full');
    })();
    await assert.rejects(writeSnapshot(file, SECRET, broken), /disk full/);
    assert.deepEqual((await read(file)).entries, [entry(1)]);
    assert.equal(readdirSync(join(file, '..')).length, 1);
  });

  test('that is damaged anywhere gives what is before, unchanged', async (t) => {
    const file = place(t);
    const entries = [entry(0), entry(1), entry(2)];
    await writeSnapshot(file, SECRET, entries);
    const good = readFileSync(file);
    const damage = fc.oneof(
      fc.nat({ max: good.length - 1 }).map((at) => good.subarray(0, at)),
      fc.tuple(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => {
        const bytes = Buffer.from(good);
        bytes[at] = (bytes[at] ?? 0) ^ bits;
        return bytes;
      }),
    );
    await fc.assert(
      fc.asyncProperty(damage, async (bytes) => {
        writeFileSync(file, bytes);
        const found = await read(file);
        assert.ok(found.entries.length < 3);
        assert.deepEqual(found.entries, entries.slice(0, found.entries.length));
      }),
    );
  });

  test('whose entries were put in another order is damaged', async (t) => {
    const file = place(t);
    await writeSnapshot(file, SECRET, [entry(0), entry(2)]);
    const bytes = readFileSync(file);
    const [head, both] = [bytes.subarray(0, 24), bytes.subarray(24)];
    const length = both.readUInt32BE() + 4;
    writeFileSync(file, Buffer.concat([head, both.subarray(length), both.subarray(0, length)]));
    assert.match((await read(file)).problem, /damaged/);
  });
});
