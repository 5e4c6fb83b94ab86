import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { curveNamed, generateKey, keyFileSuffix, keyFromPem, keyToPem, keyType } from './keys.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';

const ec = await generateKey({ type: 'EC', name: 'p-256' });
const rsa = await generateKey({ type: 'RSA', bits: 2048 });

function same(a: KeyObject, b: KeyObject): boolean {
  return a.equals(b);
}

function encrypted(key: KeyObject, passphrase: Buffer): string {
  return key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString();
}

test('curves are known by all the names users write', async () => {
  const names = {
    'P-256': 'prime256v1',
    secp256r1: 'prime256v1',
    prime256v1: 'prime256v1',
    'p-384': 'secp384r1',
    SECP384R1: 'secp384r1',
    'P-521': 'secp521r1',
    secp521r1: 'secp521r1',
    secp192r1: 'prime192v1',
    brainpoolp256r1: 'brainpoolP256r1',
  };
  for (const [name, curve] of Object.entries(names)) {
    assert.equal(curveNamed(name), curve);
    const key = await generateKey({ type: 'EC', name });
    assert.equal(key.asymmetricKeyDetails?.namedCurve, curve);
  }
});

test('unknown curves and impossible sizes are refused by name', async () => {
  for (const name of ['p-255', '', 'constructor', '__proto__', 'x25519']) {
    await assert.rejects(generateKey({ type: 'EC', name }), { code: 'key-unknown-curve' }, name);
  }
  for (const bits of [1024, 2047, 16_385, 2048.5, Number.NaN, 1e9]) {
    await assert.rejects(generateKey({ type: 'RSA', bits }), { code: 'key-bad-size' });
  }
});

test('a key has a type and its file a suffix', () => {
  assert.equal(keyType(ec), 'ec');
  assert.equal(keyType(rsa), 'rsa');
  assert.equal(rsa.asymmetricKeyDetails?.modulusLength, 2048);
  assert.equal(keyFileSuffix({ type: 'RSA', bits: 4096 }), '');
  assert.equal(keyFileSuffix({ type: 'EC', name: 'P-384' }), '.p-384');
  assert.equal(keyFileSuffix({ type: 'EC', name: 'secp384r1' }), '.secp384r1');
});

test('keys come back from PEM, plain and encrypted with any passphrase', () => {
  assert(same(keyFromPem(keyToPem(rsa)), rsa));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
      const passphrase = Buffer.from(bytes);
      assert(same(keyFromPem(encrypted(ec, passphrase), passphrase), ec));
    }),
    { numRuns: 20 },
  );
});

test('PKCS#1 and SEC1 are read, also with the EC PARAMETERS that openssl puts first', () => {
  const pkcs1 = rsa.export({ type: 'pkcs1', format: 'pem' });
  const sec1 = ec.export({ type: 'sec1', format: 'pem' });
  const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
  assert(same(keyFromPem(pkcs1), rsa));
  assert(same(keyFromPem(sec1), ec));
  assert(same(keyFromPem(parameters + sec1.toString()), ec));
});

test('a passphrase is not needed for a plain key and does no harm', () => {
  assert(same(keyFromPem(keyToPem(ec), Buffer.from('unused')), ec));
});

test('a missing or wrong passphrase is named, and is in no message', () => {
  const pem = encrypted(ec, Buffer.from('right secret'));
  assert.throws(() => keyFromPem(pem), { code: 'key-passphrase', message: /no passphrase/ });
  for (let i = 0; i < 50; i++) {
    assert.throws(
      () => keyFromPem(pem, Buffer.from(`wrong secret ${i}`)),
      (error: Error & { code: string }) =>
        error.code === 'key-passphrase' && !error.message.includes('secret'),
    );
  }
});

test('what is no private key is unreadable', () => {
  const publicPem = createPublicKey(ec).export({ type: 'spki', format: 'pem' });
  for (const garbage of ['', 'garbage', publicPem, keyToPem(ec).slice(0, 80), '\0'.repeat(1000)]) {
    assert.throws(() => keyFromPem(garbage), { code: 'key-unreadable' });
  }
});

test('what openssl encrypts is read', { skip: withoutOpenssl }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-keys-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  // openssl takes a passphrase as the first line of a file: bytes without newline and NUL.
  const passphrase = Buffer.from(randomBytes(48).map((byte) => byte | 0x80));
  const file = join(folder, 'passphrase');
  writeFileSync(file, passphrase);
  const pem = openssl(['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-passout', `file:${file}`], keyToPem(ec));
  assert.match(pem, /BEGIN ENCRYPTED PRIVATE KEY/);
  assert(same(keyFromPem(pem, passphrase), ec));
});

test('other kinds of keys have their own name', () => {
  assert.equal(keyType(generateKeyPairSync('ed25519').privateKey), 'ed25519');
});
