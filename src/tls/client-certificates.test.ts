import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { pemBlocks } from '../pki/pem.ts';
import { issuersOf } from './client-certificates.ts';

test('what stands between a client and its root is known as far as it is configured', async () => {
  const authority = await createAuthority();
  const { chainPem } = await authority.issue(['client']);
  const [leaf, intermediate = ''] = pemBlocks(chainPem).map(({ pem }) => pem);
  assert.ok(leaf);
  const issuers = (clientCa: string) =>
    issuersOf(new X509Certificate(leaf), { clientRules: {}, clientCa }).map(({ subject }) => subject);
  assert.deepEqual(issuers(authority.rootPem + intermediate), [new X509Certificate(intermediate).subject]);
  assert.deepEqual(issuers(intermediate), [new X509Certificate(intermediate).subject]);
  assert.deepEqual(issuers(authority.rootPem), []);
  assert.deepEqual(issuers(''), []);
});
