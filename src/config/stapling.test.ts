import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refusal } from './config.testing.ts';
import type { HostStapling } from './settings.ts';

const files = { 'x.crt': 'x', 'x.key': 'x' };
const own = 'SSLCertificateFile x.crt\nSSLCertificateKeyFile x.key\n';

/** Stapling of a managed host, and of one with files of its own. */
function hosts(
  t: Parameters<typeof load>[0],
  { server = '', managed = '', static: ofStatic = '', domain = '' },
): (HostStapling | undefined)[] {
  const text = `
    Listen 443 https
    ${server}
    <MDomain a.example>
      ${domain}
    </MDomain>
    <VirtualHost *:443>
      ServerName a.example
      ${managed}
    </VirtualHost>
    <VirtualHost *:443>
      ServerName b.example
      ${own}
      ${ofStatic}
    </VirtualHost>\n`;
  return load(t, text, { files }).hosts.map(({ stapling }) => stapling);
}

const defaults = { responderUrl: undefined, timeout: 10_000 };
const managed = { domain: 'a.example', ...defaults };
const others = { domain: undefined, ...defaults };

test('MDStapling staples all, of its domain alone, and others unless told not to', (t) => {
  assert.deepEqual(hosts(t, {}), [undefined, undefined]);
  assert.deepEqual(hosts(t, { server: 'MDStapling on' }), [managed, others]);
  assert.deepEqual(hosts(t, { server: 'MDStapling on\nMDStapleOthers off' }), [managed, undefined]);
  assert.deepEqual(hosts(t, { domain: 'MDStapling on' }), [managed, undefined]);
  assert.deepEqual(hosts(t, { server: 'MDStapling on', domain: 'MDStapling off' }), [undefined, others]);
  assert.deepEqual(hosts(t, { static: 'MDStapling on' }), [undefined, others]);
});

test('SSLUseStapling of a host has the last word, and staples without MDStapling', (t) => {
  assert.deepEqual(hosts(t, { server: 'SSLUseStapling on' }), [managed, others]);
  const off = { server: 'MDStapling on', managed: 'SSLUseStapling off', static: 'SSLUseStapling off' };
  assert.deepEqual(hosts(t, off), [undefined, undefined]);
  const some = { server: 'SSLUseStapling on', managed: 'SSLUseStapling off' };
  assert.deepEqual(hosts(t, some), [undefined, others]);
});

test('just the stapling needs no managed domain', (t) => {
  const text = `Listen 443 https
    MDStapling on
    <IfModule ssl_module>
      SSLUseStapling on
    </IfModule>
    <VirtualHost *:443>
      ServerName b.example
      ${own}
    </VirtualHost>\n`;
  const { hosts: found, domains } = load(t, text, { files });
  assert.deepEqual(domains, []);
  assert.deepEqual(found[0]?.stapling, others);
});

test('a responder and its time can be given, by a host or by all', (t) => {
  const server = 'SSLUseStapling on\nSSLStaplingForceURL http://ocsp.example/\nSSLStaplingResponderTimeout 3';
  const all = { responderUrl: 'http://ocsp.example/', timeout: 3000 };
  const given = hosts(t, { server, static: 'SSLStaplingForceURL https://other.example/x' });
  assert.deepEqual(given, [
    { domain: 'a.example', ...all },
    { domain: undefined, responderUrl: 'https://other.example/x', timeout: 3000 },
  ]);
});

test('windows count for all, wherever they stand', (t) => {
  const { md } = load(
    t,
    'MDStaplingRenewWindow 2d\n<MDomain a.example>\nMDStaplingKeepResponse 30d\n</MDomain>\n',
  );
  assert.deepEqual(md.stapling, {
    renewWindow: { ms: 2 * 86_400_000 },
    keepResponse: { ms: 30 * 86_400_000 },
  });
});

test('what can’t be is refused', (t) => {
  assert.match(refusal(t, 'MDStapling maybe\n').message, /'on' and 'off'/);
  assert.match(refusal(t, 'MDStaplingRenewWindow 100%\n').message, /100% or more/);
  assert.match(refusal(t, 'SSLStaplingForceURL ldap://x\n').message, /scheme must be http or https/);
});

test('what mod_ssl’s stapling needs and ours doesn’t is taken with one warning that says why', (t) => {
  const text = `SSLStaplingCache shmcb:logs/stapling(128000)
    SSLStaplingErrorCacheTimeout 600
    SSLStaplingFakeTryLater on
    SSLStaplingResponseMaxAge -1
    SSLStaplingResponseTimeSkew 300
    SSLStaplingReturnResponderErrors on
    SSLStaplingStandardCacheTimeout 3600\n`;
  const { warnings } = load(t, text + text);
  assert.equal(warnings.length, 7);
  for (const { module, message } of warnings) {
    assert.equal(module, 'ssl');
    assert.match(message, /^SSLStapling\w+ has no effect in Latchkey and is ignored: .{20}/);
  }
});
