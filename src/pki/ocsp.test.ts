import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { Certificate } from './certificate.ts';
import { derElements, hasMustStaple, partsOf } from './der.ts';
import { PkiError } from './errors.ts';
import { ocspIssuer, ocspRequest, questionAbout, responderUrls } from './ocsp-request.ts';
import { OcspError, type OcspErrorCode, readOcspResponse } from './ocsp-response.ts';
import { type Answer, makeOcspResponse, ocspRefusal, ocspSigning, OcspTestCa } from './ocsp.testing.ts';
import { withoutOpenssl } from './openssl.testing.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const now = Date.parse('2026-11-22T06:00:00Z');
const ca = await OcspTestCa.create(now);
const leaf = await ca.issue({ ocsp: 'http://ocsp.test/x', mustStaple: true });
const question = questionAbout(leaf.certificate, ocspIssuer(ca.certificate));

const respond = (over: Partial<Answer> = {}) =>
  makeOcspResponse({
    issuer: ca.certificate,
    leaf: leaf.certificate,
    signer: ca,
    thisUpdate: now - HOUR,
    nextUpdate: now + DAY,
    ...over,
  });

function refused(der: Uint8Array, code: OcspErrorCode, message: RegExp, at = now, nonce?: Uint8Array): void {
  assert.throws(
    () => readOcspResponse(der, { ...question, nonce }, at),
    (error) => error instanceof OcspError && error.code === code && message.test(error.message),
  );
}

suite('an OCSP response', () => {
  test('of the issuer itself says what it says, by any hash and either way of naming the responder', async () => {
    for (const over of [{}, { byName: true }, { hash: 'sha256' }] satisfies Partial<Answer>[]) {
      assert.deepEqual(readOcspResponse(await respond(over), question, now), {
        status: 'good',
        thisUpdate: now - HOUR,
        nextUpdate: now + DAY,
        signerNotAfter: Infinity,
        revokedAt: undefined,
        reason: undefined,
      });
    }
  });

  test('that revokes says since when and why', async () => {
    const answer = readOcspResponse(await respond({ status: 'revoked', reason: 4 }), question, now);
    assert.equal(answer.status, 'revoked');
    assert.equal(answer.revokedAt, now - HOUR);
    assert.equal(answer.reason, 4);
  });

  test('that knows nothing, or has no end, is read', async () => {
    const answer = readOcspResponse(
      await respond({ status: 'unknown', nextUpdate: undefined }),
      question,
      now,
    );
    assert.equal(answer.status, 'unknown');
    assert.equal(answer.nextUpdate, undefined);
  });

  test('of a delegated responder counts while its certificate is good for that', async () => {
    const delegate = await ca.issue({ names: ['responder'], usages: [ocspSigning] });
    for (const byName of [true, false]) {
      assert.equal(
        readOcspResponse(await respond({ signer: delegate, byName }), question, now).status,
        'good',
      );
    }
    const server = await ca.issue({ names: ['server'], usages: ['1.3.6.1.5.5.7.3.1'] });
    refused(await respond({ signer: server }), 'ocsp-untrusted', /not for OCSP signing/);
    refused(await respond({ signer: await ca.issue() }), 'ocsp-untrusted', /not for OCSP signing/);
    const brief = await ca.issue({ usages: [ocspSigning], notAfter: now + HOUR });
    const answer = readOcspResponse(await respond({ signer: brief }), question, now);
    assert.equal(answer.signerNotAfter, now + HOUR);
    const old = await ca.issue({ usages: [ocspSigning], notAfter: now - 1000 });
    refused(await respond({ signer: old }), 'ocsp-untrusted', /expired/);
    const young = await ca.issue({ usages: [ocspSigning], notBefore: now + HOUR });
    refused(await respond({ signer: young }), 'ocsp-untrusted', /not valid yet/);
  });

  test('of another CA is not believed, whatever it calls itself', async () => {
    const impostor = await OcspTestCa.create(now);
    refused(await respond({ signer: impostor, byName: true }), 'ocsp-untrusted', /signature is wrong/);
    const delegate = await impostor.issue({ usages: [ocspSigning] });
    refused(await respond({ signer: delegate }), 'ocsp-untrusted', /not from the issuer/);
    refused(
      await respond({ signer: impostor, issuer: ca.certificate }),
      'ocsp-untrusted',
      /not from the issuer|no certificate/,
    );
  });

  test('about another serial, or the same serial of another issuer, is none', async () => {
    const other = await ca.issue();
    refused(await respond({ leaf: other.certificate }), 'ocsp-other-certificate', /another certificate/);
    const elsewhere = await OcspTestCa.create(now, 'Elsewhere');
    refused(await respond({ issuer: elsewhere.certificate }), 'ocsp-other-certificate', /another/);
  });

  test('is taken only in its time, with five minutes for clocks that differ', async () => {
    refused(await respond({ nextUpdate: now }), 'ocsp-expired', /clocks/);
    refused(await respond({ thisUpdate: now + 6 * 60_000 }), 'ocsp-not-yet-valid', /clocks/);
    const early = await respond({ thisUpdate: now + 4 * 60_000 });
    assert.equal(readOcspResponse(early, question, now).status, 'good');
  });

  test('must repeat a nonce that was asked for', async () => {
    const nonce = Buffer.from('0123456789abcdef');
    const good = readOcspResponse(await respond({ nonce }), { ...question, nonce }, now);
    assert.equal(good.status, 'good');
    refused(await respond(), 'ocsp-nonce', /nonce/, now, nonce);
    refused(await respond({ nonce: Buffer.from('another') }), 'ocsp-nonce', /nonce/, now, nonce);
  });

  test('with a critical extension that nobody knows is not guessed at', async () => {
    refused(await respond({ critical: true }), 'ocsp-untrusted', /critical extension/);
  });

  test('that refuses says how', () => {
    for (const refusal of ['tryLater', 'unauthorized', 'malformedRequest', 'internalError'] as const) {
      assert.throws(
        () => readOcspResponse(ocspRefusal(refusal), question, now),
        (error) => error instanceof OcspError && error.refusal === refusal,
      );
    }
  });

  test('with any byte changed is refused, or says the same', async () => {
    const der = await respond({ signer: await ca.issue({ usages: [ocspSigning] }) });
    const index = fc.integer({ min: 0, max: der.length - 1 });
    fc.assert(
      fc.property(index, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(der);
        changed[at] = (changed[at] ?? 0) ^ change;
        try {
          // What is outside of the signature (the responder's certificate) may be read in more ways than one.
          assert.equal(readOcspResponse(changed, question, now).status, 'good');
        } catch (error) {
          assert.ok(error instanceof OcspError, String(error));
        }
      }),
      // The length of the signed part, read once more for the responder's name.
      { examples: [[36, 2]] },
    );
  });

  test('is an OcspError, whatever garbage there is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.throws(() => readOcspResponse(bytes, question, now), OcspError);
      }),
    );
    refused(Buffer.alloc(5 * 2 ** 20, 0x30), 'ocsp-unreadable', /more than/);
    refused(Buffer.from('<!DOCTYPE html>'), 'ocsp-unreadable', /not an OCSP response/);
  });
});

suite('a certificate taken apart', () => {
  test('shows its responders, and whether clients are to insist on a staple', async () => {
    assert.deepEqual(responderUrls(leaf.certificate), ['http://ocsp.test/x']);
    assert.equal(hasMustStaple(leaf.certificate.x509), true);
    const plain = await ca.issue({ ocsp: 'ldap://ocsp.test' });
    assert.deepEqual(responderUrls(plain.certificate), []);
    assert.equal(hasMustStaple(plain.certificate.x509), false);
  });

  test('is unreadable where it is no DER, and never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          const found = derElements(Buffer.from(bytes));
          assert.deepEqual(Buffer.concat(found.map(({ raw }) => raw)), Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof PkiError && error.code === 'der-unreadable');
        }
      }),
    );
  });
});

suite('with OpenSSL', { skip: withoutOpenssl }, () => {
  const openssl = (dir: string, ...args: string[]) =>
    spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' });

  test('requests are understood, and its responses are read, by whatever algorithm it signs', async () => {
    const rsa = { type: 'RSA', bits: 2048 } as const;
    const signer = await ca.issue({ names: ['responder'], usages: [ocspSigning], spec: rsa });
    const pss = ['-rsigopt', 'rsa_padding_mode:pss'];
    const dir = mkdtempSync(join(tmpdir(), 'latchkey-ocsp-'));
    try {
      writeFileSync(join(dir, 'ca.pem'), ca.certificate.pem);
      writeFileSync(join(dir, 'ca.key'), ca.key.export({ type: 'pkcs8', format: 'pem' }));
      writeFileSync(join(dir, 'signer.pem'), signer.certificate.pem);
      writeFileSync(join(dir, 'signer.key'), signer.keyPem);
      writeFileSync(join(dir, 'request.der'), ocspRequest({ ...question, nonce: Buffer.alloc(32, 7) }));
      const { serial } = leaf.certificate;
      writeFileSync(join(dir, 'index.txt'), `V\t361122060000Z\t\t${serial}\tunknown\t/CN=a.test\n`);
      const text = openssl(dir, 'ocsp', '-reqin', 'request.der', '-req_text').stdout;
      assert.match(text, new RegExp(`Serial Number: ${serial}`));
      assert.match(text, /OCSP Nonce/);
      const respondBy = (...how: string[]) => {
        const answering = ['-index', 'index.txt', '-CA', 'ca.pem', ...how];
        const files = ['-reqin', 'request.der', '-respout', 'response.der'];
        const outcome = openssl(dir, 'ocsp', ...answering, ...files, '-ndays', '2');
        assert.equal(outcome.status, 0, outcome.stderr);
        const der = openssl(dir, 'base64', '-A', '-in', 'response.der').stdout;
        const nonce = Buffer.alloc(32, 7);
        return readOcspResponse(Buffer.from(der, 'base64'), { ...question, nonce }, Date.now()).status;
      };
      const delegate = ['-rsigner', 'signer.pem', '-rkey', 'signer.key'];
      assert.equal(respondBy('-rsigner', 'ca.pem', '-rkey', 'ca.key'), 'good');
      assert.equal(respondBy(...delegate), 'good');
      for (const hash of ['sha256', 'sha384', 'sha512']) {
        assert.equal(respondBy(...delegate, ...pss, '-rmd', hash), 'good', hash);
      }
      assert.throws(() => respondBy(...delegate, ...pss, '-rmd', 'sha1'), /algorithm that clients refuse/);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test('a name hash is over the very bytes of the certificate', () => {
    const parts = partsOf(new Certificate(leaf.certificate.pem).x509);
    assert.ok(leaf.certificate.x509.raw.includes(parts.issuer));
    assert.deepEqual(parts.issuer, partsOf(ca.certificate.x509).subject);
  });
});
