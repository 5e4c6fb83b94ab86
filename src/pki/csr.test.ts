import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { CertificationRequest } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { createCsr } from './csr.ts';
import { generateKey } from './keys.ts';
import type { KeySpec } from './keyspec.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';

const key = await generateKey({ type: 'EC', name: 'p-256' });

function describe(csr: Buffer): string {
  return openssl(['req', '-inform', 'DER', '-noout', '-text', '-verify'], csr);
}

test('openssl verifies requests of every kind of key', { skip: withoutOpenssl }, async () => {
  const specs: [KeySpec, RegExp][] = [
    [{ type: 'RSA', bits: 2048 }, /sha256WithRSAEncryption/],
    [{ type: 'EC', name: 'p-256' }, /ecdsa-with-SHA256/],
    [{ type: 'EC', name: 'secp384r1' }, /ecdsa-with-SHA384/],
    [{ type: 'EC', name: 'p-521' }, /ecdsa-with-SHA512/],
    [{ type: 'EC', name: 'secp256k1' }, /ecdsa-with-SHA256/],
  ];
  for (const [spec, algorithm] of specs) {
    const text = describe(await createCsr({ key: await generateKey(spec), names: ['a.example'] }));
    assert.match(text, /verify OK/);
    assert.match(text, algorithm);
  }
});

test('a request names hosts, wildcards and addresses', { skip: withoutOpenssl }, async () => {
  const text = describe(
    await createCsr({ key, names: ['A.example', '*.b.example', '192.0.2.1', '2001:DB8::1'] }),
  );
  assert.match(
    text,
    /DNS:a\.example, DNS:\*\.b\.example, IP Address:192\.0\.2\.1, IP Address:2001:DB8:0:0:0:0:0:1\n/,
  );
  assert.match(text, /Subject: CN = a\.example/);
  assert.doesNotMatch(text, /TLS Feature/);
});

test('the common name is the first name that fits into one', { skip: withoutOpenssl }, async () => {
  const long = `${'x'.repeat(60)}.example`;
  assert.match(
    describe(await createCsr({ key, names: [long, 'short.example'] })),
    /Subject: CN = short\.example/,
  );
  assert.match(describe(await createCsr({ key, names: [long] })), /Subject: *\n/);
  assert.match(describe(await createCsr({ key, names: ['192.0.2.1'] })), /Subject: *\n/);
});

test('must-staple is asked for when wanted', { skip: withoutOpenssl }, async () => {
  const text = describe(await createCsr({ key, names: ['a.example'], mustStaple: true }));
  assert.match(text, /TLS Feature: *\n *status_request/);
});

test('names that cannot stand in a certificate are refused', async () => {
  const bad = [
    '',
    ' ',
    'a b',
    'a..b',
    '.a',
    'a.',
    'ä.example',
    'a.*.example',
    '**.a',
    'a,DNS:b',
    'a\0.b',
    '1.2.3.4/8',
  ];
  for (const name of [...bad, 'x'.repeat(64), `${'a.'.repeat(127)}ab`]) {
    await assert.rejects(createCsr({ key, names: ['ok.example', name] }), { code: 'name-invalid' }, name);
  }
});

test('a key that cannot sign is refused', async () => {
  const { privateKey } = generateKeyPairSync('x25519');
  await assert.rejects(createCsr({ key: privateKey, names: ['a.example'] }), { code: 'key-cannot-sign' });
});

test('the private key is not in the request', async () => {
  const csr = await createCsr({ key, names: ['a.example'] });
  assert.equal(AsnConvert.parse(csr, CertificationRequest).certificationRequestInfo.version, 0);
  const secret = Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url');
  assert(secret.length > 0 && !csr.includes(secret));
});
