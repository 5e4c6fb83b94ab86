/** How-tos about a server in operation: reloads, problems, changes, backups, messages, monitoring. */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { eventually, freePorts } from '../latchkey.testing.ts';
import { Authority, howto, type Site, skip, together } from './howtos.testing.ts';

const authority = skip ? undefined : await Authority.start();
after(() => authority?.[Symbol.asyncDispose]());
const newSite = (): Site => authority?.site() ?? assert.fail('skipped');

const contact = 'MDContactEmail admin@example.org\nMDCertificateAgreement accepted';
const listen = 'Listen 80\nListen 443';
const host = (...names: readonly string[]) =>
  `<VirtualHost *:443>\nServerName ${names[0]}\n${names
    .slice(1)
    .map((name) => `ServerAlias ${name}\n`)
    .join('')}SSLEngine on\nDocumentRoot htdocs\n</VirtualHost>`;

/** A command that appends its arguments to a file. */
function recorder(site: Site, name: string): { readonly command: string; readonly lines: () => string[] } {
  const file = join(site.server.dir, `${name}.txt`);
  const command = site.server.write(`bin/${name}`, `#!/bin/sh\necho "$@" >>${file}\n`);
  chmodSync(command, 0o755);
  return {
    command,
    lines: () => (existsSync(file) ? site.server.read(`${name}.txt`).trim().split('\n') : []),
  };
}

suite('how-tos', together, () => {
  test('How to Manage Server Reloads', async () => {
    await using site = newSite();
    const message = recorder(site, 'message');
    const restart = `MDActivateOn restart\nMDMessageCmd ${message.command}`;
    await site.configure([listen, contact, restart, 'MDomain example.org', host('example.org')].join('\n'));
    await site.start();
    await site.logged(
      `AH10059: The Managed Domain ${site.org} has been setup and changes will be activated on next (graceful) server restart.`,
    );
    assert.equal((await site.get(`https://${site.org}/`, '-k')).status, 503, 'not in use yet');
    assert.ok(message.lines().includes(`renewed ${site.org}`), 'whoever reloads is told');
    await site.reload();
    assert.equal((await site.green(site.org)).status, 200);
    await eventually('word of it', () => message.lines().includes(`installed ${site.org}`));
  });

  test('How to Fix Problems', async () => {
    await using site = newSite();
    const [closed = 0] = await freePorts(1);
    const domain = (name: string, ...lines: readonly string[]) =>
      `<MDomain ${name}.example.org>\n${lines.join('\n')}\n</MDomain>\n${host(`${name}.example.org`)}`;
    await site.configure(
      // Later than this test: what is tried again shows no problem meanwhile.
      [listen, contact, 'MDRetryDelay 1h'].join('\n'),
      domain('unreachable', `MDCertificateAuthority https://127.0.0.1:${closed}/dir`),
      domain('wrong-url', `MDCertificateAuthority ${authority?.pebble.directoryUrl}/nothing`),
      domain('elsewhere'),
      domain('no-challenge', 'MDCAChallenges dns-01'),
      '<MDomain wild.example.org *.wild.example.org>\n</MDomain>\n' + host('wild.example.org'),
    );
    // Its DNS record has the wrong address.
    await authority?.pointTo(`elsewhere.${site.org}`, '127.0.2.1');
    await site.start();
    const told = await eventually('problems of all', async () => {
      const { domains } = await site.server.status();
      const problems = new Map(domains.map(({ name, problem }) => [name.split('.')[0], problem?.detail]));
      return [...problems.values()].every((problem) => problem !== undefined) && problems;
    });
    assert.match(told.get('unreachable') ?? '', /can't be reached: 127\.0\.0\.1:\d+ refuses connections/);
    assert.match(told.get('wrong-url') ?? '', /no (?:ACME )?directory|404/i);
    assert.match(told.get('elsewhere') ?? '', /127\.0\.2\.1|connection refused|validat/i);
    for (const name of ['no-challenge', 'wild']) assert.match(told.get(name) ?? '', /MDChallengeDns01/, name);
    const shown = (await site.server.run('status')).stdout;
    assert.match(shown, /firewall, port forwarding, MDPortMap/, 'what to do about it');
  });

  test('Changing Domains: names removed, added, moved; a domain removed and back', async () => {
    await using site = newSite();
    const write = async (...lines: readonly string[]) =>
      site.configure([listen, contact, ...lines].join('\n'));
    const [one, two] = ['MDomain example.org', 'MDomain two.example.org'];
    await write(one, two, host('example.org', 'a.example.org'), host('two.example.org'));
    await site.start();
    await site.green(site.org);
    await site.green(`two.${site.org}`);
    const [first, second] = [await site.serial(site.org), await site.serial(`two.${site.org}`)];
    // a moves to the other domain, which needs another certificate; this one is good enough.
    await write(one, two, host('example.org'), host('two.example.org', 'a.example.org'));
    await site.reload();
    await site.green(`a.${site.org}`);
    assert.notEqual(await site.serial(`two.${site.org}`), second);
    assert.equal(await site.serial(site.org), first);
    await write(two, host('two.example.org', 'a.example.org'));
    await site.reload();
    await write(one, two, host('example.org'), host('two.example.org', 'a.example.org'));
    await site.reload();
    assert.equal((await site.green(site.org)).status, 200);
    assert.equal(await site.serial(site.org), first, 'found again');
  });

  test('How to Backup, Restore or Start Over', async () => {
    await using site = newSite();
    await site.configure([listen, contact, 'MDomain example.org', host('example.org')].join('\n'));
    await site.start();
    await site.green(site.org);
    const before = await site.serial(site.org);
    await site.server.stop();
    const [store, backup] = [join(site.server.dir, 'md'), join(site.server.dir, 'backup')];
    cpSync(store, backup, { recursive: true });
    rmSync(store, { recursive: true });
    await site.start();
    await site.green(site.org);
    assert.notEqual(await site.serial(site.org), before, 'started over');
    await site.server.stop();
    rmSync(store, { recursive: true });
    cpSync(backup, store, { recursive: true });
    await site.start();
    assert.equal((await site.green(site.org)).status, 200);
    assert.equal(await site.serial(site.org), before, 'restored');
  });

  test('File Storage: a mistake is undone by an archived folder', async () => {
    await using site = newSite();
    await site.configure([listen, contact, 'MDomain example.org', host('example.org')].join('\n'));
    await site.start();
    await site.green(site.org);
    const good = await site.serial(site.org);
    await site.renew(site.org);
    assert.notEqual(await site.serial(site.org), good);
    await site.server.stop();
    const domain = join(site.server.dir, 'md/domains', site.org);
    rmSync(domain, { recursive: true });
    // The first one has what was there before any certificate.
    cpSync(join(site.server.dir, `md/archive/${site.org}.2`), domain, { recursive: true });
    await site.start();
    assert.equal((await site.get(`https://${site.org}/`)).status, 200);
    assert.equal(await site.serial(site.org), good);
    assert.equal(site.server.log().split('Creating new order').length, 3, 'nothing is ordered for that');
  });

  test('MDNotifyCmd and MDMessageCmd', async () => {
    await using site = newSite();
    const [notify, message] = [recorder(site, 'notify'), recorder(site, 'message')];
    const hooks = `MDNotifyCmd ${notify.command} to\nMDMessageCmd ${message.command} by`;
    await site.configure([listen, contact, hooks, 'MDomain example.org', host('example.org')].join('\n'));
    await site.start();
    await site.green(site.org);
    await eventually('the last message', () => message.lines().includes(`by installed ${site.org}`));
    assert.deepEqual(notify.lines(), [`to ${site.org}`]);
    const events = message.lines().map((line) => line.replace(`by `, '').replace(` ${site.org}`, ''));
    assert.deepEqual(
      [events[0], events.at(-2), events.at(-1)],
      ['renewing', 'renewed', 'installed'],
      events.join(),
    );
    assert.match(events[1] ?? '', new RegExp(`^challenge-setup:http-01:${site.org}`));
  });

  test('Monitoring: server-status, md-status and certificate-status', async () => {
    await using site = newSite();
    await site.configure(
      howto('monitor'),
      'Listen 80',
      'MDCertificateMonitor another https://another.example/?q=',
    );
    await site.start();
    await site.green(site.org);
    const url = `https://${site.org}`;
    const all = JSON.parse((await site.get(`${url}/md-status`)).body) as {
      'managed-domains': { name: string }[];
    };
    assert.deepEqual(
      all['managed-domains'].map(({ name }) => name),
      [site.org],
    );
    const one = (await site.get(`${url}/md-status/${site.org}`)).body;
    assert.match(one, /"renew-window": "33%"/);
    const serial = (await site.serial(site.org)).replace('serial=', '');
    type Shown = Readonly<Record<string, { readonly serial: string }>>;
    await eventually('its certificate in the status', async () => {
      const { body } = await site.get(`${url}/.httpd/certificate-status`);
      const [shown] = Object.values(JSON.parse(body) as Shown);
      return shown?.serial.replace(/^0+/, '').toUpperCase() === serial.replace(/^0+/, '');
    });
    const page = (await site.get(`${url}/server-status`)).body;
    assert.ok(page.includes(site.org));
    assert.match(page, /href="https:\/\/another\.example\/\?q=[\da-f]{64}"[^>]*>another/);
    assert.match((await site.get(`${url}/server-status?auto`)).body, /^ManagedCertificatesTotal: 1$/m);
  });
});
