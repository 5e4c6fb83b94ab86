/** OCSP stapling for a managed domain, from the certificate to its replacement. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../src/base/clock.ts';
import { HostileStore } from '../src/certificates/sources/hostile-store.testing.ts';
import { HostileResponder, reply } from '../src/ocsp/hostile-responder.testing.ts';
import { OcspTestCa } from '../src/pki/ocsp.testing.ts';
import { localAuthority, server as base } from './faults/faults.testing.ts';
import { eventually, freePorts, missing, run, TestServer } from './latchkey.testing.ts';

test(
  'a managed certificate is stapled, and replaced with a new key once its CA calls it revoked',
  { skip: missing('openssl') },
  async () => {
    await using server = new TestServer();
    const [http = 0, https = 0, ca = 0] = await freePorts(3);
    const ports = { http, https };
    server.write('htdocs/index.html', 'a\n');
    const authority = localAuthority(ports, ca, 'a.localhost');
    // Else the CA's advice on when to renew may say it sooner than the responder.
    const settings = ['MDStapling on', 'MDRetryDelay 1s', 'MDRenewViaARI off'];
    server.configure(base(ports, authority, ...settings));
    await server.start();
    const staple = async () => {
      const to = ['-connect', `127.0.0.1:${https}`, '-servername', 'a.localhost', '-status'];
      return (await run('openssl', ['s_client', ...to], { input: '' })).stdout;
    };
    const said = await eventually('a staple', async () => {
      const text = await staple();
      return text.includes('Cert Status: good') && text;
    });
    const folder = join(server.dir, 'md/domains/a.localhost');
    const keys = () =>
      readdirSync(folder)
        .filter((name) => name.startsWith('privkey'))
        .map((name) => readFileSync(join(folder, name), 'utf8'));
    const before = keys();
    assert.equal(before.length, 1);
    const serial = /Serial Number: (\w+)/.exec(said)?.[1] ?? '';

    assert.equal((await server.run('ca', 'revoke', serial, '--reason', 'keycompromise')).code, 0);
    await server.stop();
    // Else it would be asked again no sooner than the response says.
    rmSync(join(server.dir, 'md/ocsp'), { recursive: true });
    await server.start();

    await eventually('another certificate', async () => {
      const [domain] = (await server.status()).domains;
      return domain?.certificates[0] && domain.certificates[0].serial !== serial;
    });
    assert.notDeepEqual(keys(), before);
    await eventually('its staple', async () => {
      const text = await staple();
      return text.includes('Cert Status: good') && !text.includes(`Serial Number: ${serial}`);
    });
    const reasons = [`has been revoked (serial ${serial}`, 'as its OCSP responder says'];
    await eventually('the reason', () => reasons.every((reason) => server.log().includes(reason)));
  },
);

test(
  'certificates of a store and of domains added at run time are stapled once their responder has answered, in every worker',
  { skip: missing('openssl') },
  async () => {
    await using server = new TestServer();
    await using store = await HostileStore.start();
    server.write('htdocs/index.html', 'a\n');
    const [http = 0, https = 0, ca = 0] = await freePorts(3);
    const ports = { http, https };
    const authority = localAuthority(ports, ca, 'a.localhost').replace(
      'MDomain a.localhost',
      '$& c.localhost',
    );
    const names = `Workers 2\nDynSSLEnable on\nDynSSLStoreURL ${store.url}\nDynSSLStoreToken token`;
    server.configure(base(ports, authority, 'MDStapling on', 'MDRetryDelay 1s', names));
    await server.start();
    const chain = 'md/domains/a.localhost/pubcert.secp256r1.pem';
    await eventually('a certificate', () => existsSync(join(server.dir, chain)));
    const [chainPem, keyPem] = [
      server.read(chain),
      server.read('md/domains/a.localhost/privkey.secp256r1.pem'),
    ];
    store.certificates.set('c.localhost', { chainPem, keyPem });
    const staple = async (name: string) => {
      const to = ['-connect', `127.0.0.1:${https}`, '-servername', name, '-status'];
      return (await run('openssl', ['s_client', ...to], { input: '' })).stdout;
    };
    assert.equal((await server.run('domains', 'add', 'added.localhost')).code, 0);
    for (const name of ['c.localhost', 'added.localhost']) {
      await eventually(`a staple for ${name}`, async () =>
        (await staple(name)).includes('Cert Status: good'),
      );
      await server.inEachWorker(async () => assert.match(await staple(name), /Cert Status: good/));
    }
    assert.ok(store.names().includes('c.localhost'));
  },
);

test(
  'no handshake waits for a responder that says nothing, which is left after its time',
  { skip: missing('openssl') },
  async () => {
    await using server = new TestServer();
    const ca = await OcspTestCa.create(Date.now());
    await using responder = await HostileResponder.start(ca, systemClock);
    responder.always = reply.silence;
    const [https = 0] = await freePorts(1);
    const { chainPem, keyPem } = await ca.issue({ names: ['a.localhost'] });
    server.configure(`Listen 127.0.0.1:${https} https
      MDRetryDelay 1s
      SSLUseStapling on
      SSLStaplingForceURL ${responder.url}
      SSLStaplingResponderTimeout 1
      <VirtualHost *:${https}>
        ServerName a.localhost
        SSLEngine on
        SSLCertificateFile ${server.write('a.crt', chainPem)}
        SSLCertificateKeyFile ${server.write('a.key', keyPem)}
      </VirtualHost>`);
    await server.start();
    const staple = async () => {
      const to = ['-connect', `127.0.0.1:${https}`, '-servername', 'a.localhost', '-status'];
      return (await run('openssl', ['s_client', ...to], { input: '' })).stdout;
    };
    await eventually('the responder to be asked', () => responder.seen.length > 0);
    assert.match(await staple(), /no response sent/);
    await eventually('its time to be over', () => server.log().includes('did not answer within 1 seconds'));
    responder.always = undefined;
    await eventually('a staple', async () => (await staple()).includes('Cert Status: good'));
  },
);
