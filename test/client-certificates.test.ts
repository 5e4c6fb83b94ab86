/** Who gets in by a certificate of their own, and encrypted keys: whole servers, curl at the other end. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { toPem } from '../src/pki/pem.ts';
import { makeCrl } from '../src/pki/crl.testing.ts';
import { OcspTestCa } from '../src/pki/ocsp.testing.ts';
import type { Issued } from '../src/pki/ocsp.testing.ts';
import { createAuthority } from '../src/certificates/credentials.testing.ts';
import { curl } from './interop/clients.testing.ts';
import { eventually, freePorts, missing, selfSigned, TestServer } from './latchkey.testing.ts';

const lacking = missing('openssl', 'curl');
const now = Date.now();
const DAY = 86_400_000;

suite('Client certificates', { skip: lacking ?? false }, () => {
  let ca: OcspTestCa;
  let good: Issued;
  let revoked: Issued;
  before(async () => {
    ca = await OcspTestCa.create(now, 'Clients');
    good = await ca.issue({ names: ['good'] });
    revoked = await ca.issue({ names: ['revoked'] });
  });

  /** A server whose host has these directives, and what curl gets there with a certificate. */
  const serverWith = async (directives: string, files: Record<string, string> = {}) => {
    const [port = 0] = await freePorts(1);
    const server = new TestServer();
    const { cert, key } = selfSigned(server.dir, 'door.test');
    server.write('ca.pem', ca.certificate.pem);
    server.write('www/index.html', 'come in\n');
    server.write('www/secret/index.html', 'secret\n');
    for (const [name, text] of Object.entries(files)) server.write(name, text);
    server.configure(`
Listen 127.0.0.1:${port} https
LogLevel ssl:info
<VirtualHost *:${port}>
  ServerName door.test
  DocumentRoot www
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
  SSLCACertificateFile ca.pem
  ${directives}
</VirtualHost>`);
    await server.start();
    const ask = async (who?: Pick<Issued, 'chainPem' | 'keyPem'>, path = '/', version = '1.3') => {
      const show = who
        ? ['--cert', server.write('own.pem', who.chainPem), '--key', server.write('own.key', who.keyPem)]
        : [];
      const { code, body, status } = await curl(
        `https://door.test:${port}${path}`,
        '--cacert',
        cert,
        '--tls-max',
        version,
        ...show,
      );
      return code === 0 ? `${status} ${body.split('\n')[0]}` : 'refused';
    };
    return { server, ask };
  };
  const list = async (made: Partial<Parameters<typeof makeCrl>[0]> = {}) => {
    const times = { thisUpdate: now - DAY, nextUpdate: now + DAY };
    return toPem(
      'X509 CRL',
      await makeCrl({ issuer: ca, revoked: [revoked.certificate], ...times, ...made }),
    );
  };

  test('that are revoked do not get in', async () => {
    const { server, ask } = await serverWith(
      'SSLVerifyClient require\nSSLCARevocationFile crl.pem\nSSLCARevocationCheck chain',
      { 'crl.pem': await list() },
    );
    await using _ = server;
    for (const version of ['1.2', '1.3']) {
      assert.equal(await ask(good, '/', version), '200 come in');
      assert.equal(await ask(revoked, '/', version), 'refused');
    }
    await eventually('the reason in the log', () =>
      /client certificate: certificate revoked/.test(server.log()),
    );
    server.write('crl.pem', await list({ revoked: [good.certificate] }));
    assert.equal((await server.run('-k', 'graceful')).code, 0);
    await eventually('the new list to count', async () => (await ask(good)) === 'refused');
    assert.equal(await ask(revoked), '200 come in');
  });

  test('need a current list, from whom it has to come, unless told otherwise', async () => {
    const other = await OcspTestCa.create(now, 'Clients');
    const lists: [string, string, string, string][] = [
      ['expired', await list({ nextUpdate: now - 1000 }), 'leaf', 'refused'],
      ['revoked', await list({ revoked: [good.certificate] }), 'leaf', 'refused'],
      ['of another with the same name', await list({ signer: other }), 'leaf', 'refused'],
      [
        'of another, and none is needed',
        await list({ signer: other }),
        'leaf no_crl_for_cert_ok',
        '200 come in',
      ],
    ];
    for (const [what, text, check, outcome] of lists) {
      const { server, ask } = await serverWith(
        `SSLVerifyClient require\nSSLCARevocationPath lists\nSSLCARevocationCheck ${check}`,
        { 'lists/a.r0': text },
      );
      await using _ = server;
      assert.equal(await ask(good), outcome, what);
    }
  });

  test('stand one below the root, or as deep as SSLVerifyDepth says', async () => {
    const deep = await createAuthority('Deep');
    const client = await deep.issue(['client']);
    const outcomes: string[] = [];
    for (const depth of ['', 'SSLVerifyDepth 2']) {
      const { server, ask } = await serverWith(
        `SSLVerifyClient require\nSSLCACertificatePath cas\n${depth}`,
        { 'cas/a.pem': deep.rootPem },
      );
      await using _ = server;
      outcomes.push(await ask(client));
      assert.equal(await ask(good), '200 come in');
    }
    assert.deepEqual(outcomes, ['refused', '200 come in']);
  });

  test('are asked for by a place, from whom the host has asked', async () => {
    const demand = '<Location /secret/>\nSSLVerifyClient require\n</Location>';
    const { server, ask } = await serverWith(`SSLVerifyClient optional\n${demand}`);
    await using _ = server;
    assert.equal(await ask(undefined), '200 come in');
    assert.match(await ask(undefined, '/secret/'), /^403/);
    assert.equal(await ask(good, '/secret/'), '200 secret');
    await eventually('the reason in the log', () =>
      /\[ssl:error\].*AH02222: access to \/secret\/ failed.*the client has shown no certificate/.test(
        server.log(),
      ),
    );
  });

  test('that no host asks for are no way in, and the log says so from the start', async () => {
    const { server, ask } = await serverWith('<Location /secret/>\nSSLVerifyClient require\n</Location>');
    await using _ = server;
    assert.match(await ask(good, '/secret/'), /^403/);
    assert.match(
      server.log(),
      /\[ssl:warn\].*SSLVerifyClient require in a section answers everybody with 403/,
    );
  });
});

suite('An encrypted key', { skip: lacking ?? false }, () => {
  const prepare = async (dialog: string) => {
    const [port = 0] = await freePorts(1);
    const server = new TestServer();
    const { cert, key } = selfSigned(server.dir, 'locked.test');
    const locked = join(server.dir, 'locked.key');
    execFileSync('openssl', ['pkey', '-in', key, '-aes256', '-passout', 'pass:open sesame', '-out', locked]);
    server.write('www/index.html', 'unlocked\n');
    writeFileSync(
      join(server.dir, 'ask'),
      `#!/bin/sh\necho "$@" >> "${server.dir}/asked"\necho "open sesame"\n`,
    );
    chmodSync(join(server.dir, 'ask'), 0o755);
    server.configure(`
Listen 127.0.0.1:${port} https
${dialog}
<VirtualHost *:${port}>
  ServerName locked.test
  DocumentRoot www
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${locked}
</VirtualHost>`);
    const ask = () => curl(`https://locked.test:${port}/`, '--cacert', cert);
    return { server, ask, port };
  };

  test('is opened by what a command prints, asked once', async () => {
    const { server, ask, port } = await prepare('SSLPassPhraseDialog exec:ask');
    await using _ = server;
    assert.equal((await server.run('-t')).code, 0);
    await server.start();
    assert.equal((await ask()).body, 'unlocked\n');
    assert.equal((await server.run('-k', 'graceful')).code, 0);
    assert.equal((await ask()).body, 'unlocked\n');
    assert.equal(server.read('asked'), `locked.test:${port}:0\n`);
    assert.ok(!server.log().includes('open sesame'));
  });

  const refusals: Record<string, [dialog: string, reason: RegExp]> = {
    'without a command': ['SSLPassPhraseDialog builtin', /locked\.key.*SSLPassPhraseDialog exec:/s],
    'by a wrong passphrase': ['SSLPassPhraseDialog exec:/bin/echo', /is not its passphrase/],
    'by a command that fails': [
      'SSLPassPhraseDialog exec:/bin/false',
      /\/bin\/false has failed for .*locked\.key/,
    ],
  };
  for (const [how, [dialog, reason]] of Object.entries(refusals)) {
    test(`keeps the server from starting ${how}`, async () => {
      const { server } = await prepare(dialog);
      await using _ = server;
      const { code, stderr } = await server.run('-k', 'start');
      assert.equal(code, 1);
      assert.match(stderr, reason);
    });
  }
});
