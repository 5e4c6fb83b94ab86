import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const files = { 'a.pem': 'any', 'cas/a.pem': 'any' };
const host = (lines: string) =>
  `Listen 443\n<VirtualHost *:443>\nServerName a.test\nSSLEngine on\nSSLCertificateFile a.pem\n${lines}\n</VirtualHost>\n`;

test('SSLOpenSSLConfCmd has groups, by both their names, and signature algorithms', (t) => {
  const tls = (lines: string) => load(t, host(lines), { files }).hosts[0]?.tls;
  assert.equal(tls('')?.groups, undefined);
  assert.equal(tls('SSLOpenSSLConfCmd Curves P-384:X25519')?.groups, 'P-384:X25519');
  assert.equal(tls('SSLOpenSSLConfCmd groups X25519MLKEM768:X25519')?.groups, 'X25519MLKEM768:X25519');
  const algorithms = 'ECDSA+SHA256:RSA-PSS+SHA256';
  assert.equal(tls(`SSLOpenSSLConfCmd SignatureAlgorithms ${algorithms}`)?.signatureAlgorithms, algorithms);
});

test('SSLOpenSSLConfCmd refuses what OpenSSL does not know, at its line', (t) => {
  for (const command of ['Groups', 'SignatureAlgorithms']) {
    const error = refusal(t, host(`SSLOpenSSLConfCmd ${command} NO-SUCH`), { files });
    assert.match(
      error.message,
      new RegExp(`^SSLOpenSSLConfCmd ${command}: OpenSSL does not accept 'NO-SUCH'`),
    );
    assert.equal(error.line, 6);
  }
});

const idle: Record<string, RegExp> = {
  'SSLOpenSSLConfCmd MinProtocol TLSv1.2': /MinProtocol has no effect: use SSLProtocol$/,
  'SSLOpenSSLConfCmd CipherString HIGH': /CipherString has no effect: use SSLCipherSuite$/,
  'SSLOpenSSLConfCmd Ciphersuites TLS_AES_128_GCM_SHA256': /use SSLCipherSuite TLSv1\.3$/,
  'SSLOpenSSLConfCmd Options -SessionTicket': /use SSLHonorCipherOrder or SSLSessionTickets$/,
  'SSLOpenSSLConfCmd DHParameters dh.pem': /^SSLOpenSSLConfCmd DHParameters has no effect$/,
  'SSLCADNRequestFile a.pem': /^SSLCADNRequestFile has no effect: clients are told of SSLCACertificateFile/,
  'SSLCADNRequestPath cas': /^SSLCADNRequestPath has no effect/,
};
for (const [line, warning] of Object.entries(idle)) {
  test(`${line} is a warning`, (t) => {
    const [found, ...more] = load(t, host(line), { files }).warnings;
    assert.match(found?.message ?? '', warning);
    assert.deepEqual([found?.line, more], [6, []]);
  });
}
