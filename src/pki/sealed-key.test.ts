import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { derivationCost } from './key-cost.ts';
import { generateKey, keyFromPem } from './keys.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';
import { sealKey } from './sealed-key.ts';

const ec = await generateKey({ type: 'EC', name: 'p-256' });
const rsa = await generateKey({ type: 'RSA', bits: 2048 });

test('a sealed key is opened with its secret, whatever that is, and with no other', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 64 }), (bytes) => {
      const secret = Buffer.from(bytes);
      const pem = sealKey(ec, secret);
      assert(keyFromPem(pem, secret).equals(ec));
      const other = Buffer.from(secret);
      other[0] = (other[0] ?? 0) ^ 1;
      assert.throws(() => keyFromPem(pem, other), { code: 'key-passphrase' });
    }),
    { numRuns: 50 },
  );
});

test('the same key is never sealed the same way twice, and costs no stretching', () => {
  const secret = randomBytes(48);
  assert.notEqual(sealKey(ec, secret), sealKey(ec, secret));
  assert.ok(derivationCost(sealKey(ec, secret)) < 100);
});

test('what could be guessed seals nothing', () => {
  assert.throws(() => sealKey(ec, Buffer.from('a passphrase of a person')), RangeError);
});

test('openssl opens a sealed key', { skip: withoutOpenssl }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-sealed-'));
  t.after(() => rmSync(folder, { recursive: true }));
  // It takes a passphrase as the first line of a file: bytes without newline and NUL.
  const secret = Buffer.from(randomBytes(48).map((byte) => byte | 0x80));
  const file = join(folder, 'passphrase');
  writeFileSync(file, secret);
  for (const key of [rsa, ec]) {
    const sealed = sealKey(key, secret);
    assert(keyFromPem(openssl(['pkcs8', '-passin', `file:${file}`], sealed)).equals(key));
    assert.match(openssl(['asn1parse'], sealed), /PBES2[^]*PBKDF2[^]*aes-256-cbc/);
  }
});
