/** The configurations of the how-tos that people start from are accepted as they stand. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { load } from '../src/config/config.testing.ts';

const folder = new URL('howtos/', import.meta.url);

/** What the how-tos take for granted. */
const files = {
  'htdocs/index.html': 'hello',
  'certs/certificate.pem': 'a certificate',
  'certs/key.pem': 'its key',
  'certs/both.pem': 'a certificate and its key',
  'included/global.conf': 'MDContactEmail admin@example.org\nMDCertificateAgreement accepted\n',
};

const howtos = readdirSync(folder).filter((name) => name.endsWith('.conf'));

const settingsOf = (t: Parameters<typeof load>[0], name: string) =>
  load(t, readFileSync(new URL(`${name}.conf`, folder), 'utf8'), { files });

for (const file of howtos) {
  const name = file.replace(/\.conf$/, '');
  test(`how-to: ${name.replaceAll('-', ' ')}`, (t) => {
    const { hosts, domains } = settingsOf(t, name);
    assert.ok(hosts.length > 0);
    for (const domain of domains) {
      assert.equal(domain.agreement, 'accepted', domain.name);
      assert.match(domain.contacts[0] ?? '', /^mailto:/);
    }
    for (const host of hosts.filter((one) => one.tls.engine)) {
      const served = host.managedDomain !== undefined || host.tls.certificates.length > 0;
      assert.ok(served, `${host.serverName} has a certificate`);
    }
  });
}

test('the how-tos say what they promise', (t) => {
  const names = (howto: string) => settingsOf(t, howto).domains.map((domain) => domain.domains);
  assert.deepEqual(names('many-names-for-a-host'), [['example.org', 'www.example.org', 'forum.example.org']]);
  assert.deepEqual(names('automatic-membership'), [
    ['example.org', 'www.example.org'],
    ['example2.org', 'www.example2.org'],
  ]);
  assert.deepEqual(names('manual-membership'), [['example.org', 'www.example.org', 'mail.example.org']]);
  assert.deepEqual(names('one-certificate-for-several-hosts'), [
    ['example.org', 'another.example.net', 'www.another.example.net'],
  ]);

  const [migrated] = settingsOf(t, 'migrate-an-https-host').warnings;
  assert.match(
    migrated?.message ?? '',
    /^Init: \(shop\.example\.org:443\) You configured certificate\/key files on this host, but it is covered by a Managed Domain\. You need to remove these directives for the Managed Domain to take over\.$/,
  );

  const [mapped] = settingsOf(t, 'ports-behind-a-firewall').domains;
  assert.deepEqual(mapped?.reach.http01, { possible: true });
  assert.equal(mapped?.reach.tlsAlpn01.possible, false);
  const [tlsOnly] = settingsOf(t, 'live-without-http').domains;
  assert.deepEqual(tlsOnly?.reach.tlsAlpn01, { possible: true });
  assert.equal(tlsOnly?.reach.http01.possible, false);

  const [secure, plain] = settingsOf(t, 'individual-settings').hosts.map((host) => host.requireHttps);
  assert.deepEqual([secure, plain], ['off', 'permanent']);
  assert.deepEqual(settingsOf(t, 'two-certificates-for-one-host').domains[0]?.keys, [
    { type: 'EC', name: 'secp256r1' },
    { type: 'RSA', bits: 3072 },
  ]);
  assert.deepEqual(
    settingsOf(t, 'tls-and-ssl-on-two-ports').hosts.map((host) => host.tls.family),
    ['ssl', 'tls'],
  );
});

test('the first configuration of the README gets a certificate for a host at both ports', (t) => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const block = /^A dozen lines.*\n\n((?: {4}.*\n)+)/m.exec(readme)?.[1] ?? '';
  const text = block.replace('/srv/www/html', 'htdocs');
  const { domains, listens, warnings } = load(t, text, { files });
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    listens.map(({ port, tls }) => [port, tls]),
    [
      [80, false],
      [443, true],
    ],
  );
  assert.deepEqual(
    domains.map((domain) => [domain.name, domain.reach.http01.possible]),
    [['example.org', true]],
  );
});
