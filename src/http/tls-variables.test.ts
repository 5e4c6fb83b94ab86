import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { DirectorySettings } from '../config/settings.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import type { TlsFacts } from '../tls/facts.ts';
import { hostSettings } from './settings.testing.ts';
import { exportedTlsVariable, exportedTlsVariables, tlsVariable } from './tls-variables.ts';

const now = Date.parse('2026-11-22T06:00:00Z');
const { certPem } = await createFallbackCertificate({ names: ['a.test'], now });
const shown = new X509Certificate(certPem);

/** A request over TLS, and what was asked of its connection. */
function request(family: 'ssl' | 'tls', directory: DirectorySettings) {
  const asked: string[] = [];
  const tls: TlsFacts = {
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    resumed: true,
    secureRenegotiation: true,
    server: () => {
      asked.push('server');
      return shown;
    },
    // That of a connection is a method, too.
    sessionId() {
      asked.push('session id');
      return this.resumed ? 'abcd' : '';
    },
  };
  const base = hostSettings();
  const host = { ...base, tls: { ...base.tls, family } };
  const connection = {
    secure: true,
    alpn: undefined,
    sni: 'a.test',
    host,
    localAddress: '192.0.2.1',
    localPort: 443,
    remoteAddress: '192.0.2.2',
    tls,
  };
  return { exchange: { connection, host, directory, started: now }, asked };
}

const both = { kind: 'set', options: ['StdEnvVars', 'ExportCertData'] } as const;

test('under TLSEngine there are mod_tls’s variables, by TLSOptions, and never the session’s id', () => {
  const names = (directory: DirectorySettings) =>
    [...exportedTlsVariables(request('tls', directory).exchange)].map(([name]) => name).sort();
  const always = ['SSL_CIPHER', 'SSL_PROTOCOL', 'SSL_TLS_SNI'];
  const standard = [
    'SSL_CIPHER_EXPORT',
    'SSL_CLIENT_VERIFY',
    'SSL_COMPRESS_METHOD',
    'SSL_SECURE_RENEG',
    'SSL_SESSION_RESUMED',
    'SSL_VERSION_INTERFACE',
    'SSL_VERSION_LIBRARY',
  ];
  const certificates = ['SSL_CLIENT_CERT', 'SSL_SERVER_CERT'];
  assert.deepEqual(names({}), always);
  assert.deepEqual(names({ sslOptions: both }), always, 'SSLOptions are another module’s');
  assert.deepEqual(names({ tlsOptions: both }), [...always, ...standard, ...certificates].sort());
  const { exchange, asked } = request('tls', { tlsOptions: both });
  for (const name of ['SSL_SESSION_ID', 'SSL_SERVER_S_DN', 'SSL_CIPHER_USEKEYSIZE', 'SSL_NONE']) {
    assert.equal(tlsVariable(exchange, name), '', name);
    assert.equal(exportedTlsVariable(exchange, name), undefined, name);
  }
  assert.deepEqual(asked, []);
  assert.equal(tlsVariable(exchange, 'SSL_SECURE_RENEG'), 'false');
  assert.equal(tlsVariable(exchange, 'SSL_SESSION_RESUMED'), 'Resumed');
  assert.equal(tlsVariable(exchange, 'SSL_SERVER_CERT'), certPem);
});

test('under SSLEngine the environment has one variable, and with StdEnvVars all', () => {
  const bare = request('ssl', {});
  assert.deepEqual([...exportedTlsVariables(bare.exchange)], [['SSL_TLS_SNI', 'a.test']]);
  assert.equal(exportedTlsVariable(bare.exchange, 'SSL_PROTOCOL'), undefined);
  assert.equal(
    tlsVariable(bare.exchange, 'SSL_PROTOCOL'),
    'TLSv1.3',
    'logs and conditions see it all the same',
  );
  assert.deepEqual(bare.asked, [], 'nothing was computed');
  const full = request('ssl', { sslOptions: both });
  const all = new Map(exportedTlsVariables(full.exchange));
  for (const name of all.keys()) {
    assert.equal(exportedTlsVariable(full.exchange, name) ?? '', all.get(name), name);
  }
  assert.equal(all.get('SSL_SERVER_SAN_DNS_0'), 'a.test');
  assert.equal(all.get('SSL_SESSION_ID'), 'abcd');
  assert.equal(all.get('SSL_CLIENT_CERT'), '');
});

test('the authorities above a client are exported with its certificate', () => {
  const { exchange } = request('ssl', { sslOptions: both });
  Object.assign(exchange.connection.tls, { client: shown, clientIssuers: () => [shown] });
  const all = new Map(exportedTlsVariables(exchange));
  assert.equal(all.get('SSL_CLIENT_CERT_CHAIN_0'), certPem);
  assert.equal(all.get('SSL_CLIENT_CERT_CHAIN_1'), undefined);
  assert.equal(exportedTlsVariable(exchange, 'SSL_CLIENT_CERT_CHAIN_0'), certPem);
  assert.equal(exportedTlsVariable(exchange, 'SSL_CLIENT_CERT_CHAIN_1'), undefined);
  const bare = { ...exchange, directory: {} };
  assert.equal(exportedTlsVariable(bare, 'SSL_CLIENT_CERT_CHAIN_0'), undefined);
  assert.equal(tlsVariable(bare, 'ssl_client_cert_chain_0'), certPem);
});

test('certificates’ variables are found in any case, and what is not there is empty', () => {
  const { exchange } = request('ssl', {});
  assert.equal(tlsVariable(exchange, 'ssl_server_san_dns_0'), 'a.test');
  assert.equal(tlsVariable(exchange, 'SSL_SERVER_A_KEY'), 'id-ecPublicKey');
  assert.equal(tlsVariable(exchange, 'SSL_SERVER_M_VERSION'), '3');
  const none = [
    'SSL_SERVER_SAN_DNS_1',
    'SSL_SERVER_V_REMAIN',
    'SSL_CLIENT_S_DN',
    'SSL_SERVER_',
    'SSL_SERVER_S_DN_X',
  ];
  for (const name of none) assert.equal(tlsVariable(exchange, name), '', name);
});
