import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { partsOf } from './der.ts';
import { bareValue, oneLine, parseName, rfc2253 } from './distinguished-name.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';

/** A certificate with this subject, as a section of openssl's configuration. */
function certificate(t: TestContext, subject: string): X509Certificate {
  const dir = mkdtempSync(join(tmpdir(), 'latchkey-names-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const config = join(dir, 'openssl.cnf');
  const key = join(dir, 'key.pem');
  writeFileSync(
    config,
    `[req]\ndistinguished_name=dn\nutf8=yes\nstring_mask=utf8only\nprompt=no\n[dn]\n${subject}\n`,
  );
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', key];
  const pem = execFileSync('openssl', ['req', '-x509', '-nodes', '-config', config, '-utf8', ...made], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return new X509Certificate(pem);
}

const odd = String.raw`C=DE
O=Exämple\, "quoted" + more; <b>
0.OU=" leading and trailing "
1.OU=back\\slash / slash
CN=日本 + x
+SN=multi
0.2.5.4.65=pseudonym
0.1.2.3.4.5=unknown
emailAddress=a@example.org`;

test('names are printed as OpenSSL prints them, in both forms', { skip: withoutOpenssl }, (t) => {
  const x509 = certificate(t, odd);
  const name = parseName(x509.subject);
  const printed = (options: string) =>
    openssl(['x509', '-noout', '-subject', '-nameopt', options], x509.toString())
      .trimEnd()
      .replace(/^subject=\s?/, '');
  assert.equal(
    rfc2253(name, () => partsOf(x509).subject),
    printed('RFC2253,-esc_msb'),
  );
  assert.equal(oneLine(name), printed('compat'));
});

test('a value alone has only control characters and backslashes escaped', { skip: withoutOpenssl }, (t) => {
  const x509 = certificate(t, String.raw`O=a\, b + <c>${'\n'}CN=back\\slash`);
  const values = parseName(x509.subject).flat().map(bareValue);
  assert.deepEqual(values, ['a, b + <c>', String.raw`back\\slash`]);
});

test('an empty name is an empty text', () => {
  const name = parseName(undefined);
  assert.equal(
    rfc2253(name, () => Buffer.alloc(0)),
    '',
  );
  assert.equal(oneLine(name), '');
});
