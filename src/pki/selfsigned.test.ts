import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import tls from 'node:tls';
import { Certificate, matchesKey } from './certificate.ts';
import { generateKey, keyFromPem } from './keys.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';
import { createAlpnCertificate, createFallbackCertificate } from './selfsigned.ts';

const now = Date.parse('2026-11-22T06:00:00.789Z');

test('a fallback certificate carries all names for 14 days, by its own key', async () => {
  const { certPem, keyPem } = await createFallbackCertificate({
    names: ['a.example', '*.a.example', '::1'],
    now,
  });
  const certificate = new Certificate(certPem);
  assert.deepEqual(certificate.names, ['a.example', '*.a.example', '::1']);
  assert.equal(certificate.notBefore, Date.parse('2026-11-22T06:00:00Z'));
  assert.equal(certificate.notAfter, Date.parse('2026-12-06T06:00:00Z'));
  assert.equal(certificate.keyType, 'ec');
  assert(matchesKey(certificate, keyFromPem(keyPem)));
  assert(certificate.x509.verify(certificate.x509.publicKey));
  assert(!certificate.x509.ca);
});

test('a fallback certificate has the kind of key that is asked for', async () => {
  const { certPem } = await createFallbackCertificate({
    names: ['a.example'],
    spec: { type: 'RSA', bits: 2048 },
    now,
  });
  assert.equal(new Certificate(certPem).keyType, 'rsa');
});

test('no two certificates have one serial, and all serials are positive', async () => {
  const serials = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { certPem } = await createFallbackCertificate({ names: ['a.example'], now });
    serials.add(new Certificate(certPem).serial);
  }
  assert.equal(serials.size, 20);
  for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
});

test('a TLS client that trusts the fallback certificate accepts it', async (t) => {
  const { certPem, keyPem } = await createFallbackCertificate({ names: ['a.example'], now: Date.now() });
  const server = tls.createServer({ cert: certPem, key: keyPem }, (socket) => socket.end());
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  assert(address && typeof address === 'object');
  const socket = tls.connect({ port: address.port, host: '127.0.0.1', ca: certPem, servername: 'a.example' });
  await once(socket, 'secureConnect');
  assert(socket.authorized);
  socket.destroy();
});

test(
  'openssl finds the acmeIdentifier: critical, the digest of the key authorization',
  { skip: withoutOpenssl },
  async () => {
    const keyAuthorization = 'token.thumbprint';
    const { certPem } = await createAlpnCertificate({ name: 'a.example', keyAuthorization, now });
    const text = openssl(['x509', '-noout', '-text'], certPem);
    assert.match(text, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical/);
    const digest = createHash('sha256').update(keyAuthorization).digest('hex');
    const parsed = openssl(['asn1parse'], certPem);
    assert.match(parsed, new RegExp(`\\[HEX DUMP\\]:0420${digest}`, 'i'));
  },
);

test('a challenge certificate is for one name, also an address, with the key given', async () => {
  const key = await generateKey({ type: 'RSA', bits: 2048 });
  for (const name of ['a.example', '192.0.2.7', '2001:db8::7']) {
    const { certPem, keyPem } = await createAlpnCertificate({ name, keyAuthorization: 'a.b', key, now });
    const certificate = new Certificate(certPem);
    assert.deepEqual(certificate.names, [name]);
    assert(matchesKey(certificate, key) && keyFromPem(keyPem).equals(key));
  }
});

test('what is no name is refused', async () => {
  await assert.rejects(createFallbackCertificate({ names: ['a b'], now }), { code: 'name-invalid' });
});
