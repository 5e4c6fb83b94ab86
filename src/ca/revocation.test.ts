/** OCSP and the revocation list, as openssl sees them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { TestClock } from '../base/clock.testing.ts';
import { systemClock } from '../base/clock.ts';
import { silent } from '../base/log.ts';
import { parseChain } from '../pki/certificate.ts';
import { partsOf } from '../pki/der.ts';
import { withoutOpenssl } from '../pki/openssl.testing.ts';
import { certified, startCa, startWeb, TestClient } from './ca.testing.ts';
import type { TestCa } from './ca.testing.ts';
import { Revocations } from './revocations.ts';

const DAY = 86_400_000;
const exec = promisify(execFile);

interface Issued {
  readonly ca: TestCa;
  readonly client: TestClient;
  readonly leaf: X509Certificate;
  readonly plain: string;
  /** Runs openssl in the CA's folder, where root.pem, intermediate.pem and leaf.pem are; both outputs. */
  readonly openssl: (...args: string[]) => Promise<string>;
  readonly revoke: (reason: number) => Promise<number>;
}

async function issued(t: TestContext, clock = new TestClock(Date.now())): Promise<Issued> {
  const web = await startWeb(t);
  const ca = await startCa(t, { httpPort: web.port, clock });
  const client = new TestClient(ca);
  const leaf = new X509Certificate(await certified(client, web));
  await writeFile(join(ca.dir, 'leaf.pem'), leaf.toString());
  return {
    ca,
    client,
    leaf,
    plain: ca.base.replace('https:', 'http:'),
    async openssl(...args) {
      const { stdout, stderr } = await exec('openssl', args, { cwd: ca.dir }).catch(
        (error: { stdout: string; stderr: string }) => error,
      );
      return stderr + stdout;
    },
    revoke: async (reason) => {
      const certificate = leaf.raw.toString('base64url');
      return (await client.post('/revoke-certificate', { certificate, reason })).status;
    },
  };
}

const asks = [
  'ocsp',
  '-issuer',
  'intermediate.pem',
  '-CAfile',
  'root.pem',
  '-verify_other',
  'intermediate.pem',
];
const aboutLeaf = ['-cert', 'leaf.pem', '-no_nonce'];

suite('The CA, asked about revocation,', { skip: withoutOpenssl }, () => {
  test('names where to ask in what it issues', async (t) => {
    const { openssl, plain } = await issued(t);
    const text = await openssl('x509', '-in', 'leaf.pem', '-noout', '-text');
    assert.match(text, new RegExp(`OCSP - URI:${plain}/ocsp\n`));
    assert.match(text, new RegExp(`Full Name:\\s+URI:${plain}/crl\n`));
  });

  test('says good, and from the moment of a revocation on revoked, why and when', async (t) => {
    const { openssl, plain, revoke } = await issued(t);
    const url = ['-url', `${plain}/ocsp`];
    const before = await openssl(...asks, ...aboutLeaf, ...url);
    assert.match(before, /Response verify OK\n/);
    assert.match(before, /leaf\.pem: good\n/);
    assert.match(before, /Next Update: /);
    assert.equal(await revoke(1), 200);
    const after = await openssl(...asks, ...aboutLeaf, ...url);
    assert.match(after, /Response verify OK\n/);
    assert.match(after, /leaf\.pem: revoked\n[^]*Reason: keyCompromise\n\tRevocation Time: /);
  });

  for (const hash of ['sha1', 'sha256', 'sha384', 'sha512']) {
    test(`is asked with ${hash} and a nonce, which it gives back`, async (t) => {
      const { openssl, plain } = await issued(t);
      const question = [`-${hash}`, '-cert', 'leaf.pem', '-nonce', '-url', `${plain}/ocsp`, '-text'];
      const output = await openssl(...asks, ...question);
      assert.match(output, /Response verify OK\n[^]*leaf\.pem: good/);
      assert.equal(output.match(/OCSP Nonce: /g)?.length, 2);
      assert.doesNotMatch(output, /WARNING/);
    });
  }

  test('answers GET with what caches need, times in whole seconds, by a delegated certificate', async (t) => {
    const clock = new TestClock(Date.now() - (Date.now() % 1000) + 987);
    const { ca, openssl, plain } = await issued(t, clock);
    await openssl(...asks, ...aboutLeaf, '-reqout', 'question');
    const question = await readBase64(ca, 'question');
    const get = async (path: string) => {
      const response = await fetch(`${plain}/ocsp/${path}`);
      return { headers: response.headers, der: Buffer.from(await response.arrayBuffer()) };
    };
    const { headers, der } = await get(encodeURIComponent(question));
    assert.equal(headers.get('content-type'), 'application/ocsp-response');
    assert.match(headers.get('cache-control') ?? '', /^max-age=3600, public/);
    assert.equal(Date.parse(headers.get('last-modified') ?? ''), clock.now() - 987);
    await writeFile(join(ca.dir, 'answer'), der);
    const text = await openssl(...asks, '-respin', 'answer', ...aboutLeaf, '-text');
    assert.match(text, /Response verify OK\n[^]*leaf\.pem: good/);
    assert.match(text, /X509v3 Extended Key Usage: \n\s+OCSP Signing\n/);
    assert.match(text, /OCSP No Check/);
    assert.match(text, /Responder Id: [0-9A-F]{40}\n/);
    assert.doesNotMatch(der.toString('latin1'), /\d{14}\.\d+Z/);
    // Bare slashes and pluses are how some clients send base64; signed once, it is the same answer.
    assert.deepEqual((await get(question)).der, der);
    await clock.advance(2 * DAY);
    assert.notDeepEqual((await get(question)).der, der, 'half of its time is over');
  });

  test('knows nothing of other serials, and does not speak for other issuers', async (t) => {
    const { openssl, plain } = await issued(t);
    const url = ['-no_nonce', '-url', `${plain}/ocsp`];
    assert.match(await openssl(...asks, '-serial', '0x4711', ...url), /Response verify OK\n[^]*: unknown\n/);
    const others = ['ocsp', '-issuer', 'root.pem', '-serial', '0x4711'];
    assert.match(await openssl(...others, ...url), /Responder Error: unauthorized \(6\)/);
  });

  test('lists the revoked, and openssl minds the list', async (t) => {
    const { ca, openssl, plain, revoke, leaf } = await issued(t);
    const check = async () => {
      const response = await fetch(`${plain}/crl`);
      assert.equal(response.headers.get('content-type'), 'application/pkix-crl');
      await writeFile(join(ca.dir, 'list.der'), Buffer.from(await response.arrayBuffer()));
      await openssl('crl', '-inform', 'DER', '-in', 'list.der', '-out', 'list.pem');
      const files = ['-CAfile', 'root.pem', '-untrusted', 'intermediate.pem', '-CRLfile', 'list.pem'];
      return openssl('verify', '-x509_strict', '-crl_check', ...files, 'leaf.pem');
    };
    assert.equal(await check(), 'leaf.pem: OK\n');
    const empty = await openssl('crl', '-in', 'list.pem', '-noout', '-text');
    assert.match(empty, /No Revoked Certificates/);
    await revoke(4);
    assert.match(await check(), /error 23 at 0 depth lookup: certificate revoked/);
    const listed = await openssl('crl', '-in', 'list.pem', '-noout', '-text');
    assert.match(listed, new RegExp(`Serial Number: ${leaf.serialNumber}[^]*Superseded`));
    const number = (text: string) => /CRL Number: \n\s+(\w+)/.exec(text)?.[1];
    assert.ok(number(empty) && number(listed));
  });

  test('goes on saying so in its next life, and under its next intermediate', async (t) => {
    const clock = new TestClock(Date.now());
    const { ca, openssl, revoke } = await issued(t, clock);
    await revoke(0);
    await ca.close();
    const again = await startCa(t, { dir: ca.dir, clock });
    const url = ['-url', `${again.base.replace('https:', 'http:')}/ocsp`];
    const output = await openssl(...asks, ...aboutLeaf, ...url);
    assert.match(output, /Response verify OK\n[^]*leaf\.pem: revoked\n/);
    assert.doesNotMatch(output, /Reason:/);
    await again.close();
    await writeFile(join(ca.dir, 'old.pem'), await read(ca, 'intermediate.pem'));
    clock.jump(clock.now() + 300 * DAY);
    const later = await startCa(t, { dir: ca.dir, clock });
    assert.notEqual(await read(ca, 'intermediate.pem'), await read(ca, 'old.pem'));
    await openssl('ocsp', '-issuer', 'old.pem', '-serial', '0x4711', '-no_nonce', '-reqout', 'question');
    const question = encodeURIComponent(await readBase64(ca, 'question'));
    const response = await fetch(`${later.base.replace('https:', 'http:')}/ocsp/${question}`);
    assert.ok(Buffer.from(await response.arrayBuffer()).length > 100, 'it speaks for the old one');
  });
});

function read({ dir }: TestCa, name: string): Promise<string> {
  return readFile(join(dir, name), 'utf8');
}

function readBase64({ dir }: TestCa, name: string): Promise<string> {
  return readFile(join(dir, name), 'base64');
}

test('what is no question is told so, and never breaks the responder', async (t) => {
  const ca = await startCa(t);
  const url = `${ca.base.replace('https:', 'http:')}/ocsp`;
  const malformed = Buffer.from('30030a0101', 'hex');
  const headers = { 'content-type': 'application/ocsp-request' };
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const response = await fetch(url, { method: 'POST', headers, body: Buffer.from(bytes) });
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), malformed);
    }),
    { numRuns: 50 },
  );
  for (const path of ['', '/%', '/%FF', '/!!!', '/MAoFAAUA']) {
    assert.deepEqual(Buffer.from(await (await fetch(url + path)).arrayBuffer()), malformed, path);
  }
  const large = await fetch(url, { method: 'POST', headers, body: Buffer.alloc(5000) });
  assert.equal(large.status, 413);
  assert.equal((await fetch(url, { method: 'POST', body: 'x' })).status, 415);
});

test('a question with more in it than names a certificate is none', async (t) => {
  const ca = await startCa(t);
  const url = `${ca.base.replace('https:', 'http:')}/ocsp`;
  const issuer = parseChain(await readFile(join(ca.dir, 'intermediate.pem'), 'utf8'))[0];
  assert.ok(issuer);
  const answerTo = async (serial: Buffer, parameters: Buffer) => {
    const body = question(issuer.x509, serial, parameters);
    const headers = { 'content-type': 'application/ocsp-request' };
    const response = await fetch(url, { method: 'POST', headers, body });
    return Buffer.from(await response.arrayBuffer());
  };
  const [serial, none] = [Buffer.from([0x47, 0x11]), Buffer.from([5, 0])];
  assert.ok((await answerTo(serial, none)).length > 100);
  // Answers are kept with what was asked: these would be as large as anybody likes.
  const malformed = '30030a0101';
  assert.equal((await answerTo(Buffer.alloc(2000, 1), none)).toString('hex'), malformed);
  assert.equal((await answerTo(serial, der(0x04, Buffer.alloc(2000)))).toString('hex'), malformed);
});

/** An OCSPRequest for one certificate, by SHA-1 (RFC 6960 section 4.1.1). */
function question(issuer: X509Certificate, serial: Buffer, parameters: Buffer): Buffer {
  const { subject, publicKey } = partsOf(issuer);
  const sha1 = (bytes: Buffer) => createHash('sha1').update(bytes).digest();
  const algorithm = der(0x30, Buffer.from('06052b0e03021a', 'hex'), parameters);
  const certId = [algorithm, der(0x04, sha1(subject)), der(0x04, sha1(publicKey)), der(0x02, serial)];
  return der(0x30, der(0x30, der(0x30, der(0x30, der(0x30, ...certId)))));
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}

test('plain HTTP has nothing but questions about revocation', async (t) => {
  const ca = await startCa(t);
  const plain = ca.base.replace('https:', 'http:');
  for (const path of ['/directory', '/new-nonce', '/']) assert.equal((await fetch(plain + path)).status, 404);
  assert.equal((await new TestClient(ca).request(`${ca.base}/crl`)).status, 404);
});

test('a connection that says nothing does not keep the CA from closing', async (t) => {
  const ca = await startCa(t);
  const silent = connect(Number(new URL(ca.base).port), '127.0.0.1').on('error', () => {});
  await once(silent, 'connect');
  assert.equal((await fetch(`${ca.base.replace('https:', 'http:')}/crl`)).status, 200);
  await ca.close();
  if (!silent.destroyed) await once(silent.resume(), 'close');
});

test('a revocation is kept once, and as long as anybody may ask', async (t) => {
  const ca = await startCa(t);
  const revocations = await Revocations.open(join(ca.dir, 'acme', 'revoked'), silent('ca'));
  const now = systemClock.now();
  const revocation = { serial: '4711', at: now, reason: 1, notAfter: now + DAY } as const;
  assert.equal(await revocations.add(revocation), true);
  assert.equal(await revocations.add({ ...revocation, reason: 4 }), false);
  assert.deepEqual(await revocations.get('4711'), revocation);
  assert.equal(await revocations.get('../../x'), undefined);
  await revocations.sweep(now + 2 * DAY);
  assert.deepEqual(await revocations.serials(), ['4711']);
  await revocations.sweep(now + 4 * DAY);
  assert.deepEqual(await readdir(join(ca.dir, 'acme', 'revoked')), []);
});
