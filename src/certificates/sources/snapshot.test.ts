import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { Snapshot, writeSnapshot, type SnapshotEntry } from './snapshot.ts';
import { collect } from './snapshot.testing.ts';

const SECRET = Buffer.alloc(48, 7);

/** Some fill a block of their own. */
const entry = (n: number): SnapshotEntry => ({
  store: 'store',
  asked: `a${n}.example`,
  names: [`a${n}.example`, `*.a${n}.example`],
  ...(n % 2 ? { tag: `0 "${n}"` } : {}),
  certificates: [
    {
      keyType: 'ec',
      chainPem: `chain ${n}`.padEnd(n % 3 ? 1000 : 20_000),
      keyPem: `SECRET KEY ${n}`,
      serial: '01',
      notBefore: n,
      notAfter: n + 0.5,
    },
  ],
});
const entries = (count: number) => Array.from({ length: count }, (_, n) => entry(n));

function place(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-snapshot-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'snapshot');
}

/** What can be read, or why nothing can. */
async function read(file: string, secret = SECRET): Promise<{ found: SnapshotEntry[]; problem: string }> {
  try {
    await using snapshot = await Snapshot.open(file, secret);
    return { found: snapshot ? await collect(snapshot.entries()) : [], problem: '' };
  } catch (error) {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'snapshot-unusable');
    return { found: [], problem: error.message };
  }
}

suite('a snapshot', () => {
  test('gives back what was written, and shows nobody else anything of it', async (t) => {
    const file = place(t);
    await writeSnapshot(file, SECRET, entries(500));
    assert.deepEqual((await read(file)).found, entries(500));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.doesNotMatch(readFileSync(file, 'latin1'), /SECRET|example|chain/);
    assert.equal(readdirSync(join(file, '..')).length, 1);
    assert.deepEqual(await read(file, Buffer.alloc(48, 8)), {
      found: [],
      problem: "the snapshot can't be read: it is damaged, or of another store",
    });
  });

  test('finds what a name leads to, or the wildcard over it', async (t) => {
    const file = place(t);
    await writeSnapshot(file, SECRET, entries(500));
    await using snapshot = await Snapshot.open(file, SECRET);
    for (let n = 0; n < 500; n += 7) {
      assert.deepEqual(await snapshot?.find('store', `a${n}.example`), entry(n));
      assert.deepEqual(await snapshot?.find('store', `www.a${n}.example`), entry(n));
    }
    assert.equal(await snapshot?.find('store', 'b.a.a1.example'), undefined);
    assert.equal(await snapshot?.find('store', 'a500.example'), undefined);
    assert.equal(await snapshot?.find('other', 'a1.example'), undefined);
  });

  test('that is not there is none; that cannot be written leaves the one before', async (t) => {
    const file = place(t);
    assert.equal(await Snapshot.open(file, SECRET), undefined);
    // What a writer left that was killed is in nobody's way.
    writeFileSync(`${file}.part`, 'half', { mode: 0o644 });
    await writeSnapshot(file, SECRET, []);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(await read(file), { found: [], problem: '' });
    await writeSnapshot(file, SECRET, [entry(1)]);
    const broken = (function* () {
      yield entry(2);
      throw new Error('disk full');
    })();
    await assert.rejects(writeSnapshot(file, SECRET, broken), /disk full/);
    assert.deepEqual((await read(file)).found, [entry(1)]);
    assert.equal(readdirSync(join(file, '..')).length, 1);
  });

  test('that is damaged anywhere gives nothing that was not written', async (t) => {
    const file = place(t);
    const all = entries(20);
    await writeSnapshot(file, SECRET, all);
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
        const { found } = await read(file);
        assert.ok(found.length < all.length);
        for (const one of found)
          assert.deepEqual(
            one,
            all.find(({ asked }) => asked === one.asked),
          );
      }),
    );
  });

  test('whose blocks were put in another order is damaged', async (t) => {
    const file = place(t);
    // Each is a block of its own, and both are of one length.
    await writeSnapshot(file, SECRET, [entry(0), entry(6)]);
    const bytes = readFileSync(file);
    const end = Number(bytes.readBigUInt64BE(bytes.length - 8));
    const middle = 24 + (end - 24) / 2;
    const swapped = [bytes.subarray(middle, end), bytes.subarray(24, middle)];
    writeFileSync(file, Buffer.concat([bytes.subarray(0, 24), ...swapped, bytes.subarray(end)]));
    assert.deepEqual(await read(file), { found: [], problem: '' });
  });

  test('of which one block is damaged gives the others', async (t) => {
    const file = place(t);
    await writeSnapshot(file, SECRET, entries(500));
    const bytes = readFileSync(file);
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const { found } = await read(file);
    assert.deepEqual(found, entries(500).slice(-found.length));
    assert.ok(found.length > 400);
    await using snapshot = await Snapshot.open(file, SECRET);
    assert.equal(await snapshot?.find('store', 'a0.example'), undefined);
    assert.deepEqual(await snapshot?.find('store', 'a499.example'), entry(499));
  });
});
