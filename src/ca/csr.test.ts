import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { createCsr } from '../pki/csr.ts';
import { readSigningRequest } from './csr.ts';
import type { CaError } from './errors.ts';

const run = promisify(execFile);

/** A request made by openssl, DER. */
async function openssl(newkey: readonly string[], subject: string, ...more: string[]): Promise<Buffer> {
  const args = ['req', '-new', '-nodes', '-keyout', '/dev/null', '-outform', 'DER', '-subj', subject];
  const options = { encoding: 'buffer' } as const;
  return (await run('openssl', [...args, ...newkey, ...more], options)).stdout;
}

const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];

test('names of subject and alternative names are read, each once, in lower case', async () => {
  const names = 'subjectAltName=DNS:B.localhost,DNS:a.localhost,IP:::1,IP:127.0.0.1';
  const { identifiers } = readSigningRequest(await openssl(p256, '/CN=A.localhost', '-addext', names));
  assert.deepEqual(identifiers, [
    { type: 'dns', value: 'a.localhost' },
    { type: 'dns', value: 'b.localhost' },
    { type: 'ip', value: '::1' },
    { type: 'ip', value: '127.0.0.1' },
  ]);
});

for (const newkey of [
  ['-newkey', 'rsa:2048'],
  ['-newkey', 'rsa:3072', '-sha384'],
  ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1', '-sha512'],
  ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp521r1'],
]) {
  test(`openssl ${newkey.join(' ')} is good enough`, async () => {
    assert.equal(readSigningRequest(await openssl(newkey, '/CN=a.localhost')).identifiers.length, 1);
  });
}

for (const [newkey, reason] of [
  [['-newkey', 'rsa:1024'], /2048 to 8192 bits here, this one has 1024/],
  [['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], /P-256.*secp256k1/],
  [['-newkey', 'ed25519'], /ed25519/],
  [['-newkey', 'rsa:2048', '-sha1'], /an algorithm that clients refuse .1\.2\.840\.113549\.1\.1\.5/],
] as const) {
  test(`openssl ${newkey.join(' ')} is refused`, async () => {
    const der = await openssl([...newkey], '/CN=a.localhost');
    assert.throws(() => readSigningRequest(der), { code: 'ca-bad-csr', message: reason });
  });
}

for (const [extension, reason] of [
  ['subjectAltName=email:a@example.org', /neither a DNS name/],
  ['subjectAltName=DNS:a..b', /not a host name/],
  ['tlsfeature=status_request_v2', /only status_request \(must-staple\)/],
  ['tlsfeature=status_request,status_request_v2', /only status_request/],
] as const) {
  test(`a request with ${extension} is refused`, async () => {
    const der = await openssl(p256, '/CN=a.localhost', '-addext', extension);
    assert.throws(() => readSigningRequest(der), { code: 'ca-bad-csr', message: reason });
  });
}

test('must-staple is read', async () => {
  const stapled = await openssl(p256, '/CN=a.localhost', '-addext', 'tlsfeature=status_request');
  assert.equal(readSigningRequest(stapled).mustStaple, true);
  assert.equal(readSigningRequest(await openssl(p256, '/CN=a.localhost')).mustStaple, false);
});

const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;

test('a request changed where it counts is refused, and never breaks the reader', async () => {
  const der = await createCsr({ key, names: ['a.localhost', '::1'] });
  const original = readSigningRequest(der);
  assert.equal(original.identifiers.length, 2);
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ flip;
      let read;
      try {
        read = readSigningRequest(changed);
      } catch (error) {
        assert.equal((error as CaError).code, 'ca-bad-csr');
        return;
      }
      // A bit of the wrapping may be read more than one way; what is signed may not.
      assert.deepEqual(read, original);
    }),
    { numRuns: 1000 },
  );
});

test('any bytes are refused, and never break the reader', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(() => readSigningRequest(Buffer.from(bytes)), { code: 'ca-bad-csr' });
    }),
  );
});
