/** From a configuration to certificates of Pebble that OpenSSL, curl and GnuTLS accept. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, freePorts, missing, TestServer } from '../latchkey.testing.ts';
import { directives, installed, startAuthority, withoutAuthority } from './authority.testing.ts';
import { curl, gnutls, handshake, namesOf } from './clients.testing.ts';

const names = (domain: string) => [domain, `www.${domain}`, `static.${domain}`];

const site = (domain: string) => `
<VirtualHost *>
  ServerName ${domain}
  ServerAlias www.${domain} static.${domain}
  DocumentRoot ${domain}
  <Location />
    Require all granted
  </Location>
</VirtualHost>`;

test('two domains of three names get their certificates, by http-01 and by tls-alpn-01', async (t) => {
  const lacking = withoutAuthority || missing('openssl', 'curl', 'gnutls-cli');
  if (lacking) return t.skip(lacking);
  const [http = 0, https = 0] = await freePorts(2);
  const ports = { http, https };
  await using server = new TestServer();
  await using authority = await startAuthority({ dir: server.dir, ports });
  const ca = authority.rootFile;
  server.write('one.test/index.html', 'hello from one\n');
  server.write('two.test/index.html', 'hello from two\n');
  server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https}
TLSEngine ${https}
Protocols h2 http/1.1 acme-tls/1
LogLevel info
${directives(authority, ports)}
<MDomain ${names('one.test').join(' ')}>
  MDCAChallenges http-01
</MDomain>
<MDomain ${names('two.test').join(' ')}>
  MDCAChallenges tls-alpn-01
</MDomain>
${site('one.test')}${site('two.test')}`);
  await server.start();

  await installed(server, 'one.test', 'two.test');
  const { domains } = await server.status();
  for (const { name, state } of domains) assert.equal(state, 'complete', name);
  const serials = new Map(domains.map(({ name, certificates }) => [name, certificates[0]?.serial]));

  await t.test('each challenge was met as MDCAChallenges says', () => {
    const log = authority.log();
    for (const name of names('one.test')) assert.ok(log.includes(`w/ HTTP: http://${name}:${http}/`), name);
    for (const name of names('two.test')) assert.ok(!log.includes(`w/ HTTP: http://${name}:`), name);
    assert.equal(authority.orders(), 2, 'one order each');
  });

  for (const domain of ['one.test', 'two.test']) {
    for (const name of names(domain)) {
      await t.test(`openssl verifies the chain of ${name}`, async () => {
        const { chain, verified, output, alpn } = await handshake(https, { name, ca, args: ['-alpn', 'h2'] });
        assert.ok(verified, output);
        assert.equal(alpn, 'h2');
        const [leaf, issuer] = chain;
        assert.ok(leaf && issuer && leaf.checkIssued(issuer), 'the intermediate comes along');
        assert.deepEqual(namesOf(leaf).sort(), names(domain).sort());
        assert.equal(leaf.serialNumber, serials.get(domain));
      });
    }
    const greeting = new RegExp(`hello from ${domain.replace('.test', '')}`);

    await t.test(`curl gets ${domain} over HTTP/2`, async () => {
      const { version, status, body } = await curl(
        `https://www.${domain}:${https}/`,
        '--http2',
        '--cacert',
        ca,
      );
      assert.deepEqual([version, status], ['2', 200]);
      assert.match(body, greeting);
    });

    await t.test(`GnuTLS gets ${domain}, and is offered HTTP/2`, async () => {
      const http1 = await gnutls(https, { name: `static.${domain}`, ca, args: ['--alpn', 'http/1.1'] });
      assert.match(http1, /The certificate is trusted/);
      assert.match(http1, greeting);
      const http2 = await gnutls(https, { name: `static.${domain}`, ca, args: ['--alpn', 'h2'] });
      assert.match(http2, /Application protocol: h2/);
    });

    await t.test(`plain HTTP goes on for ${domain}`, async () => {
      assert.match((await curl(`http://www.${domain}:${http}/`)).body, greeting);
    });
  }

  await t.test('nothing of the challenges is left', () => {
    assert.deepEqual(readdirSync(join(server.dir, 'md/challenges')), []);
  });
});

test('until a domain has its certificate, one for its names is shown, and 503 answered', async (t) => {
  const lacking = missing('openssl', 'curl');
  if (lacking) return t.skip(lacking);
  const [http = 0, https = 0, closed = 0] = await freePorts(3);
  await using server = new TestServer();
  server.write('one.test/index.html', 'hello from one\n');
  server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https}
TLSEngine ${https}
Protocols h2 http/1.1 acme-tls/1
MDPortMap http:${http} https:${https}
MDCertificateAuthority https://127.0.0.1:${closed}/directory
MDCertificateAgreement accepted
MDContactEmail admin@latchkey.test
MDomain ${names('one.test').join(' ')}
${site('one.test')}`);
  await server.start();

  for (const name of names('one.test')) {
    const { chain } = await handshake(https, { name });
    assert.deepEqual(chain.flatMap(namesOf).sort(), names('one.test').sort());
    const { status, body } = await curl(`https://${name}:${https}/index.html`, '--insecure');
    assert.equal(status, 503);
    assert.doesNotMatch(body, /hello/);
  }
  assert.match((await curl(`http://one.test:${http}/`)).body, /hello from one/);
  await eventually('the status to say why', async () =>
    /refuses connections/.test((await server.run('status', 'www.one.test')).stdout),
  );
});
