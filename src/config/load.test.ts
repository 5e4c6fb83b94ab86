import assert from 'node:assert/strict';
import { test } from 'node:test';
import { folder, load } from './config.testing.ts';
import { ConfigError } from './errors.ts';
import { loadConfiguration, readPidFileSetting } from './load.ts';

const source = { file: 't.conf', defines: [], before: [], after: [], environment: {} };

function pidFile(t: Parameters<typeof folder>[0], text: string): string {
  const serverRoot = folder(t, { 't.conf': text });
  const found = readPidFileSetting({ ...source, serverRoot });
  return found.pidFile.replace(serverRoot, 'ROOT');
}

test('the PidFile is found although an included file, or the rest of the file, is broken', (t) => {
  assert.equal(pidFile(t, 'Include broken.conf\nPidFile run/x.pid'), 'ROOT/run/x.pid');
  assert.equal(pidFile(t, 'PidFile run/x.pid\nNonsense\n<VirtualHost'), 'ROOT/run/x.pid');
  assert.equal(pidFile(t, 'PidFile /run/x.pid\n</Broken>'), '/run/x.pid');
  assert.equal(pidFile(t, ''), 'ROOT/logs/httpd.pid');
  assert.equal(pidFile(t, '<IfDefine NO>\nPidFile a\n</IfDefine>\nDefine P b\nPidFile ${P}'), 'ROOT/b');
});

test('the PidFile is that of the server root of the file, and of none without a file', (t) => {
  const serverRoot = folder(t, { 't.conf': 'ServerRoot inner\nPidFile x', 'inner/x': '' });
  const found = readPidFileSetting({ ...source, serverRoot });
  assert.deepEqual(found, { serverRoot: `${serverRoot}/inner`, pidFile: `${serverRoot}/inner/x` });
  assert.equal(
    readPidFileSetting({ ...source, file: 'none.conf', serverRoot }).pidFile,
    `${serverRoot}/logs/httpd.pid`,
  );
});

test('the file is found below the server root, or where an absolute path says', (t) => {
  const serverRoot = folder(t, { 'conf/httpd.conf': 'ServerAdmin a' });
  const relative = loadConfiguration({ ...source, file: 'conf/../conf/httpd.conf', serverRoot });
  assert.equal(relative.settings.configFile, `${serverRoot}/conf/httpd.conf`);
  const absolute = loadConfiguration({ ...source, file: `${serverRoot}/conf/httpd.conf` });
  assert.equal(absolute.settings.serverRoot, '/etc/latchkey');
  assert.throws(() => loadConfiguration({ ...source, serverRoot }), ConfigError);
});

test('an empty configuration has all defaults', (t) => {
  const { base, md, domains, hosts, listens, localCa, types, user, workers, warnings } = load(t, '');
  assert.deepEqual(
    { domains, hosts, listens, warnings },
    { domains: [], hosts: [], listens: [], warnings: [] },
  );
  assert.deepEqual({ localCa, user, workers }, { localCa: undefined, user: undefined, workers: undefined });
  assert.equal(base.limits.timeout, 60_000);
  assert.deepEqual(base.protocols, ['http/1.1']);
  assert.deepEqual(base.logLevels, { all: 'warn', modules: {} });
  assert.ok(base.errorLog?.endsWith('/logs/error_log'));
  assert.equal(types['html'], 'text/html');
  assert.deepEqual(
    { ...md, storeDir: md.storeDir.replace(/.*\//, '') },
    {
      storeDir: 'md',
      httpPort: 80,
      httpsPort: 443,
      retryDelay: 30_000,
      retryFailover: 13,
      activateOn: 'renewal',
      preflight: { enabled: true, resolvers: [] },
      stapling: { renewWindow: { percent: 33 }, keepResponse: { ms: 604_800_000 } },
      rateLimits: {},
      storeLocks: undefined,
      serverStatus: true,
      certificateStatus: true,
      certificateCheck: { name: 'crt.sh', url: 'https://crt.sh?q=' },
      activationDelay: 0,
      checkInterval: 43_200_000,
      initialDelay: 0,
      hooks: { notify: undefined, message: undefined },
    },
  );
});

test('directives of all renewals are taken', (t) => {
  const { md } = load(t, 'MDRetryDelay 5mi\nMDRetryFailover 3\nMDActivateOn restart');
  assert.partialDeepStrictEqual(md, { retryDelay: 300_000, retryFailover: 3, activateOn: 'restart' });
});

test('limits of an authority are taken by its name or URL, each kind for itself', (t) => {
  const { md } = load(
    t,
    'MDRateLimit LetsEncrypt new-orders 1000/3h\nMDRateLimit letsencrypt failures-per-name none\nMDRateLimit https://ca.example/dir new-orders 5/60',
  );
  assert.deepEqual(md.rateLimits, {
    'https://acme-v02.api.letsencrypt.org/directory': {
      'new-orders': { count: 1000, period: 3 * 3_600_000 },
      'failures-per-name': 'none',
    },
    'https://ca.example/dir': { 'new-orders': { count: 5, period: 60_000 } },
  });
});

test('what is told of managed domains counts for all, wherever it stands', (t) => {
  const text = `MDCertificateStatus off
<MDomain a.example>
  MDServerStatus off
  MDCertificateMonitor censys https://search.example/certificates/
</MDomain>`;
  assert.partialDeepStrictEqual(load(t, text).md, {
    serverStatus: false,
    certificateStatus: false,
    certificateCheck: { name: 'censys', url: 'https://search.example/certificates/' },
  });
});

test('settings can be sent to another process', (t) => {
  const text = `
<VirtualHost *:8001>
  ServerName a.example
  <LocationMatch "^/a">
    Require expr "%{REQUEST_METHOD} == 'GET'"
  </LocationMatch>
</VirtualHost>`;
  const settings = load(t, text);
  assert.deepEqual(structuredClone(settings), settings);
});
