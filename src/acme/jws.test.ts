import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import * as jose from 'jose';
import { generateKey } from '../pki/keys.ts';
import { bindExternalAccount, signRequest, thumbprint } from './jws.ts';

const url = 'https://ca.example/new-order';
const specs = [
  [{ type: 'EC', name: 'p-256' }, 'ES256'],
  [{ type: 'EC', name: 'p-384' }, 'ES384'],
  [{ type: 'EC', name: 'p-521' }, 'ES512'],
  [{ type: 'RSA', bits: 2048 }, 'RS256'],
] as const;

test('a newcomer shows its public key, an account its URL, and both signatures verify', async () => {
  for (const [spec, alg] of specs) {
    const key = await generateKey(spec);
    const newcomer = await signRequest({ key, url, nonce: 'n1', payload: { a: 1 } });
    const verified = await jose.flattenedVerify(newcomer, jose.EmbeddedJWK);
    assert.deepEqual(JSON.parse(Buffer.from(verified.payload).toString()), { a: 1 });
    const { jwk, ...header } = verified.protectedHeader ?? {};
    assert.deepEqual(header, { alg, nonce: 'n1', url });
    assert(jwk && !('d' in jwk) && !('p' in jwk), 'the private key is in the header');
    const known = await signRequest({ key, url, nonce: 'n2', kid: 'https://ca.example/1', payload: {} });
    const { protectedHeader } = await jose.flattenedVerify(known, jwk, {});
    assert.deepEqual(protectedHeader, { alg, nonce: 'n2', url, kid: 'https://ca.example/1' });
  }
});

test('POST-as-GET has an empty payload, which an empty object is not', async () => {
  const key = await generateKey(specs[0][0]);
  const options = { key, url, nonce: 'n', kid: 'k' };
  assert.equal((await signRequest({ ...options, payload: undefined })).payload, '');
  assert.equal((await signRequest({ ...options, payload: {} })).payload, 'e30');
});

test('thumbprints are those of RFC 7638', async () => {
  for (const [spec] of specs) {
    const key = await generateKey(spec);
    const jwk = await jose.exportJWK(key);
    assert.equal(thumbprint(key), await jose.calculateJwkThumbprint(jwk));
  }
});

test('an external account signs the public key for one URL', async () => {
  const key = await generateKey(specs[0][0]);
  const secret = Buffer.from('0123456789abcdef0123456789abcdef');
  const jws = bindExternalAccount({ kid: 'kid-1', hmac: secret.toString('base64url') }, key, url);
  const { payload, protectedHeader } = await jose.flattenedVerify(jws, secret);
  assert.deepEqual(protectedHeader, { alg: 'HS256', kid: 'kid-1', url });
  assert.equal(
    await jose.calculateJwkThumbprint(JSON.parse(Buffer.from(payload).toString())),
    thumbprint(key),
  );
});

test('keys that can not sign are refused by name', async () => {
  const ed25519 = generateKeyPairSync('ed25519').privateKey;
  const k1 = await generateKey({ type: 'EC', name: 'secp256k1' });
  for (const key of [ed25519, k1]) {
    await assert.rejects(signRequest({ key, url, nonce: 'n', kid: 'k', payload: {} }), {
      code: 'acme-account-key',
    });
  }
  const key = await generateKey(specs[0][0]);
  assert.throws(() => bindExternalAccount({ kid: 'k', hmac: '' }, key, url), { code: 'acme-account-key' });
});
