import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChain } from './certificate.ts';
import { KnownCertificates } from './known-certificates.ts';
import { createFallbackCertificate } from './selfsigned.ts';

test('a certificate that is known is not read again, and garbage never is known', async () => {
  const known = new KnownCertificates();
  const one = await createFallbackCertificate({ names: ['one.example'], now: Date.now() });
  const two = await createFallbackCertificate({ names: ['two.example'], now: Date.now() });
  const [first] = parseChain(one.certPem, { known });
  const again = parseChain(two.certPem + one.certPem, { known });
  assert.equal(again[1], first);
  assert.deepEqual(again[0]?.names, ['two.example']);
  assert.notEqual(parseChain(one.certPem)[0], first);
  for (let i = 0; i < 2; i++) {
    const damaged = one.certPem.replace(/\n[^\n]+\n-----END/, '\n-----END');
    assert.throws(() => parseChain(damaged, { known }), { code: 'certificate-unreadable' });
  }
});
