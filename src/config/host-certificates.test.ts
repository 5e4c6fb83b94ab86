import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const files = { 'a.pem': 'a', 'a.key': 'a', 'b.pem': 'b', 'ca.pem': 'ca', 'empty.pem': '' };
const host = (text: string, addresses = '*:443') =>
  `<VirtualHost ${addresses}>\nServerName a.example\n${text}\n</VirtualHost>\n`;

test('keys belong to certificates in order, and are in the same file where there is none', (t) => {
  const text = `Listen 443\n${host('SSLEngine on\nSSLCertificateFile a.pem\nSSLCertificateKeyFile a.key\nSSLCertificateFile b.pem\nSSLCertificateChainFile ca.pem')}`;
  const { hosts, serverRoot } = load(t, text, { files });
  assert.deepEqual(
    hosts[0]?.tls.certificates.map(({ at: _at, ...certificate }) => certificate),
    [
      {
        certificateFile: `${serverRoot}/a.pem`,
        keyFile: `${serverRoot}/a.key`,
        chainFile: `${serverRoot}/ca.pem`,
      },
      {
        certificateFile: `${serverRoot}/b.pem`,
        keyFile: `${serverRoot}/b.pem`,
        chainFile: `${serverRoot}/ca.pem`,
      },
    ],
  );
});

test('a host without certificates has the base server’s; mod_tls adds its own to them', (t) => {
  const names = (text: string) =>
    load(t, `Listen 443\n${text}`, { files }).hosts[0]?.tls.certificates.map((one) =>
      one.certificateFile.replace(/.*\//, ''),
    );
  assert.deepEqual(names(`SSLCertificateFile a.pem\n${host('SSLEngine on')}`), ['a.pem']);
  assert.deepEqual(names(`SSLCertificateFile a.pem\n${host('SSLEngine on\nSSLCertificateFile b.pem')}`), [
    'b.pem',
  ]);
  assert.deepEqual(names(`TLSEngine 443\nTLSCertificate a.pem a.key\n${host('TLSCertificate b.pem')}`), [
    'a.pem',
    'b.pem',
  ]);
});

test('a host with TLS and neither certificate nor managed domain is refused', (t) => {
  const ssl = refusal(t, `Listen 443\n${host('SSLEngine on')}`);
  assert.match(
    ssl.message,
    /^Init: \(a\.example:443\) Failed to configure at least one certificate and key.*Missing SSLCertificateFile/,
  );
  assert.equal(ssl.line, 2);
  assert.match(refusal(t, `Listen 443\nTLSEngine 443\n${host('')}`).message, /Missing TLSCertificate/);
  load(t, `Listen 443\nMDomain a.example\n${host('SSLEngine on')}`);
});

test('Listen for https means TLS for hosts that have a certificate', (t) => {
  const engine = (text: string) => load(t, text, { files }).hosts[0]?.tls.engine;
  assert.equal(engine(`Listen 443\n${host('SSLCertificateFile a.pem')}`), true);
  assert.equal(engine(`Listen 443\nMDomain a.example\n${host('')}`), true);
  assert.equal(engine(`Listen 8443 https\nMDomain a.example\n${host('', '*:8443')}`), true);
  assert.equal(engine(`Listen 443 http\nMDomain a.example\n${host('')}`), false);
});

test('files that are missing, empty or folders are refused', (t) => {
  for (const file of ['none.pem', 'empty.pem', '.']) {
    const error = refusal(t, `SSLEngine off\nSSLCertificateFile ${file}`, { files });
    assert.match(error.message, /^SSLCertificateFile: file '.*' does not exist or is empty$/);
    assert.equal(error.line, 2);
  }
});

test('mod_ssl and mod_tls do not share an address', (t) => {
  const text = `Listen 443\nTLSEngine 443\n${host('SSLEngine on\nSSLCertificateFile a.pem')}`;
  assert.match(refusal(t, text, { files }).message, /SSLEngine on and TLSEngine/);
});

test('hosts at one address agree about TLS', (t) => {
  const secure = host('SSLEngine on\nSSLCertificateFile a.pem');
  const off = refusal(t, `Listen 443\n${secure}${host('SSLEngine off')}`, { files });
  assert.match(off.message, /an address speaks TLS or it does not/);
  assert.equal(off.line, 9);
  const silent = load(t, `Listen 443 http\n${secure}${host('')}`, { files });
  assert.deepEqual(
    silent.hosts.map((one) => one.tls.engine),
    [true, true],
  );
  assert.match(silent.warnings[0]?.message ?? '', /SSLEngine is not on here, but it is for other hosts/);
});

test('protocols, ciphers and client certificates', (t) => {
  const text = `Listen 443
SSLHonorCipherOrder on
SSLProtocol all -TLSv1.2 -SSLv3
${host(
  `SSLEngine on
SSLCertificateFile a.pem
SSLCipherSuite ECDHE+AESGCM
SSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256
SSLStrictSNIVHostCheck on
SSLVerifyClient require
SSLCACertificateFile ca.pem`,
)}`;
  const { hosts, serverRoot } = load(t, text, { files });
  const tls = hosts[0]?.tls;
  assert.deepEqual([tls?.minVersion, tls?.maxVersion], ['TLSv1.3', 'TLSv1.3']);
  assert.deepEqual([tls?.ciphers, tls?.ciphersuites], ['ECDHE+AESGCM', 'TLS_AES_128_GCM_SHA256']);
  assert.deepEqual([tls?.cipherOrder, tls?.strictSni], ['server', true]);
  assert.deepEqual([tls?.clientAuth, tls?.clientCa], ['require', `${serverRoot}/ca.pem`]);
  const missing = refusal(
    t,
    `Listen 443\n${host('SSLEngine on\nSSLCertificateFile a.pem\nSSLVerifyClient optional')}`,
    {
      files,
    },
  );
  assert.match(missing.message, /^SSLVerifyClient optional needs SSLCACertificateFile/);
  assert.match(refusal(t, 'SSLProtocol -all').message, /no protocol is left/);
});

test('protocols and ciphers that OpenSSL does not know are refused at their line', (t) => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['SSLCipherSuite NOPE', /^OpenSSL does not accept the list 'NOPE': no cipher match$/],
    ['SSLCipherSuite TLSv1.3 TLS_NOPE', /^OpenSSL does not accept the list 'TLS_NOPE': no cipher match$/],
    ['SSLCipherSuite TLSv1.9 NOPE', /^protocol 'TLSv1\.9' not supported/],
    ['SSLProtocol TLSv1.9', /^SSLProtocol: Illegal protocol 'TLSv1\.9'/],
  ];
  for (const [line, message] of refused) {
    const error = refusal(t, `Listen 443\nSSLCipherSuite HIGH:!aNULL\n${line}\n`);
    assert.match(error.message, message);
    assert.deepEqual([error.line, error.file?.endsWith('/t.conf')], [3, true]);
  }
});

test('mod_tls has defaults of its own', (t) => {
  const tls = (text: string) =>
    load(t, `Listen 443\nTLSEngine 443\n${text}${host('TLSCertificate a.pem a.key')}`, { files }).hosts[0]
      ?.tls;
  assert.deepEqual(
    [tls('')?.family, tls('')?.strictSni, tls('')?.cipherOrder, tls('')?.minVersion],
    ['tls', true, 'client', 'TLSv1.2'],
  );
  assert.equal(tls('TLSStrictSNI off\n')?.strictSni, false);
  assert.equal(tls('TLSProtocol TLSv1.3+\n')?.minVersion, 'TLSv1.3');
  assert.equal(tls('TLSHonorClientOrder off\n')?.cipherOrder, 'server');
});

test('whose order of ciphers counts is said, or the client’s for a list that was written, or else ours', (t) => {
  const order = (...lines: string[]) =>
    load(t, `Listen 443\n${host(['SSLEngine on', 'SSLCertificateFile a.pem', ...lines].join('\n'))}`, {
      files,
    }).hosts[0]?.tls.cipherOrder;
  assert.equal(order(), 'modern');
  assert.equal(order('SSLCipherSuite HIGH:!aNULL'), 'client');
  assert.equal(order('SSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256'), 'client');
  assert.equal(order('SSLHonorCipherOrder off'), 'client');
  assert.equal(order('SSLCipherSuite HIGH:!aNULL', 'SSLHonorCipherOrder on'), 'server');
});
