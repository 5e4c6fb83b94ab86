/** How-tos about hosts: added, migrated, with many names, with and without http. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { eventually, selfSigned } from '../latchkey.testing.ts';
import { Authority, howto, type Site, skip, together } from './howtos.testing.ts';

const authority = skip ? undefined : await Authority.start();
after(() => authority?.[Symbol.asyncDispose]());
const newSite = (): Site => authority?.site() ?? assert.fail('skipped');

suite('how-tos', together, () => {
  test('How to Add a New Host', async () => {
    await using site = newSite();
    const name = `www.${site.org}`;
    // As if the CA took its time.
    await site.configure(howto('add-a-new-host'), 'MDInitialDelay 1h');
    await site.start();
    assert.equal((await site.get(`https://${name}/`)).code, 60, 'a stopgap is not trusted');
    assert.equal((await site.get(`https://${name}/`, '-k')).status, 503);
    await site.renew(name);
    assert.match((await site.green(name)).body, /hello/);
    assert.match(await site.certificate(name, '-issuer'), /Pebble/);
    await site.logged(`AH10059: The Managed Domain ${name} has been setup`);
  });

  test('How to Add https to a Host', async () => {
    await using site = newSite();
    const name = `www.${site.org}`;
    await site.configure(howto('add-https-to-a-host'), 'MDInitialDelay 1h');
    await site.start();
    assert.equal((await site.get(`http://${name}/`)).status, 200, 'http works as it used to');
    assert.equal((await site.get(`https://${name}/`, '-k')).status, 503);
    await site.renew(name);
    assert.equal((await site.green(name)).status, 200);
    assert.equal((await site.get(`http://${name}/`)).status, 200);
  });

  test('How to Migrate a https: Host', async () => {
    await using site = newSite();
    const name = `shop.${site.org}`;
    const { cert, key } = selfSigned(site.server.dir, name);
    const text = howto('migrate-an-https-host')
      .replace('certs/certificate.pem', cert)
      .replace('certs/key.pem', key);
    await site.configure(text, 'Listen 80');
    await site.start();
    await site.logged(
      /\[ssl:warn\] [^\n]*You configured certificate\/key files on this host, but it is covered by a Managed Domain/,
    );
    await site.logged(`AH10059: The Managed Domain ${name} has been setup`);
    assert.match(await site.certificate(name, '-subject', '-issuer'), /issuer=CN ?= ?shop/, 'as before');
    await site.configure(text.replaceAll(/^ *SSLCertificate.*\n/gm, ''), 'Listen 80');
    await site.reload();
    assert.equal((await site.green(name)).status, 200);
  });

  test('How to Have many Names for a Host', async () => {
    await using site = newSite();
    const text = `${howto('many-names-for-a-host')}\nListen 80`;
    await site.configure(text);
    await site.start();
    await site.green(site.org);
    const all = [`forum.${site.org}`, site.org, `www.${site.org}`];
    assert.deepEqual(await site.names(site.org), all);
    // One more is in a new certificate; one less is not worth one.
    await site.configure(
      text.replace('ServerAlias forum', 'ServerAlias wiki.example.org\n  ServerAlias forum'),
    );
    await site.reload();
    await site.green(`wiki.${site.org}`);
    const serial = await site.serial(site.org);
    await site.configure(text);
    await site.reload();
    assert.equal((await site.server.run('status')).code, 0);
    assert.equal(await site.serial(site.org), serial);
  });

  test('How to Live with http:', async () => {
    await using site = newSite();
    const text = howto('live-with-http');
    await site.configure(text);
    await site.start();
    await site.green(site.org);
    const from = `http://${site.org}/a%20b?c=d`;
    assert.match(
      (await site.get(from)).head,
      new RegExp(` 302 [^]*location: https://${site.org}/a%20b\\?c=d`, 'i'),
    );
    assert.doesNotMatch((await site.get(`https://${site.org}/`)).head, /strict-transport/i);
    await site.configure(text.replace('temporary', 'permanent'));
    await site.reload();
    assert.match((await site.get(from)).head, / 301 /);
    assert.match(
      (await site.get(`https://${site.org}/`)).head,
      /strict-transport-security: max-age=15768000/i,
    );
  });

  test('How to Live without http:', async () => {
    await using site = newSite();
    await site.configure(howto('live-without-http'));
    await site.start();
    await site.green(site.org);
    assert.equal((await site.get(`http://${site.org}/`)).code, 7, 'nobody listens');
    assert.match(site.server.log(), /tls-alpn-01/);
  });

  test('How to Have one Cert for Several Hosts', async () => {
    await using site = newSite();
    await site.configure(howto('one-certificate-for-several-hosts'), 'Listen 80');
    await site.start();
    await site.green(site.org);
    const other = `another.${site.net}`;
    await site.green(other);
    assert.equal(await site.serial(other), await site.serial(site.org));
    assert.deepEqual(await site.names(other), [other, site.org, `www.${other}`].sort());
  });

  test('How to Have an Extra Name in a Cert', async () => {
    await using site = newSite();
    // A domain that nothing uses, and that does not say always, is only told of.
    await site.configure(howto('extra-name-in-a-certificate'), 'Listen 80\nMDomain pop.example.org');
    await site.start();
    await site.green(site.org);
    assert.deepEqual(await site.names(site.org), [`mail.${site.org}`, site.org]);
    await eventually('one for the domain that says always', async () => {
      const { domains } = await site.server.status();
      const held = domains.map(({ name, certificates }) => `${name} ${certificates.length}`);
      return held.sort().join() === `imap.${site.org} 1,pop.${site.org} 0,${site.org} 1`;
    });
    await site.logged(`AH10059: The Managed Domain imap.${site.org} has been setup`);
    assert.match(site.server.log(), new RegExp(`No VirtualHost matches Managed Domain pop\\.${site.org}`));
  });

  test('How to Have Individual Settings', async () => {
    await using site = newSite();
    const plain = '<VirtualHost *:80>\nServerName NAME\nDocumentRoot htdocs\n</VirtualHost>';
    const both = ['example.org', 'another.example.net'].map((name) => plain.replace('NAME', name));
    await site.configure(howto('individual-settings'), ...both);
    await site.start();
    await site.green(`another.${site.net}`);
    assert.equal((await site.get(`http://another.${site.net}/`)).status, 301);
    assert.equal((await site.get(`http://${site.org}/`)).status, 200);
  });

  test('How to Use Other Certificates', async () => {
    await using site = newSite();
    const { cert, key } = selfSigned(site.server.dir, site.org);
    await site.configure(
      `Listen 443\n<MDomain example.org>\nMDMembers manual\nMDCertificateFile ${cert}\nMDCertificateKeyFile ${key}\n</MDomain>`,
      'DocumentRoot htdocs\n<VirtualHost *:443>\nServerName example.org\nSSLEngine on\n</VirtualHost>',
      '<VirtualHost *:443>\nServerName b.example.org\nServerAlias example.org\nSSLEngine on\n</VirtualHost>',
      'MDContactEmail admin@example.org\nMDCertificateAgreement accepted',
    );
    await site.start();
    for (const name of [site.org, `b.${site.org}`])
      assert.match(await site.certificate(name, '-issuer'), new RegExp(`CN ?= ?${site.org}`), name);
    const [domain] = (await site.server.status()).domains;
    assert.equal(domain?.certificates.length, 1, 'it is watched');
    assert.equal((await site.get(`https://${site.org}/`, '-k')).status, 200);
    assert.doesNotMatch(site.server.log(), /AH10052/, 'and never renewed');
  });

  test('How to Have Two Certs for One Host', async () => {
    await using site = newSite();
    await site.configure(howto('two-certificates-for-one-host').replace('rsa3072', 'rsa2048'), 'Listen 80');
    await site.start();
    await site.green(site.org);
    const kind = async (...options: string[]) =>
      /Peer signature type: (\w+)/i
        .exec((await site.handshake(site.org, ...options)).stdout)?.[1]
        ?.toLowerCase();
    assert.match((await kind('-sigalgs', 'ecdsa_secp256r1_sha256')) ?? '', /ecdsa/);
    assert.match((await kind('-sigalgs', 'rsa_pss_rsae_sha256')) ?? '', /rsa/);
    await eventually('both in the status', async () => {
      const [domain] = (await site.server.status()).domains;
      const types = domain?.certificates.map(({ keyType }) => keyType.replace(/\W.*/, '').toLowerCase());
      return types?.sort().join() === 'ec,rsa';
    });
  });

  test('Simple Usage: one certificate for two hosts of a domain', async () => {
    await using site = newSite();
    await site.configure(howto('simple-usage'), 'Listen 80');
    await site.start();
    await site.green(site.org);
    await site.green(`www.${site.org}`);
    assert.deepEqual(await site.names(`www.${site.org}`), [site.org, `www.${site.org}`]);
    assert.match(site.server.log(), /\[md:info\] [^\n]*mod_md \(v[\d.]+\), initializing/);
  });

  test('There can be many: automatic and manual membership', async () => {
    await using site = newSite();
    await site.configure(
      howto('automatic-membership'),
      'Listen 80',
      '<MDomain wide.example.net>\nMDMembers manual\n</MDomain>',
      '<VirtualHost *:443>\nServerName wide.example.net\nServerAlias left-out.example.net\nSSLEngine on\n</VirtualHost>',
    );
    await site.start();
    await site.green(`www.${site.org}`);
    await site.green(`www.second.${site.net}`);
    await site.green(`wide.${site.net}`);
    assert.deepEqual(await site.names(`wide.${site.net}`), [`wide.${site.net}`]);
    assert.match(site.server.log(), /the name\/alias left-out\.[\w.]+ itself is not managed/);
  });

  test('One on One: a host that had files, and all names of MDMembers manual', async () => {
    await using site = newSite();
    await site.configure(howto('manual-membership'), 'Listen 80', 'Protocols h2 http/1.1 acme-tls/1');
    await site.start();
    await site.green(`www.${site.org}`);
    assert.deepEqual(await site.names(site.org), [`mail.${site.org}`, site.org, `www.${site.org}`]);
    const [alpn] = /ALPN protocol: \S+/.exec((await site.handshake(site.org, '-alpn', 'h2')).stdout) ?? [];
    assert.equal(alpn, 'ALPN protocol: h2');
  });

  test('MDBaseServer: what stands outside of all virtual hosts', async () => {
    await using site = newSite();
    const text =
      'Listen 80\nListen 443\nServerName example.org\nDocumentRoot htdocs\n' +
      'MDContactEmail admin@example.org\nMDCertificateAgreement accepted\nMDomain example.org\n';
    await site.configure(`${text}MDBaseServer on`);
    await site.start();
    assert.match((await site.green(site.org)).body, /hello/);
    assert.deepEqual(await site.names(site.org), [site.org]);
  });

  test('Redirecting to https: bare bones, phase in, switch over', async () => {
    await using site = newSite();
    const name = `www.${site.org}`;
    const bare =
      'Listen 80\nInclude included/global.conf\n<VirtualHost *:80>\nServerName www.example.org\nDocumentRoot htdocs\n</VirtualHost>';
    await site.configure(bare);
    await site.start();
    assert.equal((await site.get(`http://${name}/`)).status, 200);
    await site.configure(howto('phase-in-https'));
    await site.reload();
    assert.equal(
      (await site.green(name)).body,
      (await site.get(`http://${name}/`)).body,
      'the same with https',
    );
    await site.configure(howto('redirect-for-good'));
    await site.reload();
    assert.match(
      (await site.get(`http://${name}/x?y`)).head,
      new RegExp(` 301 [^]*location: https://${name}/x\\?y`, 'i'),
    );
    assert.match((await site.get(`https://${name}/`)).head, /strict-transport-security/i);
  });

  test('TLS with mod_tls’s directives, managed', async () => {
    await using site = newSite();
    const text = howto('tls-managed').replace('ServerName b', 'DocumentRoot htdocs\n  ServerName b');
    await site.configure(text, 'Listen 80');
    await site.start();
    assert.match((await site.green(`b.${site.net}`)).body, /hello/);
  });
});
