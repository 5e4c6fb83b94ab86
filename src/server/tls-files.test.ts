import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createAuthority } from '../certificates/credentials.testing.ts';
import { folder } from '../config/config.testing.ts';
import { loadConfiguration } from '../config/load.ts';
import { readTlsFiles } from './tls-files.ts';

/** What is read for a configuration of these lines, in a folder with these files. */
function read(t: TestContext, lines: string, files: Readonly<Record<string, Buffer | string>>) {
  const serverRoot = folder(t, { 't.conf': lines });
  for (const [name, content] of Object.entries(files)) {
    const file = join(serverRoot, name);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, content);
  }
  const source = { defines: [], before: [], after: [], environment: {}, file: 't.conf', serverRoot };
  return readTlsFiles(loadConfiguration(source).settings);
}

test('a ticket key is 48 bytes of any kind, and reaches the workers as they are', (t) => {
  for (const key of [randomBytes(48), Buffer.alloc(48), Buffer.from(`\r\n${'ü'.repeat(23)}`)]) {
    const { ticketKeyFiles } = read(t, 'SSLSessionTicketKeyFile t.key', { 't.key': key });
    assert.deepEqual(Object.values(ticketKeyFiles), [key.toString('base64')]);
  }
});

test('of any other length it is refused, with the command that makes one', (t) => {
  for (const length of [1, 47, 49, 80, 4096]) {
    assert.throws(
      () => read(t, 'SSLSessionTicketKeyFile t.key', { 't.key': randomBytes(length) }),
      new RegExp(`has ${length} bytes and not 48: make one with openssl rand -out .*t\\.key 48$`),
    );
  }
});

const host = (lines: string) =>
  `Listen 443\n<VirtualHost *:443>\nServerName a.test\nSSLEngine on\nSSLCertificateFile a.pem\n${lines}\n</VirtualHost>`;
const PEM = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';

test('of a folder is read what is named as authorities are, once', (t) => {
  const files = {
    'a.pem': 'any',
    'cas/root.pem': PEM,
    'cas/0a1b2c3d.0': PEM,
    'cas/other.crt': PEM.replace('AAAA', 'BBBB'),
    'cas/README': PEM.replace('AAAA', 'CCCC'),
    'cas/empty.pem': 'nothing of the kind',
  };
  const { clientCas } = read(t, host('SSLVerifyClient require\nSSLCACertificatePath cas'), files);
  const [text = ''] = Object.values(clientCas);
  assert.equal(text.match(/BEGIN/g)?.length, 2);
  assert.ok(!text.includes('CCCC'));
});

test('a folder of too many files is refused', (t) => {
  const many = Array.from({ length: 2001 }, (_, n) => [`cas/${n}.pem`, PEM]);
  assert.throws(
    () =>
      read(t, host('SSLVerifyClient require\nSSLCACertificatePath cas'), {
        'a.pem': 'any',
        ...Object.fromEntries(many),
      }),
    /cas: more than 2000 files$/,
  );
});

test('a folder has a machine certificate of each key type; another of one type is a warning', async (t) => {
  const authority = await createAuthority();
  const files: Record<string, string> = {};
  for (const [name, type] of [
    ['a', 'ec'],
    ['b', 'rsa'],
    ['c', 'ec'],
  ] as const) {
    const { chainPem, keyPem } = await authority.issue([name], type);
    files[`own/${name}.pem`] = keyPem + chainPem;
  }
  const { warnings } = read(t, 'Listen 80\nSSLProxyMachineCertificatePath own', files);
  assert.deepEqual(
    warnings.map(({ line, message }) => [line, message.replace(/^.*\/own/, 'own')]),
    [[2, 'own is not shown to backends: there is another certificate with a key of type ec before it']],
  );
});

test('a machine certificate without its key is refused at its line', (t) => {
  assert.throws(
    () => read(t, 'Listen 80\nSSLProxyMachineCertificateFile m.pem', { 'm.pem': PEM }),
    (error: Error & { line?: number }) => error.message.includes('m.pem: ') && error.line === 2,
  );
});

test('lists of backends’ certificates have to be lists, and be there where they are asked for', (t) => {
  const check = 'Listen 80\nSSLProxyCARevocationCheck chain';
  assert.throws(
    () => read(t, check, {}),
    (error: Error & { line?: number }) => error.message.startsWith('AH01899: ') && error.line === 2,
  );
  const garbage = { 'crl.pem': PEM.replaceAll('CERTIFICATE', 'X509 CRL') };
  assert.throws(() => read(t, `${check}\nSSLProxyCARevocationFile crl.pem`, garbage), /crl\.pem: /);
  read(
    t,
    `SSLProxyCARevocationFile crl.pem\n<Proxy *>\nSSLProxyCARevocationCheck leaf\n</Proxy>\nListen 80`,
    {
      'crl.pem': 'no list, which leaves every backend refused',
    },
  );
});
