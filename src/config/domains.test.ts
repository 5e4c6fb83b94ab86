import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';
import type { ConfiguredDomain } from './settings.ts';

const secure = (names: string, more = '') => {
  const [name, ...aliases] = names.split(' ');
  const alias = aliases.length > 0 ? `ServerAlias ${aliases.join(' ')}\n` : '';
  return `<VirtualHost *:443>\nServerName ${name}\n${alias}SSLEngine on\n${more}\n</VirtualHost>\n`;
};
const plain = (names: string, more = '') =>
  secure(names, more).replace('*:443', '*:80').replace('SSLEngine on\n', '');

const base = 'Listen 80\nListen 443\n';

function domains(t: Parameters<typeof load>[0], text: string): readonly ConfiguredDomain[] {
  return load(t, base + text).domains;
}
const names = (found: readonly ConfiguredDomain[]) => found.map((domain) => domain.domains);

test('names of hosts with TLS become members; those of plain hosts and wildcards do not', (t) => {
  const text = `MDomain a.example\n${secure('www.A.example a.example *.sub.example')}${plain('a.example old.example')}`;
  assert.deepEqual(names(domains(t, text)), [['a.example', 'www.a.example']]);
});

test('with manual they do not, and a name left out is told', (t) => {
  const settings = load(t, `${base}MDomain a.example manual\n${secure('a.example www.a.example')}`);
  assert.deepEqual(names(settings.domains), [['a.example']]);
  assert.match(
    settings.warnings[0]?.message ?? '',
    /^Virtual Host a\.example matches Managed Domain 'a\.example', but the name\/alias www\.a\.example itself is not managed\./,
  );
});

test('a wildcard of the domain covers names of hosts, a wildcard of a host covers names of the domain', (t) => {
  const settings = load(t, `${base}MDomain *.a.example\n${secure('x.a.example b.example')}`);
  assert.deepEqual(names(settings.domains), [['*.a.example', 'b.example']]);
  assert.equal(settings.hosts[0]?.managedDomain, '*.a.example');
  const aliased = load(t, `${base}MDomain x.a.example\n${secure('b.example *.a.example')}`);
  assert.equal(aliased.hosts[0]?.managedDomain, 'x.a.example');
  const odd = load(t, `${base}MDomain x1.a.example\n${secure('b.example x?.a.example')}`);
  assert.equal(odd.hosts[0]?.managedDomain, 'x1.a.example');
});

test('`_default_` is no name', (t) => {
  const settings = load(t, `${base}MDomain a.example\n${secure('_default_ a.example')}`);
  assert.deepEqual(names(settings.domains), [['a.example']]);
  assert.equal(settings.hosts[0]?.serverName, '_default_');
});

test('two domains that want the same name are refused', (t) => {
  const overlap =
    /^two Managed Domains have an overlap in domain '(.*)', first definition in .*\(line 1\), second in .*\(line 2\)/;
  const of = (text: string) => overlap.exec(refusal(t, text).message)?.[1];
  assert.equal(of('MDomain a.example\nMDomain b.example A.example'), 'a.example');
  assert.equal(of('MDomain *.a.example\nMDomain b.a.example'), 'b.a.example');
  assert.equal(of('MDomain b.a.example\nMDomain *.a.example'), '*.a.example');
  load(t, 'MDomain *.a.example\nMDomain a.example');
  load(t, 'MDomain *.a.example\nMDomain c.b.a.example');
  load(t, 'MDomain a.example A.EXAMPLE');
});

test('a host with TLS has one domain at most; a plain one may have names of several', (t) => {
  const two = 'MDomain a.example\nMDomain b.example\n';
  const error = refusal(t, base + two + secure('a.example b.example'));
  assert.match(
    error.message,
    /^conflict: 2 MDs match Virtualhost a\.example which uses SSL, however there can be at most 1/,
  );
  assert.equal(error.line, 5);
  const settings = load(t, base + two + plain('x.example a.example b.example'));
  assert.equal(settings.hosts[0]?.managedDomain, undefined);
  assert.deepEqual(
    settings.domains.map((domain) => domain.used),
    [true, true],
  );
});

test('settings of a domain are its own, else those of where it stands, else those of all', (t) => {
  const [all, inner, own] = domains(
    t,
    `MDRenewWindow 10d
MDCertificateAgreement accepted
MDPrivateKeys P-384
MDomain all.example
<VirtualHost *:443>
  ServerName inner.example
  MDomain inner.example
  MDRenewWindow 5%
</VirtualHost>
<MDomain own.example>
  MDRenewWindow 3h
  MDRenewMode always
  MDCertificateAuthority LETSENCRYPT-test https://ca.example/dir
  MDCACertificateFile none
  MDPrivateKeys Default
</MDomain>
`,
  );
  assert.deepEqual(
    [all, inner, own].map((domain) => domain?.renewWindow),
    [{ ms: 864_000_000 }, { percent: 5 }, { ms: 10_800_000 }],
  );
  assert.deepEqual(all?.keys, [{ type: 'EC', name: 'p-384' }]);
  assert.deepEqual(all?.authorities, ['https://acme-v02.api.letsencrypt.org/directory']);
  assert.equal(own?.agreement, 'accepted');
  assert.equal(own?.renewMode, 'always');
  assert.deepEqual(own?.keys, [{ type: 'RSA', bits: 2048 }]);
  assert.equal(own?.caCertificateFile, undefined);
  assert.deepEqual(own?.authorities, [
    'https://acme-staging-v02.api.letsencrypt.org/directory',
    'https://ca.example/dir',
  ]);
});

test('a domain that says nothing has the defaults', (t) => {
  const [domain] = domains(t, 'MDomain a.example');
  assert.ok(domain);
  const { at: _at, reach: _reach, ...rest } = domain;
  assert.deepEqual(rest, {
    name: 'a.example',
    domains: ['a.example'],
    transitive: true,
    protocol: 'acme',
    authorities: ['https://acme-v02.api.letsencrypt.org/directory'],
    agreement: undefined,
    externalAccount: undefined,
    contacts: [],
    challenges: undefined,
    challengeDns01: undefined,
    renewMode: 'auto',
    renewWindow: { percent: 33 },
    warnWindow: { percent: 10 },
    keys: [{ type: 'RSA', bits: 2048 }],
    requireHttps: 'off',
    caCertificateFile: undefined,
    renewViaAri: true,
    profile: undefined,
    profileMandatory: false,
    mustStaple: false,
    stapling: false,
    proxy: undefined,
    staticFiles: [],
    used: false,
  });
});

test('what is asked of the CA, and the way to it, are of all, or of one domain', (t) => {
  const text = `MDHttpProxy http://user:pass@proxy.example:3128
MDProfile classic
MDRenewViaARI off
MDomain all.example
<MDomain own.example>
  MDHttpProxy https://[::1]/
  MDHttpProxyCACertificateFile proxy.pem
  MDProfile shortlived
  MDProfileMandatory on
  MDMustStaple on
  MDRenewViaARI On
</MDomain>
<MDomain direct.example>
  MDHttpProxy none
</MDomain>
`;
  const { domains } = load(t, text, { files: { 'proxy.pem': 'PEM' } });
  const [all, own, direct] = domains;
  assert.deepEqual(all?.proxy, {
    url: 'http://user:pass@proxy.example:3128',
    caCertificateFile: undefined,
  });
  assert.deepEqual(
    [all.profile, all.profileMandatory, all.mustStaple, all.renewViaAri],
    ['classic', false, false, false],
  );
  assert.equal(own?.proxy?.url, 'https://[::1]/');
  assert.match(own.proxy.caCertificateFile ?? '', /\/proxy\.pem$/);
  assert.deepEqual(
    [own.profile, own.profileMandatory, own.mustStaple, own.renewViaAri],
    ['shortlived', true, true, true],
  );
  assert.equal(direct?.proxy, undefined);
});

test('the external account is of all, of one domain, or of none; its file is below ServerRoot', (t) => {
  const text = `MDExternalAccountBinding kid-1 SECRET
MDomain all.example
<MDomain own.example>
  MDExternalAccountBinding conf/eab.json
</MDomain>
<MDomain unbound.example>
  MDExternalAccountBinding None
</MDomain>
`;
  const files = { 'conf/eab.json': '{"kid": "kid-2", "hmac": "OTHER", "more": 1}' };
  assert.deepEqual(
    load(t, text, { files }).domains.map((domain) => domain.externalAccount),
    [{ kid: 'kid-1', hmac: 'SECRET' }, { kid: 'kid-2', hmac: 'OTHER' }, undefined],
  );
});

test('a CA that is known to demand an external account is told of where there is none', (t) => {
  const used = 'MDRenewMode always\nMDomain a.example\n';
  const warnings = (text: string) => load(t, used + text).warnings.map(({ message }) => message);
  const [message = '', ...more] = warnings('MDCertificateAuthority LetsEncrypt zerossl');
  assert.match(message, /^ZeroSSL gives certificates .* for a\.example by MDExternalAccountBinding$/);
  assert.deepEqual(more, []);
  assert.equal(warnings('MDCertificateAuthority https://dv.acme-v02.api.pki.goog/directory').length, 1);
  assert.deepEqual(warnings('MDCertificateAuthority zerossl\nMDExternalAccountBinding a b'), []);
  assert.deepEqual(warnings('MDCertificateAuthority LetsEncrypt'), []);
});

test('the contact is MDContactEmail, else ServerAdmin of the hosts', (t) => {
  const contacts = (text: string) => domains(t, text)[0]?.contacts;
  const domain = 'MDomain a.example\n';
  assert.deepEqual(contacts(`ServerAdmin base@a.example\n${domain}`), ['mailto:base@a.example']);
  assert.deepEqual(
    contacts(`ServerAdmin base@a.example\n${domain}${secure('a.example', 'ServerAdmin host@a.example')}`),
    ['mailto:host@a.example'],
  );
  assert.deepEqual(contacts(`ServerAdmin base@a.example\nMDContactEmail md@a.example\n${domain}`), [
    'mailto:md@a.example',
  ]);
  assert.deepEqual(contacts('<MDomain a.example>\nMDContactEmail mailto:own@a.example\n</MDomain>\n'), [
    'mailto:own@a.example',
  ]);
});

test('a domain that no host uses is told, unless it is renewed always', (t) => {
  const text = 'MDomain a.example\n<MDomain b.example>\nMDRenewMode always\n</MDomain>\n';
  assert.deepEqual(
    load(t, text).warnings.map((warning) => warning.message.split(':')[0]),
    ['No VirtualHost matches Managed Domain a.example'],
  );
});

test('what a CA can reach follows from Listen, MDPortMap and Protocols', (t) => {
  const reach = (text: string) => {
    const { http01, tlsAlpn01 } = load(t, text).domains[0]?.reach ?? {};
    return [http01, tlsAlpn01].map((one) => (one?.possible ? 'yes' : one?.reason));
  };
  const alpn = 'Protocols h2 http/1.1 acme-tls/1\n';
  const domain = `MDomain a.example\n${secure('a.example')}`;
  assert.deepEqual(reach(base + alpn + domain), ['yes', 'yes']);
  assert.deepEqual(reach(base + domain), ['yes', 'Protocols of the virtual host a.example lack acme-tls/1']);
  assert.deepEqual(reach(`${base}MDPortMap http:- https:-\n${domain}`), [
    'MDPortMap says that port 80 of the internet does not arrive here',
    'MDPortMap says that port 443 of the internet does not arrive here',
  ]);
  assert.deepEqual(reach(`Listen 8080\nMDPortMap 80:8080 443:8443\n${domain}`), [
    'yes',
    'there is no Listen for port 8443 (see MDPortMap for another one)',
  ]);
  assert.deepEqual(reach(`${base}MDPortMap http:81\n${alpn}MDomain a.example`), [
    'there is no Listen for http on port 81 (see MDPortMap for another one)',
    'no virtual host on port 443 with TLS has names of a.example',
  ]);
});

test('the base server is managed only with MDBaseServer', (t) => {
  const text = 'ServerName a.example\nMDomain a.example\n';
  assert.equal(load(t, text).base.managedDomain, undefined);
  const managed = load(t, `${text}MDBaseServer on`);
  assert.equal(managed.base.managedDomain, 'a.example');
  assert.equal(managed.domains[0]?.used, true);
});

test('a managed base server speaks TLS where no virtual host does, and can be validated there', (t) => {
  const text = 'ServerName a.example\nMDomain a.example\nMDBaseServer on\nProtocols http/1.1 acme-tls/1\n';
  const at = (more: string) => {
    const { base, domains: found, listens } = load(t, text + more);
    const { http01, tlsAlpn01 } = found[0]?.reach ?? {};
    const reach = [http01?.possible, tlsAlpn01?.possible];
    return [base.tls.engine && base.tls.family, listens.map(({ tls }) => tls), reach];
  };
  assert.deepEqual(at('Listen 80\nListen 443'), ['ssl', [false, true], [true, true]]);
  assert.deepEqual(at('Listen 80\nListen 443 http\nTLSEngine 443'), ['tls', [false, true], [true, true]]);
  assert.deepEqual(at('Listen 443\nSSLEngine on'), ['ssl', [true], [false, true]]);
  assert.deepEqual(at('Listen 443\nSSLEngine off'), [false, [true], [false, false]]);
  const other = '<VirtualHost *:443>\nServerName b.example\nSSLCertificateFile b.pem\n</VirtualHost>';
  assert.deepEqual(
    load(t, `${text}Listen 80\nListen 443\n${other}`, { files: { 'b.pem': 'x' } }).base.tls.engine,
    false,
  );
});

test('`local` is the embedded CA, which must run', (t) => {
  const text = 'MDCertificateAuthority Local\nMDomain a.example\n';
  const error = refusal(t, text);
  assert.match(error.message, /add 'LocalCA on'/);
  assert.equal(error.line, 1);
  const settings = load(t, `${text}LocalCA on`);
  assert.deepEqual(settings.domains[0]?.authorities, ['local']);
  assert.deepEqual(
    { ...settings.localCa, dir: settings.localCa?.dir.replace(/.*\//, '') },
    {
      address: '127.0.0.1',
      port: 14_443,
      dir: 'ca',
      lifetime: 604_800_000,
      httpPort: 80,
      tlsPort: 443,
      resolver: undefined,
      externalAccountRequired: false,
    },
  );
});

test('the embedded CA takes its directives', (t) => {
  const text = `LocalCA on [::1]:14000
LocalCADir state/ca
LocalCALifetime 90s
LocalCAPorts http:8080 https:8443
LocalCAResolver 127.0.0.1:5353
LocalCAExternalAccountRequired on`;
  const { localCa, serverRoot } = load(t, text);
  assert.deepEqual(localCa, {
    address: '::1',
    port: 14_000,
    dir: `${serverRoot}/state/ca`,
    lifetime: 90_000,
    httpPort: 8080,
    tlsPort: 8443,
    resolver: '127.0.0.1:5353',
    externalAccountRequired: true,
  });
  assert.match(refusal(t, 'LocalCA on 192.0.2.1:14000').message, /loopback/);
});

test('the command for DNS is of all, of one host, or of one domain, and makes dns-01 possible', (t) => {
  const settings = load(
    t,
    `MDChallengeDns01 bin/dns "--zone=a b" plain
MDChallengeDns01Version 2
MDomain all.example
<VirtualHost *:443>
  ServerName inner.example
  MDomain inner.example
  MDChallengeDns01Version 1
</VirtualHost>
<MDomain own.example *.own.example>
  MDChallengeDns01 acme-dns
</MDomain>
`,
  );
  const command = [`${settings.serverRoot}/bin/dns`, '--zone=a b', 'plain'];
  assert.deepEqual(
    settings.domains.map((domain) => domain.challengeDns01),
    [
      { command, version: 2 },
      { command, version: 1 },
      { command: ['acme-dns'], version: 2 },
    ],
  );
  assert.ok(settings.domains.every(({ reach }) => reach.dns01.possible));
  const [none] = domains(t, 'MDChallengeDns01Version 2\nMDomain a.example');
  assert.deepEqual(none?.reach.dns01, {
    possible: false,
    reason: 'there is no command for DNS challenges (MDChallengeDns01)',
  });
  assert.equal(none?.challengeDns01, undefined);
});

test('a command for DNS that is none, and a version that there is not, are refused', (t) => {
  assert.equal(refusal(t, 'MDChallengeDns01').message, 'MDChallengeDns01 needs the path of a command');
  assert.equal(refusal(t, 'MDChallengeDns01 ""').message, 'MDChallengeDns01 needs the path of a command');
  assert.equal(
    refusal(t, 'MDChallengeDns01Version 3').message,
    "unknown '3', supported parameter values are '1' and '2'",
  );
  assert.match(
    refusal(t, '<MDomain a.example>\nMDChallengeDns01Version 2\n</MDomain>').message,
    /^MDChallengeDns01Version (cannot occur within|is not allowed)/,
  );
});

test('MDDriveMode is the old name of MDRenewMode', (t) => {
  const [domain] = domains(t, 'MDDriveMode always\nMDomain a.example');
  assert.equal(domain?.renewMode, 'always');
});
