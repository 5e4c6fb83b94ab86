/** Plain hosts beside secure ones, the way from http to https, and clients that have to show a certificate. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, freePorts, missing, selfSigned, TestServer } from '../latchkey.testing.ts';
import { curl } from './clients.testing.ts';

test('plain hosts by name, and the way to https', async (t) => {
  const lacking = missing('openssl', 'curl');
  if (lacking) return t.skip(lacking);
  const [http = 0, https = 0] = await freePorts(2);
  await using server = new TestServer();
  const { cert, key } = selfSigned(server.dir, 'secure.test');
  server.write('first/index.html', 'first\n');
  server.write('second/index.html', 'second\n');
  server.write('secure/index.html', 'secure\n');
  server.write('secure/.well-known/security.txt', 'Contact: mailto:security@secure.test\n');
  server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
MDPortMap http:${http} https:${https}
<MDomain secure.test>
  MDRenewMode manual
  MDRequireHttps permanent
</MDomain>
<VirtualHost *:${http}>
  ServerName first.test
  DocumentRoot first
</VirtualHost>
<VirtualHost *:${http}>
  ServerName second.test
  ServerAlias *.second.test
  DocumentRoot second
  Redirect permanent /old http://second.test:${http}/
</VirtualHost>
<VirtualHost *:${http}>
  ServerName secure.test
  DocumentRoot secure
</VirtualHost>
<VirtualHost *:${https}>
  ServerName secure.test
  DocumentRoot secure
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
</VirtualHost>`);
  await server.start();

  await t.test('Host tells plain hosts apart; a name that none has is for the first', async () => {
    for (const [name, body] of [
      ['first.test', 'first\n'],
      ['second.test', 'second\n'],
      ['www.second.test', 'second\n'],
      ['unknown.test', 'first\n'],
    ] as const) {
      assert.equal((await curl(`http://${name}:${http}/`)).body, body, name);
    }
  });

  await t.test('curl follows a Redirect', async () => {
    const { status, body } = await curl(`http://second.test:${http}/old`, '--location');
    assert.deepEqual([status, body], [200, 'second\n']);
  });

  await t.test('MDRequireHttps sends to https, by a status that keeps the method', async () => {
    const url = `http://secure.test:${http}/a/b?c=d`;
    const got = await curl(url);
    assert.deepEqual([got.status, got.location], [301, 'https://secure.test/a/b?c=d']);
    const posted = await curl(url, '--data', 'x=y');
    assert.deepEqual([posted.status, posted.location], [308, 'https://secure.test/a/b?c=d']);
  });

  await t.test('but not from what is well known', async () => {
    const { status, body } = await curl(`http://secure.test:${http}/.well-known/security.txt`);
    assert.equal(status, 200);
    assert.match(body, /^Contact:/);
  });

  await t.test('and https asks to stay', async () => {
    const { body } = await curl(`https://secure.test:${https}/`, '--cacert', cert, '--head');
    assert.match(body, /^strict-transport-security: max-age=15768000/im);
  });

  await t.test('the log says that files keep the managed domain from taking over', () => {
    assert.match(server.log(), /\[ssl:warn\].*You configured certificate\/key files on this host/);
  });
});

test('clients have to show a certificate of the right authority', async (t) => {
  const lacking = missing('openssl', 'curl');
  if (lacking) return t.skip(lacking);
  const [required = 0, optional = 0] = await freePorts(2);
  await using server = new TestServer();
  const { cert, key } = selfSigned(server.dir, 'door.test');
  const right = clientAuthority(server.dir, 'right');
  const wrong = clientAuthority(server.dir, 'wrong');
  server.write('www/index.html', 'come in\n');
  const host = (port: number, mode: string) => `
<VirtualHost *:${port}>
  ServerName door.test
  DocumentRoot www
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
  SSLVerifyClient ${mode}
  SSLCACertificateFile ${right.ca}
</VirtualHost>`;
  server.configure(`
Listen 127.0.0.1:${required} https
Listen 127.0.0.1:${optional} https
Protocols h2 http/1.1
LogLevel ssl:info
${host(required, 'require')}${host(optional, 'optional')}`);
  await server.start();

  for (const versions of [['--tlsv1.3'], ['--tls-max', '1.2']]) {
    for (const http of ['--http1.1', '--http2']) {
      const ask = (port: number, ...more: string[]) =>
        curl(`https://door.test:${port}/`, '--cacert', cert, http, ...versions, ...more);
      await t.test(`curl ${versions.join(' ')} ${http}`, async () => {
        for (const port of [required, optional]) {
          assert.equal((await ask(port, ...right.show)).body, 'come in\n');
          const stranger = await ask(port, ...wrong.show);
          assert.notEqual(stranger.code, 0);
          assert.equal(stranger.body, '');
        }
        const nobody = await ask(required);
        assert.notEqual(nobody.code, 0);
        assert.equal(nobody.body, '');
        assert.equal((await ask(optional)).body, 'come in\n');
      });
    }
  }

  await t.test('the log says why', async () => {
    await eventually('the reasons in the log', () =>
      [/did not return a certificate/, /unable to verify the first certificate/].every((reason) =>
        reason.test(server.log()),
      ),
    );
  });
});

interface ClientAuthority {
  readonly ca: string;
  /** What makes curl show a certificate of it. */
  readonly show: readonly string[];
}

/** An authority and a client certificate of it, made by the openssl command. */
function clientAuthority(dir: string, name: string): ClientAuthority {
  const file = (kind: string) => join(dir, `${name}.${kind}`);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const authority = ['-keyout', file('ca.key'), '-out', file('ca.crt'), '-subj', `/CN=${name} authority`];
  openssl('req', '-x509', '-days', '30', ...newKey, ...authority);
  openssl('req', ...newKey, '-keyout', file('key'), '-out', file('csr'), '-subj', `/CN=${name} client`);
  const signed = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial', '-out', file('crt')];
  openssl('x509', '-req', '-days', '30', '-in', file('csr'), ...signed);
  return { ca: file('ca.crt'), show: ['--cert', file('crt'), '--key', file('key')] };
}
