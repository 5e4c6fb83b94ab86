/** Several servers on one store: with MDStoreLocks they share the work, without they at least spoil nothing. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { startCa, temporary } from '../src/ca/ca.testing.ts';
import { keyFromPem } from '../src/pki/keys.ts';
import { eventually, freePorts, signal, TestServer } from './latchkey.testing.ts';

const NAMES = Array.from({ length: 8 }, (_, n) => `h${n}.localhost`);

/** A CA that looks at the first of two servers with the same store, and both of them, not started. */
async function site(t: TestContext, ...lines: string[]) {
  const [httpOne = 0, httpTwo = 0, httpsOne = 0, httpsTwo = 0] = await freePorts(4);
  const ca = await startCa(t, { httpPort: httpTwo });
  const store = join(await temporary(t), 'md');
  const server = (http: number, https: number) => {
    const made = new TestServer();
    t.after(() => made[Symbol.asyncDispose]());
    const hosts = NAMES.map(
      (name) => `MDomain ${name}
<VirtualHost *:${https}>
  ServerName ${name}
  SSLEngine on
</VirtualHost>`,
    );
    made.configure(`Workers 1
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https}
MDStoreDir ${store}
MDPortMap 80:${http} 443:${https}
MDCertificateAuthority ${ca.directoryUrl}
MDCACertificateFile ${ca.dir}/root.pem
MDCAChallenges http-01
MDCertificateAgreement accepted
MDContactEmail admin@example.org
MDPrivateKeys P-256
MDRetryDelay 1s
${lines.join('\n')}
${hosts.join('\n')}
`);
    return { server: made, https };
  };
  const orders = () =>
    readdirSync(join(ca.dir, 'acme/orders')).filter((file) => file.endsWith('.json')).length;
  return { one: server(httpOne, httpsOne), two: server(httpTwo, httpsTwo), store, orders };
}

function file(store: string, name: string, aspect: string): string {
  return join(store, 'domains', name, aspect);
}

/** All names have a certificate and the key of it. */
function isComplete(store: string): boolean {
  return NAMES.every((name) => {
    const chain = file(store, name, 'pubcert.p-256.pem');
    if (!existsSync(chain)) return false;
    const key = keyFromPem(readFileSync(file(store, name, 'privkey.p-256.pem'), 'utf8'));
    return new X509Certificate(readFileSync(chain)).checkPrivateKey(key);
  });
}

function serialServed(port: number, servername: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber);
      socket.destroy();
    });
    socket.once('error', () => resolve(undefined));
  });
}

suite('two servers on one store', () => {
  test('with locks make one order for each domain, and both serve what either has obtained, domains added at run time too', async (t) => {
    const { one, two, store, orders } = await site(t, 'MDStoreLocks on');
    await Promise.all([one.server.start(), two.server.start()]);
    await eventually('all certificates', () => isComplete(store), 60);
    assert.equal(orders(), NAMES.length);
    for (const name of NAMES) {
      const serial = new X509Certificate(readFileSync(file(store, name, 'pubcert.p-256.pem'))).serialNumber;
      for (const { https } of [one, two]) {
        await eventually(`${name} at ${https}`, async () => (await serialServed(https, name)) === serial, 30);
      }
    }
    const { code, stdout } = await one.server.run('renew', 'h0.localhost');
    assert.equal(code, 0, stdout);
    const renewed = await serialServed(one.https, 'h0.localhost');
    await eventually('the other to serve it', async () => {
      return (await serialServed(two.https, 'h0.localhost')) === renewed;
    });
    assert.equal(orders(), NAMES.length + 1);

    assert.equal((await one.server.run('domains', 'add', 'new.localhost', 'www.new.localhost')).code, 0);
    const serial = await eventually('the certificate of an added domain', () => {
      const chain = file(store, 'new.localhost', 'pubcert.p-256.pem');
      return existsSync(chain) && new X509Certificate(readFileSync(chain)).serialNumber;
    });
    const added = 'www.new.localhost';
    for (const { https } of [one, two]) {
      await eventually(`it at ${https}`, async () => (await serialServed(https, added)) === serial);
    }
    assert.equal(orders(), NAMES.length + 2);
    const taken = await two.server.run('domains', 'add', 'other.localhost', added);
    assert.match(taken.stderr, /www\.new\.localhost is a name of the managed domain new\.localhost/);
    assert.equal((await two.server.run('domains', 'remove', 'new.localhost')).code, 0);
    await eventually('its end', async () => (await serialServed(one.https, added)) !== serial);
    assert.doesNotMatch((await one.server.run('domains', 'list')).stdout, /new\.localhost/);
  });

  test('with locks: what a killed one had in hand goes on with the other', async (t) => {
    const { one, two, store } = await site(t, 'MDStoreLocks 2s');
    // Its challenges can't be reached, so that it never gets anywhere with what it holds.
    await one.server.start();
    await eventually('leases', () => {
      const held = readdirSync(join(store, 'locks')).filter((name) => name.startsWith('h'));
      return held.length > 0;
    });
    for (const pid of one.server.processes()) signal(pid, 'SIGKILL');
    await two.server.start();
    await eventually('all certificates', () => isComplete(store), 60);
    assert.doesNotMatch(two.server.log(), /going on without the lock/);
  });

  test('without locks each end up with all certificates, each with its key', async (t) => {
    const { one, two, store } = await site(t);
    await Promise.all([one.server.start(), two.server.start()]);
    await eventually('all certificates', () => isComplete(store), 60);
    for (const { server } of [one, two]) {
      await eventually('all complete', async () => {
        const { domains } = await server.status();
        return domains.every(({ state }) => state === 'complete');
      });
    }
    assert.ok(isComplete(store));
  });
});
