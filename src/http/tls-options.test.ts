import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { hostSettings } from './settings.testing.ts';
import { exportedTlsVariables } from './tls-variables.ts';

test('a place has the variables that its options export', async () => {
  const { chainPem } = await (await createAuthority()).issue(['a.example']);
  const shown = new X509Certificate(chainPem);
  const { tls } = hostSettings();
  const exported = (family: 'ssl' | 'tls', ...add: string[]) => {
    const options = { kind: 'change', add, remove: [] } as const;
    const host = hostSettings({ tls: { ...tls, engine: true, family } });
    const facts = { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', server: () => shown };
    const addresses = { localAddress: '127.0.0.1', localPort: 443, remoteAddress: '127.0.0.1' };
    const connection = { secure: true, alpn: undefined, sni: 'a.example', host, ...addresses, tls: facts };
    const directory = { sslOptions: options, tlsOptions: options };
    return new Map(exportedTlsVariables({ connection, host, directory, started: 0 }));
  };
  for (const family of ['ssl', 'tls'] as const) {
    const [none, standard, certificates] = [
      exported(family),
      exported(family, 'StdEnvVars'),
      exported(family, 'ExportCertData'),
    ];
    assert.equal(none.get('SSL_TLS_SNI'), 'a.example');
    assert.equal(none.has('SSL_SECURE_RENEG'), false);
    assert.ok(standard.get('SSL_SECURE_RENEG'));
    assert.equal(standard.has('SSL_SERVER_CERT'), false);
    assert.equal(
      new X509Certificate(certificates.get('SSL_SERVER_CERT') ?? '').serialNumber,
      shown.serialNumber,
    );
  }
});
