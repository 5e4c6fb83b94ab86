import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { createPolicy, modernPolicy } from './policy.ts';
import type { TlsPolicySettings } from './policy.ts';

suite('A TLS policy', async () => {
  const clientCa = (await createAuthority()).rootPem;

  test('is modern unless something else is asked for', () => {
    assert.equal(modernPolicy.minVersion, 'TLSv1.2');
    assert.equal(modernPolicy.maxVersion, 'TLSv1.3');
    assert.equal(modernPolicy.clientAuth, 'none');
    assert.equal(modernPolicy.cipherOrder, 'modern');
    assert.ok(modernPolicy.ciphers.split(':').every((suite) => /^ECDHE-.*(?:GCM|POLY1305)/.test(suite)));
  });

  test('has an id that is equal for equal policies and for no others', () => {
    const policies: TlsPolicySettings[] = [
      {},
      { minVersion: 'TLSv1.3' },
      { maxVersion: 'TLSv1.2' },
      { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
      { ciphersuites: 'TLS_AES_128_GCM_SHA256' },
      { cipherOrder: 'server' },
      { cipherOrder: 'client' },
      { clientCa },
      { clientCa, clientAuth: 'optional' },
      { clientCa, clientAuth: 'require' },
    ];
    const ids = policies.map((settings) => createPolicy(settings).id);
    assert.equal(new Set(ids).size, policies.length);
    assert.deepEqual(
      policies.map((settings) => createPolicy({ ...settings }).id),
      ids,
    );
  });

  const wrong: Record<string, TlsPolicySettings> = {
    'versions that exclude each other': { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' },
    'a cipher list of nonsense': { ciphers: 'NO-SUCH-CIPHER' },
    'suites of nonsense': { ciphersuites: 'TLS_NO_SUCH_SUITE' },
    'client certificates without a CA': { clientAuth: 'require' },
    'client certificates of nobody': { clientAuth: 'optional', clientCa: 'an empty file' },
  };
  for (const [what, settings] of Object.entries(wrong)) {
    test(`with ${what} is refused`, () => {
      assert.throws(() => createPolicy(settings), { code: 'tls-bad-policy' });
    });
  }
});
