import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PkiError } from './errors.ts';
import { Certificate, coversName, matchesKey, parseChain } from './certificate.ts';
import { generateKey, keyFromPem, keyToPem } from './keys.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';
import { createFallbackCertificate } from './selfsigned.ts';

const now = Date.parse('2026-11-22T06:00:00Z');
const { certPem, keyPem } = await createFallbackCertificate({
  names: ['a.example', '*.b.example', '192.0.2.1'],
  now,
});

/** Made by openssl: `config` is the extension section. */
function foreign(subject: string, config: string): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-certificate-'));
  try {
    const file = join(folder, 'openssl.cnf');
    writeFileSync(file, `[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n${config}\n`);
    const key = join(folder, 'key.pem');
    writeFileSync(key, keyPem, { mode: 0o600 });
    const args = ['req', '-x509', '-new', '-key', key, '-subj', subject, '-config', file];
    return new Certificate(openssl(args, ''));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a certificate tells what openssl tells', { skip: withoutOpenssl }, () => {
  const certificate = new Certificate(certPem);
  const print = (...args: string[]) => openssl(['x509', '-noout', ...args], certPem).trim();
  assert.equal(`serial=${certificate.serial}`, print('-serial'));
  assert.equal(
    certificate.sha256,
    print('-fingerprint', '-sha256').replace(/.*=/, '').replaceAll(':', '').toLowerCase(),
  );
  assert.equal(`issuer=${certificate.issuerName}`, print('-issuer', '-nameopt', 'compat'));
  assert.equal(certificate.notBefore, Date.parse(print('-startdate').replace('notBefore=', '')));
  assert.equal(certificate.notAfter, Date.parse(print('-enddate').replace('notAfter=', '')));
  assert.equal(certificate.pem, openssl(['x509'], certPem));
});

test('a chain is read in order, with what stands between and around', async () => {
  const other = await createFallbackCertificate({ names: ['other.example'], now });
  const text = `subject=/CN=x\n${certPem}\nissuer…\r\n${other.keyPem}${other.certPem.replaceAll('\n', '\r\n')}`;
  assert.deepEqual(
    parseChain(text).map((certificate) => certificate.names[0]),
    ['a.example', 'other.example'],
  );
});

test('chains that are none, damaged or endless are named errors', () => {
  const damaged = certPem.replace(/\n.{64}\n/, '\nAAAA\n');
  for (const text of ['', 'garbage', keyPem, damaged, certPem.repeat(17)]) {
    assert.throws(() => parseChain(text), { code: 'certificate-unreadable' });
  }
  assert.throws(() => parseChain(certPem.slice(0, -30)), { code: 'pem-unreadable' });
  assert.throws(() => parseChain(certPem + ' '.repeat(300_000)), { code: 'pem-unreadable' });
  assert.throws(() => new Certificate(Buffer.from([0x30, 0x80])), { code: 'certificate-unreadable' });
});

test('bytes changed anywhere give a certificate or a named error, never anything else', () => {
  const der = new Certificate(certPem).x509.raw;
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), (at, value) => {
      const bytes = Buffer.from(der);
      bytes[at] = value;
      try {
        const { names, issuerName, serial, notAfter } = new Certificate(bytes);
        assert(
          Array.isArray(names) && issuerName !== undefined && serial !== undefined && notAfter !== undefined,
        );
      } catch (error) {
        assert(error instanceof PkiError && error.code === 'certificate-unreadable', String(error));
      }
    }),
  );
});

test('a wildcard covers exactly one label', () => {
  const certificate = new Certificate(certPem);
  const covered = ['a.example', 'A.EXAMPLE', 'x.b.example', 'X.B.example', '*.b.example', '192.0.2.1'];
  const not = [
    'b.example',
    'x.y.b.example',
    '.b.example',
    'x.a.example',
    'example',
    '',
    '192.0.2.2',
    '*.a.example',
  ];
  for (const name of covered) assert(coversName(certificate, name), name);
  for (const name of not) assert(!coversName(certificate, name), name);
});

test('a wildcard never covers an address, and names equal only as names', () => {
  assert(!coversName({ names: ['*.0.2.1'] }, '192.0.2.1'));
  assert(!coversName({ names: ['f*.example', 'w*w.example', '*'] }, 'foo.example'));
  assert(coversName({ names: ['2001:db8::1'] }, '2001:DB8:0:0:0:0:0:1'));
});

test('what openssl verifies as host name is covered, and nothing else', { skip: withoutOpenssl }, () => {
  const certificate = new Certificate(certPem);
  const label = fc.constantFrom('a', 'b', 'x', 'www', 'example');
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 4 }), (labels) => {
      const name = labels.join('.');
      assert.equal(coversName(certificate, name), certificate.x509.checkHost(name) !== undefined, name);
    }),
  );
});

test(
  'without alternative names the common name counts, with them it does not',
  { skip: withoutOpenssl },
  () => {
    assert.deepEqual(foreign('/O=x/CN=Old.Example', 'basicConstraints=CA:FALSE').names, ['old.example']);
    assert.deepEqual(foreign('/CN=old.example', 'subjectAltName=DNS:New.example').names, ['new.example']);
    assert.deepEqual(foreign('/CN=old.example', 'subjectAltName=email:a@b.example').names, []);
    assert.deepEqual(foreign('/O=nobody', 'basicConstraints=CA:FALSE').names, []);
  },
);

test('names that try to look like several are no names', { skip: withoutOpenssl }, () => {
  const alt =
    '[alt]\nDNS.1=good.example\nDNS.2=bad.example\\, DNS:victim.example\nURI.1="http://x/, DNS:victim.example"';
  const { names } = foreign('/CN=x', `subjectAltName=@alt\n${alt}`);
  assert(!names.includes('victim.example') || names.length === 3, names.join(' '));
  assert(names.includes('good.example'));
});

test('a key matches its own certificate only', async () => {
  const certificate = new Certificate(certPem);
  assert(matchesKey(certificate, keyFromPem(keyPem)));
  for (const spec of [{ type: 'EC', name: 'p-256' } as const, { type: 'RSA', bits: 2048 } as const]) {
    assert(!matchesKey(certificate, keyFromPem(keyToPem(await generateKey(spec)))));
  }
});
