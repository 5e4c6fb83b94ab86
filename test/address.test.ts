/** A certificate for an address, by a CA that looks for it there. */
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { startPebble, withoutPebble } from '../src/acme/pebble.testing.ts';
import { getSecure } from './faults/faults.testing.ts';
import { eventually, freePorts, TestServer } from './latchkey.testing.ts';

const cases = [
  { address: '127.0.0.1', challenge: 'tls-alpn-01' },
  { address: '::1', challenge: 'http-01' },
  { address: '::1', challenge: 'tls-alpn-01' },
];

const bracketed = (address: string) => (isIP(address) === 6 ? `[${address}]` : address);

/** Why there is no testing with it on this machine, or false. */
function withoutAddress(address: string): string | false {
  const own = Object.values(networkInterfaces()).flat();
  return own.some((one) => one?.address === address) ? false : `this machine has no ${address}`;
}

for (const { address, challenge } of cases) {
  test(
    `${address} gets its certificate by ${challenge}`,
    { skip: withoutPebble || withoutAddress(address) },
    async () => {
      const [http = 0, https = 0] = await freePorts(2);
      await using server = new TestServer();
      await using pebble = await startPebble({ httpPort: http, tlsPort: https });
      server.write('pebble-ca.pem', pebble.ca);
      server.write('htdocs/index.html', 'hello by address\n');
      server.configure(`
Listen ${bracketed(address)}:${http}
Listen ${bracketed(address)}:${https}
TLSEngine ${https}
Protocols h2 http/1.1 acme-tls/1
MDPortMap http:${http} https:${https}
MDCertificateAuthority ${pebble.directoryUrl}
MDCACertificateFile pebble-ca.pem
MDCertificateAgreement accepted
MDPrivateKeys P-256
MDCAChallenges ${challenge}
MDomain ${address}
<VirtualHost *>
  ServerName ${bracketed(address)}
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
      await eventually('the page', async () => (await getSecure(https, address)).status === 200);
      const { names, body } = await getSecure(https, address);
      assert.equal(names, `IP Address:${address === '::1' ? '0:0:0:0:0:0:0:1' : address}`);
      assert.equal(body, 'hello by address\n');
    },
  );
}
