/** Certificates from files, and clients of every kind and ability. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { freePorts, missing, selfSigned, TestServer } from '../latchkey.testing.ts';
import { curl, gnutls, handshake, python } from './clients.testing.ts';

const RSA_ONLY = 'RSA-PSS+SHA256:RSA+SHA256';
const ECDSA_ONLY = 'ECDSA+SHA256';

test('a host with an RSA and an ECDSA certificate', async (t) => {
  const lacking = missing('openssl', 'curl', 'gnutls-cli');
  if (lacking) return t.skip(lacking);
  const name = 'both.test';
  const [https = 0] = await freePorts(1);
  await using server = new TestServer();
  const rsa = selfSigned(server.dir, name, 'rsa');
  const ec = selfSigned(server.dir, name, 'ec');
  const ca = server.write('both.pem', readFileSync(rsa.cert, 'utf8') + readFileSync(ec.cert, 'utf8'));
  server.write('www/index.html', 'hello\n');
  server.configure(`
Listen 127.0.0.1:${https} https
Protocols h2 http/1.1
<VirtualHost *:${https}>
  ServerName ${name}
  DocumentRoot www
  SSLEngine on
  SSLCertificateFile ${rsa.cert}
  SSLCertificateKeyFile ${rsa.key}
  SSLCertificateFile ${ec.cert}
  SSLCertificateKeyFile ${ec.key}
</VirtualHost>`);
  await server.start();

  for (const version of ['1_2', '1_3']) {
    for (const [only, type] of [
      [RSA_ONLY, 'rsa'],
      [ECDSA_ONLY, 'ec'],
    ] as const) {
      await t.test(`openssl with TLS ${version} and ${type} only`, async () => {
        const args = [`-tls${version}`, '-sigalgs', only];
        const { chain, protocol, verified, output } = await handshake(https, { name, ca, args });
        assert.equal(chain[0]?.publicKey.asymmetricKeyType, type);
        assert.equal(protocol, `TLSv${version.replace('_', '.')}`);
        assert.ok(verified, output);
      });
    }
  }

  await t.test('openssl with both gets ECDSA, the faster one', async () => {
    const { chain } = await handshake(https, { name });
    assert.equal(chain[0]?.publicKey.asymmetricKeyType, 'ec');
  });

  for (const [priority, type] of [
    ['NORMAL:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256', 'RSA'],
    ['NORMAL:-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256', 'ECDSA'],
    ['NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA', 'RSA'],
    ['NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA', 'ECDSA'],
  ] as const) {
    await t.test(`gnutls-cli with ${priority}`, async () => {
      const output = await gnutls(https, { name, ca, args: ['--priority', priority] });
      assert.match(output, type === 'RSA' ? /, RSA key 2048 bits/ : /, EC\/ECDSA key 256 bits/);
      assert.match(output, /The certificate is trusted/);
      assert.match(output, /hello/);
    });
  }

  await t.test('curl with one cipher', async () => {
    const url = `https://${name}:${https}/`;
    for (const [cipher, cert] of [
      ['ECDHE-RSA-AES128-GCM-SHA256', rsa.cert],
      ['ECDHE-ECDSA-AES128-GCM-SHA256', ec.cert],
    ] as const) {
      const only = ['--tls-max', '1.2', '--ciphers', cipher, '--cacert', cert];
      assert.equal((await curl(url, ...only)).body, 'hello\n', cipher);
    }
  });

  await t.test('Python, which comes back with a ticket', async (t) => {
    const without = missing('python3');
    if (without) return t.skip(without);
    for (const version of ['TLSv1_2', 'TLSv1_3'] as const) {
      const spoken = version.replace('_', '.');
      const expected = `${spoken} new hello\n${spoken} resumed hello\n`;
      assert.equal(await python(https, { name, ca, version }), expected);
    }
  });

  await t.test('a client of before TLS 1.2 is refused', async () => {
    const { done, output } = await handshake(https, { name, args: ['-tls1_1', '-cipher', 'ALL@SECLEVEL=0'] });
    assert.equal(done, false);
    assert.match(output, /SSL alert number 70|no protocols available/);
  });
});

test('which host answers which name', async (t) => {
  const lacking = missing('openssl');
  if (lacking) return t.skip(lacking);
  const [ssl = 0, sslStrict = 0, tls = 0, tlsStrict = 0] = await freePorts(4);
  await using server = new TestServer();
  const hosts = ['first.test', 'second.test', 'default.test'].map((name) => ({
    name,
    ...selfSigned(server.dir, name),
  }));
  const [first, second, fallback] = hosts;
  assert.ok(first && second && fallback);
  const byFiles = ({ name, cert, key }: typeof first, port: number, more = '') => `
<VirtualHost *:${port}>
  ServerName ${name === 'default.test' ? '_default_' : name}
  ${name === 'second.test' ? 'ServerAlias *.second.test' : ''}
  ${more}
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
</VirtualHost>`;
  const byTls = (host: typeof first, port: number, more = '') =>
    byFiles(host, port, more)
      .replace(/SSLCertificateKeyFile.*/, '')
      .replace(/SSLCertificateFile.*/, `TLSCertificate ${host.cert} ${host.key}`);
  server.configure(`
Listen 127.0.0.1:${ssl} https
Listen 127.0.0.1:${sslStrict} https
Listen 127.0.0.1:${tls}
Listen 127.0.0.1:${tlsStrict}
TLSEngine ${tls}
TLSEngine ${tlsStrict}
${byFiles(first, ssl, 'SSLEngine on')}${byFiles(second, ssl, 'SSLEngine on')}
${byFiles(first, sslStrict, 'SSLEngine on\nSSLStrictSNIVHostCheck on')}
${byFiles(second, sslStrict, 'SSLEngine on')}
${byTls(first, tls, 'TLSStrictSNI off')}${byTls(fallback, tls, 'TLSStrictSNI off')}
${byTls(first, tlsStrict)}${byTls(second, tlsStrict)}`);
  await server.start();

  const answers: readonly [
    where: string,
    port: number,
    name: string | undefined,
    host: string | undefined,
  ][] = [
    ['mod_ssl', ssl, 'second.test', 'second.test'],
    ['mod_ssl', ssl, 'SECOND.Test', 'second.test'],
    ['mod_ssl', ssl, 'any.second.test', 'second.test'],
    ['mod_ssl', ssl, 'unknown.test', 'first.test'],
    ['mod_ssl', ssl, undefined, 'first.test'],
    ['SSLStrictSNIVHostCheck', sslStrict, 'first.test', 'first.test'],
    ['SSLStrictSNIVHostCheck', sslStrict, 'unknown.test', undefined],
    ['SSLStrictSNIVHostCheck', sslStrict, undefined, undefined],
    ['TLSStrictSNI off', tls, 'first.test', 'first.test'],
    ['TLSStrictSNI off', tls, 'unknown.test', 'default.test'],
    ['TLSStrictSNI off', tls, undefined, 'default.test'],
    ['TLSStrictSNI', tlsStrict, 'second.test', 'second.test'],
    ['TLSStrictSNI', tlsStrict, 'unknown.test', undefined],
    ['TLSStrictSNI', tlsStrict, undefined, 'first.test'],
  ];
  for (const [where, port, name, host] of answers) {
    await t.test(`${where}: ${name ?? 'no name'} is for ${host ?? 'nobody'}`, async () => {
      const { chain, done, output } = await handshake(port, name === undefined ? {} : { name });
      assert.equal(chain[0]?.subject, host && `CN=${host}`);
      assert.equal(done, host !== undefined);
      if (host === undefined) assert.match(output, /unrecognized name/);
    });
  }

  await t.test('TLSStrictSNI: who names no host is served nothing', async (t) => {
    const without = missing('curl');
    if (without) return t.skip(without);
    const status = async (port: number) =>
      (await curl(`https://127.0.0.1:${port}/`, '--insecure', '--header', 'Host: first.test')).status;
    assert.deepEqual([await status(tlsStrict), await status(tls), await status(ssl)], [403, 404, 404]);
  });
});
