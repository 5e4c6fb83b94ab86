import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { decodeSet, encodeSet, versionOf } from './blob.ts';
import { createAuthority } from './credentials.testing.ts';

suite('The blob of a certificate set', async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue(['www.example.org']);
  const { blob, chains, version } = encodeSet({ fallback: false, certificates: [certificate] });
  const chain = (hash: string) => chains.get(hash);

  test('is small: DER, and the chain elsewhere', () => {
    assert.ok(blob.length < 1024, `${blob.length} bytes`);
    assert.equal(chains.size, 1);
  });

  test('shows its version without being decoded', () => {
    assert.equal(versionOf(blob.subarray(0, 17)), version);
  });

  test('with any bit changed is none', () => {
    fc.assert(
      fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const damaged = Buffer.from(blob);
        damaged.writeUInt8(damaged.readUInt8(at) ^ bits, at);
        assert.equal(decodeSet(damaged, chain), undefined);
      }),
    );
  });

  test('cut off or followed by something is none', () => {
    for (let length = 0; length < blob.length; length++) {
      assert.equal(decodeSet(blob.subarray(0, length), chain), undefined);
    }
    assert.equal(decodeSet(Buffer.concat([blob, Buffer.of(0)]), chain), undefined);
  });

  test('whose chain is missing is none', () => {
    assert.equal(
      decodeSet(blob, () => undefined),
      undefined,
    );
  });

  test('made of garbage is none, whoever signed it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
        assert.equal(decodeSet(Buffer.from(garbage), chain), undefined);
      }),
    );
  });
});
