/** A certificate for an address, by a CA that looks for it there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPebble, withoutPebble } from '../src/acme/pebble.testing.ts';
import { getSecure } from './faults/faults.testing.ts';
import { eventually, freePorts, TestServer } from './latchkey.testing.ts';

for (const challenge of ['http-01', 'tls-alpn-01']) {
  test(`an address gets its certificate by ${challenge}`, { skip: withoutPebble }, async () => {
    const [http = 0, https = 0] = await freePorts(2);
    await using server = new TestServer();
    await using pebble = await startPebble({ httpPort: http, tlsPort: https });
    server.write('pebble-ca.pem', pebble.ca);
    server.write('htdocs/index.html', 'hello by address\n');
    server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https}
TLSEngine ${https}
Protocols h2 http/1.1 acme-tls/1
MDPortMap http:${http} https:${https}
MDCertificateAuthority ${pebble.directoryUrl}
MDCACertificateFile pebble-ca.pem
MDCertificateAgreement accepted
MDPrivateKeys P-256
MDCAChallenges ${challenge}
MDomain 127.0.0.1
<VirtualHost *>
  ServerName 127.0.0.1
  DocumentRoot htdocs
  <Location />
    Require all granted
  </Location>
</VirtualHost>
`);
    await server.start();
    await eventually('the certificate', async () => {
      const [domain] = (await server.status()).domains;
      assert.equal(domain?.problem, undefined, JSON.stringify(domain?.problem));
      return domain?.state === 'complete';
    });
    // Before, there is a fallback certificate, with which every answer is 503.
    await eventually('the page', async () => (await getSecure(https, '127.0.0.1')).status === 200);
    const { names, body } = await getSecure(https, '127.0.0.1');
    assert.equal(names, 'IP Address:127.0.0.1');
    assert.equal(body, 'hello by address\n');
  });
}
