/** Which hosts a managed domain is for, and what they serve: MDMatchNames, MDCertificateFile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';

const base = 'Listen 80\nListen 443\n';
const files = { 'a.pem': 'x', 'a.key': 'x', 'b.pem': 'x', 'b.key': 'x' };
const host = (names: string, more = '') => {
  const [name, ...aliases] = names.split(' ');
  const alias = aliases.length > 0 ? `ServerAlias ${aliases.join(' ')}\n` : '';
  return `<VirtualHost *:443>\nServerName ${name}\n${alias}SSLEngine on\n${more}\n</VirtualHost>\n`;
};

test('with MDMatchNames servernames, aliases may be names of another domain', (t) => {
  const text = `${base}MDomain a.example\nMDomain b.example\n${host('a.example b.example www.a.example')}`;
  assert.match(refusal(t, text).message, /^conflict: 2 MDs match/);
  const { domains, hosts } = load(t, `${text}${host('b.example')}MDMatchNames ServerNames\n`);
  assert.deepEqual(
    domains.map((domain) => domain.domains),
    [['a.example', 'www.a.example'], ['b.example']],
  );
  assert.deepEqual(
    hosts.map(({ managedDomain }) => managedDomain),
    ['a.example', 'b.example'],
  );
  const [aliased] = load(
    t,
    `${base}MDMatchNames servernames\nMDomain a.example\n${host('c.example a.example', 'SSLCertificateFile a.pem')}`,
    { files },
  ).hosts;
  assert.equal(aliased?.managedDomain, undefined);
});

test('hosts of a domain serve its files, unless they have their own', (t) => {
  const domain = `<MDomain a.example b.example>\nMDCertificateFile a.pem\nMDCertificateKeyFile a.key\nMDCertificateFile b.pem\nMDCertificateKeyFile b.key\n</MDomain>\n`;
  const own = 'SSLCertificateFile b.pem\nSSLCertificateKeyFile b.key';
  const { domains, hosts, warnings, serverRoot } = load(
    t,
    base + domain + host('a.example') + host('b.example', own),
    { files },
  );
  const pair = (name: string) => ({
    certificateFile: `${serverRoot}/${name}.pem`,
    keyFile: `${serverRoot}/${name}.key`,
  });
  assert.deepEqual(domains[0]?.staticFiles, [pair('a'), pair('b')]);
  assert.deepEqual(
    hosts.map(({ tls }) =>
      tls.certificates.map(({ certificateFile, keyFile }) => ({ certificateFile, keyFile })),
    ),
    [[pair('a'), pair('b')], [pair('b')]],
  );
  const told = warnings.filter(({ message }) => message.includes('You configured certificate/key files'));
  assert.deepEqual(
    told.map(({ module, message }) => [module, message]),
    [
      [
        'ssl',
        'Init: (b.example:443) You configured certificate/key files on this host, but it is covered by a Managed Domain. You need to remove these directives for the Managed Domain to take over.',
      ],
    ],
  );
});

test('files that are no pairs, and in the wrong place, are refused', (t) => {
  const inside = (text: string) =>
    refusal(t, `${base}<MDomain a.example>\n${text}\n</MDomain>`, { files }).message;
  assert.match(
    inside('MDCertificateFile a.pem'),
    /AH10170: The Managed Domain 'a.example' needs one MDCertificateKeyFile for each/,
  );
  assert.match(
    inside('MDCertificateKeyFile a.key'),
    /AH10171: The Managed Domain 'a.example' has MDCertificateKeyFile\(s\) but no/,
  );
  assert.match(
    inside('MDCertificateFile none.pem'),
    /MDCertificateFile: file '.*none\.pem' does not exist or is empty/,
  );
  assert.match(
    refusal(t, `${base}MDCertificateFile a.pem`, { files }).message,
    /MDCertificateFile is only valid inside a '<MDomainSet' context, not here/,
  );
});

test('commands and times of managed domains', (t) => {
  const { md, serverRoot, warnings } = load(
    t,
    `${base}MDNotifyCmd bin/notify "two words"\nMDMessageCmd message a\nMDCheckInterval 90s\nMDInitialDelay 5mi\nMDActivationDelay 2\n`,
  );
  assert.deepEqual(md.hooks, {
    notify: [`${serverRoot}/bin/notify`, 'two words'],
    message: ['message', 'a'],
  });
  assert.deepEqual(
    warnings.map(({ message }) => message.replace(/ can't be run.*/, '')),
    [`MDNotifyCmd: '${serverRoot}/bin/notify'`, "MDMessageCmd: 'message'"],
    'as long as they are not there',
  );
  assert.deepEqual([md.checkInterval, md.initialDelay, md.activationDelay], [90_000, 300_000, 172_800_000]);
  const told = (line: string) => refusal(t, base + line).message;
  assert.match(told('MDCheckInterval 999ms'), /check interval cannot be less than one second/);
  assert.match(told('MDCheckInterval often'), /unrecognized duration format/);
  assert.match(told('MDInitialDelay -1s'), /initial delay must not be negative/);
  assert.match(told('MDActivationDelay 1x'), /unrecognized duration format/);
  assert.match(told('MDMatchNames some'), /invalid argument, must be a 'all' or 'servernames'/);
  assert.match(told('MDNotifyCmd'), /MDNotifyCmd/);
  assert.match(
    told('<MDomain a.example>\nMDMessageCmd x\n</MDomain>'),
    /MDMessageCmd is not allowed inside an '<MDomainSet' context/,
  );
});

test('a command that can be run is not warned of; a folder, and what is not executable, are', (t) => {
  const message = (command: string) =>
    load(t, `${base}MDMessageCmd ${command} a`, { files: { plain: '#!/bin/sh\n' } }).warnings[0]?.message;
  assert.equal(message('/bin/sh'), undefined);
  assert.equal(message('sh'), undefined);
  assert.match(message('/bin') ?? '', /'\/bin' can't be run/);
  assert.match(message('plain/x') ?? '', /can't be run/);
  assert.match(message('./plain') ?? '', /plain' can't be run: .*chmod \+x/);
});

test('a challenge that there is not is warned of, with those that there are', (t) => {
  const { warnings, domains } = load(t, `${base}MDCAChallenges HTTP-01 http-1\nMDomain a.example`);
  assert.match(
    warnings[0]?.message ?? '',
    /^MDCAChallenges: no challenge is called 'http-1'; known are http-01, tls-alpn-01, /,
  );
  assert.deepEqual(domains[0]?.challenges, ['http-01', 'http-1'], 'as mod_md, which takes any word');
});
