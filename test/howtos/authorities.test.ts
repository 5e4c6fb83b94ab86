/** How-tos about authorities and the ways to them: challenges, wildcards, failover, proxies, tailscale. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { eventually, freePorts, selfSigned, TestServer } from '../latchkey.testing.ts';
import { Authority, fakeTailscaled, howto, type Site, skip, together } from './howtos.testing.ts';

const authority = skip ? undefined : await Authority.start();
after(() => authority?.[Symbol.asyncDispose]());
const newSite = (): Site => authority?.site() ?? assert.fail('skipped');

const contact = 'MDContactEmail admin@example.org\nMDCertificateAgreement accepted';
const host = (name: string, ...lines: readonly string[]) =>
  `<VirtualHost *:443>\nServerName ${name}\n${lines.join('\n')}\nSSLEngine on\nDocumentRoot htdocs\n</VirtualHost>`;

/** A command for DNS challenges by Pebble's DNS server. */
function dnsCommand(site: Site): string {
  const url = authority?.dns.managementUrl;
  const command = site.server.write(
    'bin/dns',
    `#!/bin/sh
host="_acme-challenge.$2."
[ "$1" = setup ] && curl -sSf -d "{\\"host\\":\\"$host\\",\\"value\\":\\"$3\\"}" ${url}/set-txt
[ "$1" = setup ] || curl -sSf -d "{\\"host\\":\\"$host\\"}" ${url}/clear-txt
`,
  );
  chmodSync(command, 0o755);
  return command;
}

suite('how-tos', together, () => {
  test('How to Get a Wildcard Cert', async () => {
    await using site = newSite();
    // Neither port leads here from the internet.
    await site.configure(
      `Listen 443\n${contact}\nMDPortMap http:- https:-\nMDChallengeDns01 ${dnsCommand(site)}`,
      'MDomain example.org *.example.org',
      host('example.org', 'ServerAlias *.example.org'),
    );
    await site.start();
    await site.green(site.org);
    assert.equal((await site.get(`https://anything.${site.org}/`)).status, 200);
    assert.deepEqual(await site.names(site.org), [`*.${site.org}`, site.org]);
  });

  test('choosing challenges: tls-alpn-01 for all, others for some', async () => {
    await using site = newSite();
    await site.configure(howto('choose-challenges'), 'Protocols http/1.1 acme-tls/1');
    await site.start();
    for (const name of ['abc', 'def', 'xyz']) await site.green(`${name}.${site.org}`);
    const log = site.server.log();
    const type = (name: string) =>
      new RegExp(
        `(http-01|tls-alpn-01)[^\n]*\\b${name}\\.${site.org}|${name}\\.${site.org}[^\n]*?(http-01|tls-alpn-01)`,
      )
        .exec(log)
        ?.slice(1)
        .find(Boolean);
    assert.deepEqual(['abc', 'def', 'xyz'].map(type), ['http-01', 'tls-alpn-01', 'tls-alpn-01']);
  });

  test('Ports Ports Ports: MDPortMap behind a firewall', async () => {
    await using site = newSite();
    await site.configure(howto('ports-behind-a-firewall'));
    await site.start();
    assert.match((await site.green(site.org)).head, /^HTTP/);
    assert.match(site.server.log(), /http-01/);
  });

  test('ACME Failover', async () => {
    await using site = newSite();
    const [closed = 0] = await freePorts(1);
    const both = `https://127.0.0.1:${closed}/dir ${authority?.pebble.directoryUrl}`;
    const text = howto('ca-failover')
      .replace('letsencrypt buypass', both)
      .replace('MDRetryDelay 30s', 'MDRetryDelay 100ms');
    await site.configure(text, 'Listen 80\nMDRetryFailover 2');
    await site.start();
    assert.match((await site.green(site.org)).head, /^HTTP/);
    assert.match(site.server.log(), /refuses connections/);
  });

  test('Dipping the Toe: another CA for one domain', async () => {
    await using site = newSite();
    const [closed = 0] = await freePorts(1);
    const staging = 'https://acme-staging-v02.api.letsencrypt.org/directory';
    const text = howto('dip-the-toe').replace(staging, authority?.pebble.directoryUrl ?? '');
    await site.configure(
      `Listen 80\nMDCertificateAuthority https://127.0.0.1:${closed}/dir\n${text}\nMDomain real.example.org`,
      host('real.example.org'),
    );
    await site.start();
    await site.green(`test.${site.org}`);
    assert.equal((await site.get(`https://real.${site.org}/`, '-k')).status, 503);
  });

  test('Other ACME CAs: one for one domain, and trusted there alone', async () => {
    await using site = newSite();
    const [closed = 0] = await freePorts(1);
    const text = howto('another-authority')
      .replace('https://ca.example.net/acme', authority?.pebble.directoryUrl ?? '')
      .replace('certs/certificate.pem', 'pebble.pem');
    await site.configure(
      `Listen 80\nMDCACertificateFile none\nMDCertificateAuthority https://127.0.0.1:${closed}/dir`,
      text,
      `<MDomain wary.example.org>\nMDCertificateAuthority ${authority?.pebble.directoryUrl}\n</MDomain>`,
      host('wary.example.org'),
    );
    await site.start();
    await site.green(`sandbox.${site.org}`);
    await eventually('a problem', async () =>
      /self[- ]signed|unable to (?:get|verify)/i.test(
        (await site.server.run('status', `wary.${site.org}`)).stdout,
      ),
    );
  });

  test('MDHttpProxy: the CA by way of a forward proxy', async () => {
    await using site = newSite();
    await using proxy = new TestServer();
    const [port = 0] = await freePorts(1);
    const to = new URL(authority?.pebble.directoryUrl ?? '');
    proxy.configure(`Workers 1
Listen 127.0.0.1:${port}
ProxyRequests On
AllowCONNECT ${to.port}
CustomLog logs/access_log "%m %U %>s"
<Proxy "*">
  Require local
</Proxy>
`);
    await proxy.start();
    await site.configure(
      `Listen 80\nListen 443\n${contact}\nMDHttpProxy http://127.0.0.1:${port}\nMDomain example.org`,
      host('example.org'),
    );
    await site.start();
    await site.green(site.org);
    await site.server.stop();
    const line = new RegExp(`^CONNECT ${to.host} 200$`, 'm');
    await eventually('its access log', () => line.test(proxy.read('logs/access_log')));
  });

  test('Securing a tailscale machine', async () => {
    await using site = newSite();
    const name = 'desk.tail1234.ts.net';
    const { cert, key } = selfSigned(site.server.dir, name);
    const pair = () => readFileSync(key, 'utf8') + readFileSync(cert, 'utf8');
    const socket = join(site.server.dir, 'tailscaled.sock');
    await site.configure(
      `Listen 443\n${contact}`,
      `<MDomain ${name}>\nMDCertificateProtocol tailscale\nMDCertificateAuthority file://localhost${socket}\n</MDomain>`,
      host(name),
    );
    await site.start();
    // "Apache will start also if your tailscale daemon is down."
    assert.equal((await site.get(`https://${name}/`, '-k')).status, 503);
    await using _daemon = await fakeTailscaled(socket, [name], pair);
    await eventually('its certificate', async () => {
      const page = await site.get(`https://${name}/`, '--cacert', cert);
      return page.code === 0 && page.status === 200;
    });
    await eventually('it in the status', async () => {
      const [domain] = (await site.server.status()).domains;
      return domain?.state === 'complete';
    });
  });

  test('A key to bind them: a CA for its own customers', async () => {
    const hmac = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
    const externalAccounts = { 'kid-1': hmac, 'kid-2': hmac };
    await using binding = await Authority.start({ externalAccounts });
    await using site = binding.site();
    const common = `Listen 80\nListen 443\n${contact}\nMDomain example.org\n${host('example.org')}`;
    await site.configure(common);
    await site.start();
    await eventually('a problem', async () =>
      (await site.server.status()).domains[0]?.problem?.type.endsWith('externalAccountRequired'),
    );
    const bind = async (kid: string) => {
      await site.configure(`${common}\nMDExternalAccountBinding ${kid} ${hmac}`);
      await site.reload();
    };
    const bound = () =>
      readdirSync(join(site.server.dir, 'md/accounts')).map((account) => {
        const { eab } = JSON.parse(site.server.read(`md/accounts/${account}/account.json`)) as {
          eab: unknown;
        };
        return eab;
      });
    const [first, second] = [
      { kid: 'kid-1', hmac },
      { kid: 'kid-2', hmac },
    ];
    await bind('kid-1');
    await site.renew(site.org);
    await site.green(site.org);
    assert.deepEqual(bound(), [first]);
    // "If you change the EAB afterwards, nothing will happen until the certificate needs to be renewed."
    const serial = await site.serial(site.org);
    await bind('kid-2');
    assert.equal(await site.serial(site.org), serial);
    assert.deepEqual(bound(), [first]);
    await site.renew(site.org);
    assert.deepEqual(bound(), [first, second]);
    // "Should you change back, a renewal will find the previous account."
    await bind('kid-1');
    await site.renew(site.org);
    assert.deepEqual(bound(), [first, second]);
  });

  test('Managing by hand, with a store elsewhere', async () => {
    await using site = newSite();
    await site.configure(howto('store-elsewhere'), 'Listen 80');
    await site.start();
    assert.equal((await site.get(`https://${site.org}/`, '-k')).status, 503);
    await site.renew(site.org);
    await site.green(site.org);
    assert.match(site.server.read(`elsewhere/md/domains/${site.org}/pubcert.secp256r1.pem`), /BEGIN CERT/);
  });
});
