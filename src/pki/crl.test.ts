import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import * as fc from 'fast-check';
import { Certificate } from './certificate.ts';
import { crlSerial, crlUrls, readCrl } from './crl.ts';
import { type MadeList, makeCrl } from './crl.testing.ts';
import { OcspTestCa } from './ocsp.testing.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';

const now = Date.parse('2026-11-22T06:00:00Z');
const HOUR = 3_600_000;
const url = 'http://c.example/1.crl';
const code = (literal: string) => ({ code: literal });

suite('a list of revoked certificates', () => {
  let ca: OcspTestCa;
  let leaf: Awaited<ReturnType<OcspTestCa['issue']>>;
  before(async () => {
    ca = await OcspTestCa.create(now);
    leaf = await ca.issue({ crl: url });
  });
  const list = (made: Partial<MadeList> = {}) =>
    makeCrl({ issuer: ca, thisUpdate: now, nextUpdate: now + HOUR, ...made });
  const read = (der: Buffer) =>
    readCrl(der, { issuer: ca.certificate, url, serials: new Set([crlSerial(leaf.certificate)]) });

  test('tells which of the wanted are on it, and how long it is good', async () => {
    const others = await Promise.all([ca.issue(), ca.issue()]);
    const without = await read(await list({ revoked: others.map(({ certificate }) => certificate) }));
    assert.deepEqual(without, { thisUpdate: now, nextUpdate: now + HOUR, revoked: new Set() });
    const revoked = [others[0].certificate, leaf.certificate];
    assert.deepEqual((await read(await list({ revoked }))).revoked, new Set([crlSerial(leaf.certificate)]));
    assert.deepEqual(await read(await list({ nextUpdate: undefined })), {
      ...without,
      nextUpdate: undefined,
    });
  });

  test('may be very long', async () => {
    const many = Array.from({ length: 20_000 }, (_, n) => Buffer.from([1, n >> 16, n >> 8, n]));
    const der = await list({ revoked: [...many, leaf.certificate] });
    assert.equal((await read(der)).revoked.size, 1);
  });

  test('counts if it is of the issuer, and signed by it', async () => {
    const stranger = await OcspTestCa.create(now, 'Stranger');
    const namesake = await OcspTestCa.create(now);
    const revoked = [leaf.certificate];
    await assert.rejects(read(await list({ revoked, issuer: stranger })), code('crl-other'));
    await assert.rejects(read(await list({ revoked, signer: namesake })), code('crl-untrusted'));
    const der = await list({ revoked });
    const at = der.indexOf(Buffer.from(crlSerial(leaf.certificate), 'hex'));
    der[at + 3] = (der[at + 3] ?? 0) ^ 1;
    await assert.rejects(read(der), code('crl-untrusted'));
  });

  test('counts only for the place that it says it is for, and not in part', async () => {
    const revoked = [leaf.certificate];
    assert.equal((await read(await list({ revoked, point: { url } }))).revoked.size, 1);
    const shard = list({ revoked, point: { url: 'http://c.example/2.crl' } });
    await assert.rejects(read(await shard), code('crl-other'));
    await assert.rejects(read(await list({ point: { onlyCas: true } })), code('crl-other'));
    const delta = list({ revoked, critical: '2.5.29.27' });
    await assert.rejects(read(await delta), code('crl-untrusted'));
  });

  test('of garbage or cut is an error with a name, and changed anywhere never says anything else', async () => {
    const der = await list({ revoked: [leaf.certificate], point: { url } });
    const named = (error: unknown) =>
      error instanceof Error && 'code' in error && String(error.code).startsWith('crl-');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), (bytes) =>
        assert.rejects(read(Buffer.from(bytes)), named),
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(der.length - 1), (length) =>
        assert.rejects(read(der.subarray(0, length)), named),
      ),
    );
    // What frames the signed part may differ without harm.
    const says = await read(der);
    await fc.assert(
      fc.asyncProperty(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        const bad = Buffer.from(der);
        bad[at] = (bad[at] ?? 0) ^ bits;
        const answer = await read(bad).catch((error: unknown) => assert.ok(named(error)));
        if (answer) assert.deepEqual(answer, says);
      }),
    );
  });

  test('is where the certificate says', async () => {
    assert.deepEqual(crlUrls(leaf.certificate), [url]);
    assert.deepEqual(crlUrls((await ca.issue()).certificate), []);
    assert.deepEqual(crlUrls((await ca.issue({ crl: 'ldap://c.example/1' })).certificate), []);
  });

  for (const algorithm of ['rsa:2048', 'ec']) {
    test(`is read as OpenSSL writes it (${algorithm})`, { skip: withoutOpenssl }, async () => {
      const dir = mkdtempSync(join(tmpdir(), 'crl-'));
      try {
        const file = (name: string) => join(dir, name);
        const key = algorithm === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'] : [algorithm];
        const made = ['-newkey', ...key, '-keyout', file('key.pem'), '-out', file('ca.pem')];
        openssl(['req', '-x509', '-nodes', '-subj', '/O=Test/CN=Lists', '-days', '9', ...made], '');
        writeFileSync(
          file('index.txt'),
          'R\t270101000000Z\t261101000000Z,keyCompromise\t00A1B2\tunknown\t/CN=x\n',
        );
        writeFileSync(file('number'), '01\n');
        writeFileSync(
          file('ca.cnf'),
          `[ca]\ndefault_ca=a\n[a]\ndatabase=${file('index.txt')}\ncrlnumber=${file('number')}\ndefault_md=sha384\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\nissuingDistributionPoint=critical,@p\n[p]\nfullname=URI:${url}\nonlyuser=TRUE\n`,
        );
        const by = ['-config', file('ca.cnf'), '-cert', file('ca.pem'), '-keyfile', file('key.pem')];
        openssl(['ca', '-gencrl', ...by, '-crldays', '3', '-out', file('crl.pem')], '');
        openssl(['crl', '-in', file('crl.pem'), '-outform', 'DER', '-out', file('crl.der')], '');
        const issuer = new Certificate(readFileSync(file('ca.pem')));
        const serials = new Set(['00a1b2', '00a1b3']);
        const answer = await readCrl(readFileSync(file('crl.der')), { issuer, url, serials });
        assert.deepEqual([...answer.revoked], ['00a1b2']);
        assert.equal((answer.nextUpdate ?? 0) - answer.thisUpdate, 72 * HOUR);
      } finally {
        rmSync(dir, { recursive: true });
      }
    });
  }
});
