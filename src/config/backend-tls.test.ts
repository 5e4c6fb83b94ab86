import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backendFilesOf, backendValues } from './backend-tls.ts';
import { load, refusal } from './config.testing.ts';
import { mergeDirectory } from './merge.ts';

const files = { 'ca.pem': 'any', 'own.pem': 'any', 'key.pem': 'any', 'certs/a.pem': 'any' };

test('<Proxy> is laid over the host, the host over the server, value by value', (t) => {
  const text = `SSLProxyCACertificateFile ca.pem
<VirtualHost *:80>
SSLProxyVerifyDepth 3
ProxyPass / https://backend.example/
<Proxy https://backend.example/>
SSLProxyVerify none
SSLProxyMachineCertificateFile own.pem
</Proxy>
</VirtualHost>`;
  const settings = load(t, text, { files });
  const [host] = settings.hosts;
  const merged = mergeDirectory(host?.directory ?? {}, host?.sections[0]?.settings ?? {}).backendTls?.ssl;
  const path = (name: string) => `${settings.serverRoot}/${name}`;
  assert.deepEqual(
    [merged?.caFile, merged?.depth, merged?.verify, merged?.machine?.[0]?.keyFile],
    [path('ca.pem'), 3, 'none', path('own.pem')],
  );
  assert.deepEqual(
    new Set(backendValues(settings).flatMap(backendFilesOf)),
    new Set([path('ca.pem'), path('own.pem')]),
  );
});

test('every directive is taken', (t) => {
  const text = `SSLProxyEngine on
SSLProxyCACertificatePath certs
SSLProxyCheckPeerName off
SSLProxyCheckPeerCN off
SSLProxyCheckPeerExpire off
SSLProxyProtocol all -TLSv1.2
SSLProxyCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256
SSLProxyCipherSuite ECDHE+AESGCM
SSLProxyMachineCertificatePath certs
SSLProxyMachineCertificateChainFile ca.pem
SSLProxyCARevocationFile ca.pem
SSLProxyCARevocationPath certs
SSLProxyCARevocationCheck chain no_crl_for_cert_ok
TLSProxyEngine off
TLSProxyCA ca.pem
TLSProxyCA default
TLSProxyProtocol TLSv1.3+
TLSProxyCipherPrefer TLS13_AES_256_GCM_SHA384
TLSProxyCiphersSuppress TLS_CIPHER_0x1303
TLSProxyMachineCertificate own.pem key.pem
TLSProxyMachineCertificate own.pem
`;
  const settings = load(t, text, { files });
  const { ssl, tls } = settings.base.directory.backendTls ?? {};
  const [certs, ca] = [`${settings.serverRoot}/certs`, `${settings.serverRoot}/ca.pem`];
  const at = (line: number) => ({ file: `${settings.serverRoot}/t.conf`, line });
  assert.deepEqual(ssl, {
    machine: [{ certificateFile: certs, keyFile: certs, chainFile: undefined, at: at(9) }],
    machineChain: ca,
    crlFile: ca,
    crlPath: certs,
    crlCheck: { check: 'chain', optional: true, at: at(13) },
    caPath: certs,
    checkName: false,
    checkCommonName: false,
    checkExpiry: false,
    versions: { min: 'TLSv1.3', max: 'TLSv1.3' },
    ciphersuites: 'TLS_AES_128_GCM_SHA256',
    ciphers: 'ECDHE+AESGCM',
  });
  assert.deepEqual(
    [tls?.caFile, tls?.versions?.min, tls?.preferred, tls?.suppressed, tls?.machine?.length],
    [undefined, 'TLSv1.3', [0x1302], [0x1303], 2],
  );
  assert.deepEqual(settings.warnings, []);
});

const wrong: Record<string, RegExp> = {
  'SSLProxyEngine on\nTLSProxyEngine on': /SSLProxyEngine on and TLSProxyEngine on are for the same backends/,
  '<Location />\nSSLProxyVerify none\n</Location>': /SSLProxyVerify not allowed in <Location> context/,
  'SSLProxyVerify perhaps': /SSLProxyVerify: Invalid argument 'perhaps'/,
  'SSLProxyVerifyDepth -1': /SSLProxyVerifyDepth "-1" must be a whole number/,
  'SSLProxyCACertificateFile none.pem':
    /SSLProxyCACertificateFile: file '.*none\.pem' does not exist or is empty/,
  'SSLProxyCACertificatePath none': /SSLProxyCACertificatePath: directory '.*none' does not exist/,
  'SSLProxyMachineCertificatePath ca.pem':
    /SSLProxyMachineCertificatePath: directory '.*ca\.pem' does not exist/,
  'SSLProxyCARevocationCheck all': /SSLProxyCARevocationCheck: Invalid argument 'all'/,
  'SSLProxyProtocol -all': /SSLProxyProtocol: no protocol is left/,
  'TLSProxyCA none.pem': /TLSProxyCA: file '.*none\.pem' does not exist or is empty/,
  'TLSProxyProtocol TLSv1.1+':
    /TLSProxyProtocol: unrecognized protocol version specifier \(try TLSv1\.2\+ or TLSv1\.3\+\): 'TLSv1\.1\+'/,
  'TLSProxyProtocol 1.2': /TLSProxyProtocol: value must be 'default', 'TLSv1\.2\+' or 'TLSv1\.3\+': '1\.2'/,
  'TLSProxyCipherSuppress x': /TLSProxyCiphersSuppress: cipher not recognized 'x'/,
};
for (const [text, message] of Object.entries(wrong)) {
  test(`${text.replaceAll('\n', ' ')} is refused`, (t) => {
    assert.match(refusal(t, text, { files }).message, message);
  });
}
