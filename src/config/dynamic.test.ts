import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { load, refusal } from './config.testing.ts';

const URL = 'https://localhost:8888/certs';
const store = `DynSSLEnable on\nDynSSLStoreURL ${URL}\n`;

function host(text: string, name = '_default_'): string {
  return `<VirtualHost *:443>\nServerName ${name}\nSSLEngine on\n${text}\n</VirtualHost>\n`;
}

const only = (t: TestContext, text: string) => {
  const { dynamic } = load(t, `${text}\n${host('')}`);
  assert.equal(dynamic.stores.length, 1);
  return dynamic.stores[0];
};

suite('DynSSL directives', () => {
  test('without a word have the documented defaults', (t) => {
    const { dynamic, hosts } = load(t, `${store}${host('')}`);
    const [{ id, ...settings } = { id: '' }] = dynamic.stores;
    assert.equal(hosts[0]?.dynamicStore, id);
    assert.equal(dynamic.cacheBytes, 512 * 2 ** 20);
    assert.deepEqual(settings, {
      urls: [{ url: URL, socketPath: undefined, display: URL }],
      token: undefined,
      verify: true,
      caFile: undefined,
      timeout: 2000,
      maxAnswer: 65_536,
      cacheFloor: 300_000,
      renewBefore: 7 * 86_400_000,
      breakerFailures: 5,
      breakerReset: 30_000,
    });
  });

  test('set what they are for', (t) => {
    const text = `LoadModule dynssl_module lib/httpd/modules/mod_dynssl.so
<IfModule mod_dynssl.c>
${store}DynSSLStoreToken your-secret-bearer-token
DynSSLStoreSSLVerify off
DynSSLStoreCAFile ca.crt
DynSSLTimeout 500
DynSSLMaxAnswer 8192
DynSSLCacheTTL 60
DynSSLCacheRenewDays 30
DynSSLSharedCache 1g
DynSSLSnapshot cache/snapshot
DynSSLCircuitBreaker 2
DynSSLCircuitReset 5
</IfModule>
${host('')}`;
    const { dynamic, serverRoot } = load(t, text, { files: { 'ca.crt': 'x' } });
    const [{ id: _id, urls: _urls, ...settings } = { id: '', urls: [] }] = dynamic.stores;
    assert.deepEqual(settings, {
      token: 'your-secret-bearer-token',
      verify: false,
      caFile: `${serverRoot}/ca.crt`,
      timeout: 500,
      maxAnswer: 8192,
      cacheFloor: 60_000,
      renewBefore: 30 * 86_400_000,
      breakerFailures: 2,
      breakerReset: 5000,
    });
    assert.equal(dynamic.cacheBytes, 2 ** 30);
    assert.equal(dynamic.snapshotFile, `${serverRoot}/cache/snapshot`);
  });

  test('count for a virtual host, which lays its own over those of the server', (t) => {
    const text = `DynSSLStoreURL ${URL}\nDynSSLStoreToken base\n
${host('DynSSLEnable on')}${host('DynSSLEnable on\nDynSSLStoreToken own', 'a.example')}
${host('DynSSLEnable on', 'b.example')}
<VirtualHost *:80>\nServerName a.example\nDynSSLEnable on\n</VirtualHost>
Listen 80`;
    const { dynamic, hosts } = load(t, text);
    const [first, second] = dynamic.stores;
    assert.deepEqual([first?.token, second?.token, dynamic.stores.length], ['base', 'own', 2]);
    const used = hosts.map(({ dynamicStore }) => dynamicStore);
    assert.deepEqual(used, [first?.id, second?.id, first?.id, undefined]);
  });

  test('that change times and limits leave the cache its names', (t) => {
    const before = only(t, store);
    assert.equal(only(t, `${store}DynSSLTimeout 1`)?.id, before?.id);
    assert.notEqual(only(t, `${store}DynSSLStoreToken x`)?.id, before?.id);
    const { dynamic } = load(t, `${store}${host('')}${host('DynSSLTimeout 1', 'a.example')}`);
    assert.deepEqual(
      dynamic.stores.map(({ id }) => id),
      [before?.id, `${before?.id}.1`],
    );
  });

  test('take several URLs and unix sockets', (t) => {
    const text =
      'DynSSLEnable on\nDynSSLStoreURL unix:run/store.sock|http://localhost/certs/ http://[::1]:8888';
    const { dynamic, serverRoot } = load(t, `${text}\n${host('')}`);
    const socketPath = `${serverRoot}/run/store.sock`;
    assert.deepEqual(dynamic.stores[0]?.urls, [
      { url: 'http://localhost/certs', socketPath, display: `unix:${socketPath}|http://localhost/certs` },
      { url: 'http://[::1]:8888', socketPath: undefined, display: 'http://[::1]:8888' },
    ]);
  });

  test('refuse what cannot be, with the remedy', (t) => {
    const says = (text: string, what: RegExp) =>
      assert.match(refusal(t, `${text}\n${host('')}`).message, what);
    says('DynSSLEnable on', /needs to know the store: add DynSSLStoreURL/);
    says('DynSSLEnable yes', /DynSSLEnable must be On or Off/);
    for (const url of ['ftp://localhost/', 'localhost:8888', 'unix:/run/s', '/certs', 'http://']) {
      says(`DynSSLStoreURL ${url}`, /no http or https URL; use https:\/\/localhost:8888\/certs/);
    }
    says('DynSSLStoreURL http://me:secret@localhost/', /has no password/);
    says('DynSSLStoreURL http://localhost/?a=b', /\? and # cannot be in it/);
    says('DynSSLStoreCAFile none.pem', /does not exist or is empty/);
    for (const size of ['31m', '33g', '512', 'big', '-1m']) {
      says(`DynSSLSharedCache "${size}"`, /must be from 32m to 32g/);
    }
    says('DynSSLTimeout 0', /DynSSLTimeout "0" must be a whole number from 1/);
    says('DynSSLCircuitBreaker none', /must be a whole number/);
    says('DynSSLStoreToken "a b"', /ASCII without blanks/);
    assert.match(
      refusal(t, host('DynSSLSharedCache 64m')).message,
      /DynSSLSharedCache (?:cannot occur|not allowed)/,
    );
  });
});

suite('a store without a secret', () => {
  const place = (inside: string) => `<Location /certs>\nSetHandler dynssl-store\n${inside}\n</Location>`;

  test('is refused, wherever its handler is set', (t) => {
    for (const text of [place(''), place('Require all granted'), 'SetHandler dynssl-store']) {
      assert.throws(() => load(t, text), /private keys of all certificates to everybody.*DynSSLServeToken/);
    }
  });

  test('is none with a token, a Require that restricts, or clients with certificates', (t) => {
    for (const inside of ['DynSSLServeToken secret', 'Require ip 192.0.2.0/24', 'Require local']) {
      load(t, place(inside));
    }
    load(t, `DynSSLServeToken secret\n${place('')}`);
    const ca = join(dirname(fileURLToPath(import.meta.url)), 'dynamic.test.ts');
    load(
      t,
      `<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile ${ca}\nSSLCACertificateFile ${ca}\nSSLVerifyClient require\n${place('')}\n</VirtualHost>`,
    );
    load(t, place('SSLVerifyClient require'));
  });
});

suite('a warning is given', () => {
  const warnings = (t: TestContext, text: string) => load(t, text).warnings.map(({ message }) => message);

  test('for a store that is not on this machine, and a worse one without TLS', (t) => {
    for (const url of [
      'http://127.0.0.1:8888',
      'https://localhost/x',
      'http://[::1]/',
      'unix:/s|http://x/',
    ]) {
      assert.deepEqual(warnings(t, `DynSSLStoreURL ${url}`), []);
    }
    assert.match(warnings(t, 'DynSSLStoreURL https://store.example/certs')[0] ?? '', /not on this machine/);
    assert.match(warnings(t, 'DynSSLStoreURL http://192.0.2.1/certs')[0] ?? '', /in the clear; use https/);
    assert.match(warnings(t, 'DynSSLStoreSSLVerify off')[0] ?? '', /DynSSLStoreCAFile/);
  });

  test('for a handler that no Require restricts', (t) => {
    const place = (inside: string, path = '/dynssl-flush') =>
      `<Location "${path}">\nSetHandler dynssl-flush\n${inside}\n</Location>`;
    for (const open of ['', 'Require all granted', 'Require ip 127.0.0.1\nRequire all granted']) {
      assert.match(warnings(t, place(open))[0] ?? '', /SetHandler dynssl-flush without a Require/);
    }
    for (const closed of ['Require ip 127.0.0.1', 'Require local', 'Require all denied']) {
      assert.deepEqual(warnings(t, place(closed)), []);
    }
    const inherited = `${place('')}\n<VirtualHost *:80>\nServerName a.test\n</VirtualHost>`;
    assert.equal(warnings(t, inherited).length, 1);
    const elsewhere = '<Location "/admin">\nRequire local\n</Location>';
    assert.deepEqual(warnings(t, `${elsewhere}\n${place('', '/admin/flush')}`), []);
    assert.equal(warnings(t, `${elsewhere}\n${place('', '/administrator')}`).length, 1);
    assert.equal(warnings(t, `${elsewhere}\n${place('Require all granted', '/admin/flush')}`).length, 1);
  });
});
