import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { loadConfiguration } from '../../config/load.ts';
import { unservedBy } from './unserved.ts';

/** Why `a.test` is not served by a configuration; DIR in it is its folder. */
function why(t: TestContext, ...lines: string[]): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-unserved-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const file of ['own.crt', 'own.key']) writeFileSync(join(dir, file), 'not looked into');
  writeFileSync(join(dir, 'httpd.conf'), ['Listen 443', 'MDomain a.test', ...lines].join('\n'));
  const source = { serverRoot: dir, file: 'httpd.conf', defines: [], before: [], after: [] };
  return unservedBy(loadConfiguration(source).settings)('a.test')?.replace(dir, 'DIR');
}

const host = (...lines: string[]) => ['<VirtualHost *:443>', 'ServerName a.test', ...lines, '</VirtualHost>'];
const OWN = ['SSLCertificateFile own.crt', 'SSLCertificateKeyFile own.key'];

suite('certificates of a managed domain', () => {
  test('are served by a host without any of its own', (t) => {
    assert.equal(why(t, ...host('SSLEngine on')), undefined);
    assert.equal(why(t, ...host('SSLEngine on', ...OWN), ...host('SSLEngine on')), undefined);
  });

  test('are served by nobody where all hosts have their own', (t) => {
    assert.equal(
      why(t, ...host('SSLEngine on', ...OWN)),
      'SSLCertificateFile at DIR/httpd.conf:6 keeps serving',
    );
    const tls = ['TLSEngine 443', ...host('TLSCertificate own.crt own.key')];
    assert.equal(why(t, ...tls), 'TLSCertificate at DIR/httpd.conf:6 keeps serving');
  });

  test('are served by nobody where no host has TLS', (t) => {
    assert.match(why(t, 'Listen 80') ?? '', /no virtual host/);
  });
});
