/** The choice of a certificate, with OpenSSL as oracle: a context of all certificates, and one of each alone. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { connect } from 'node:tls';
import type { ConnectionOptions, SecureVersion } from 'node:tls';
import * as fc from 'fast-check';
import { createAuthority } from '../certificates/credentials.testing.ts';
import type { Selection } from './accept.ts';
import { capabilitiesOf } from './capabilities.ts';
import { canUse, kindOf } from './choice.ts';
import type { ClientHello } from './clienthello.ts';
import { SecureContexts } from './contexts.ts';
import type { Served } from './contexts.ts';
import { createPolicy, modernPolicy } from './policy.ts';
import type { TlsPolicy } from './policy.ts';
import { startServer } from './serve.testing.ts';
import type { TestServer } from './serve.testing.ts';

interface Shown {
  /** Of the certificate; undefined where the handshake failed. */
  readonly serial: string | undefined;
  readonly staple: string | undefined;
}

async function handshake(server: TestServer, options: ConnectionOptions): Promise<Shown> {
  const socket = connect({
    host: '127.0.0.1',
    port: server.port,
    servername: 'a.example.org',
    rejectUnauthorized: false,
    requestOCSP: true,
    ...options,
  });
  let staple: string | undefined;
  let serial: string | undefined;
  socket.on('OCSPResponse', (der: Buffer | null) => (staple = der?.toString()));
  socket.on('error', () => {});
  socket.once('secureConnect', () => {
    serial = socket.getPeerX509Certificate()?.serialNumber;
    socket.destroy();
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return { serial, staple };
}

const policies: readonly TlsPolicy[] = [
  modernPolicy,
  createPolicy({ ciphers: 'HIGH:!aNULL', maxVersion: 'TLSv1.2' }),
  createPolicy({ ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }),
  createPolicy({ ciphers: 'ECDHE-RSA-AES256-SHA:AES128-GCM-SHA256', cipherOrder: 'server' }),
];

const some = (...values: string[]) =>
  fc
    .subarray(values, { minLength: 1 })
    .chain((chosen) => fc.shuffledSubarray(chosen, { minLength: chosen.length }));

const clients = fc
  .record({
    versions: fc.constantFrom<SecureVersion[]>(
      ['TLSv1.2', 'TLSv1.2'],
      ['TLSv1.3', 'TLSv1.3'],
      ['TLSv1.2', 'TLSv1.3'],
    ),
    sigalgs: some(
      'ecdsa_secp256r1_sha256',
      'ecdsa_secp384r1_sha384',
      'ECDSA+SHA512',
      'rsa_pss_rsae_sha256',
      'rsa_pkcs1_sha256',
      'rsa_pkcs1_sha512',
      'ed25519',
    ),
    ciphers: some(
      'ECDHE-RSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES256-SHA',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
      'AES128-GCM-SHA256',
    ),
    groups: some('X25519', 'P-256', 'P-384', 'P-521'),
  })
  .map(({ versions, sigalgs, ciphers, groups }): ConnectionOptions => ({
    minVersion: versions[0],
    maxVersion: versions[1],
    sigalgs: sigalgs.join(':'),
    ciphers: `TLS_AES_128_GCM_SHA256:${ciphers.join(':')}`,
    ecdhCurve: groups.join(':'),
  }));

suite('A certificate is chosen', async () => {
  const authority = await createAuthority();
  const issued = await Promise.all(
    (['rsa', 'ec', 'ec384'] as const).map((type) => authority.issue(['a.example.org'], type)),
  );
  const certificates = issued.map((one) => ({ ...one, staple: Buffer.from(`staple of ${one.serial}`) }));
  const contexts = new SecureContexts();

  test('as OpenSSL would, for any client; and its staple is the one that is given', async () => {
    let select: (hello: ClientHello) => Selection<string> = () => assert.fail();
    await using server = await startServer({ select: (hello) => select(hello) });
    const sets = fc.shuffledSubarray([...certificates.keys()], { minLength: 2 });
    const policy = fc.constantFrom(...policies);
    await fc.assert(
      fc.asyncProperty(clients, policy, sets, async (client, policy, indices) => {
        const set = indices.flatMap((index) => certificates[index] ?? []);
        let hello: ClientHello | undefined;
        const shown = (choose: (its: ClientHello) => Served) => {
          select = (its) => ({ kind: 'serve', policy, alpn: [], tag: '', ...choose((hello = its)) });
          return handshake(server, client);
        };
        const works: string[] = [];
        for (const one of set) {
          const alone = { context: contexts.create([one], policy, 'alone'), staple: undefined };
          if ((await shown(() => alone)).serial === one.serial) works.push(one.serial);
        }
        const usable = set.flatMap((one) => {
          const kind = kindOf(one) ?? assert.fail();
          return hello && canUse(hello, kind, policy) ? [one.serial] : [];
        });
        for (const serial of usable) assert.ok(works.includes(serial), 'what it can use, it gets');
        const serving = contexts.serving({ certificates: set, fallback: false }, policy, 'set');
        for (const inOrder of [false, true]) {
          const { serial, staple } = await shown((its) => serving.forClient(its, inOrder));
          if (usable.length === 0) {
            // OpenSSL has its way; it may have held one of two EC certificates only.
            assert.ok(serial === undefined || works.includes(serial));
            assert.equal(staple, undefined);
            continue;
          }
          assert.equal(staple, `staple of ${serial}`);
          assert.ok(usable.includes(serial ?? ''));
          if (inOrder) assert.equal(serial, usable[0]);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('where both kinds are there, a client fails only if it fails with OpenSSL having both', async () => {
    let serve: Served | ((hello: ClientHello) => Served);
    await using server = await startServer({
      select: (hello) => {
        const served = typeof serve === 'function' ? serve(hello) : serve;
        return { kind: 'serve', policy: modernPolicy, alpn: [], tag: '', ...served };
      },
    });
    const both = certificates.slice(0, 2);
    const dual = { context: contexts.create(both, modernPolicy, 'dual'), staple: undefined };
    const serving = contexts.serving({ certificates: both, fallback: false }, modernPolicy, 'both');
    let failed = 0;
    await fc.assert(
      fc.asyncProperty(clients, async (client) => {
        serve = dual;
        const oracle = await handshake(server, client);
        serve = (hello) => serving.forClient(hello, false);
        const { serial } = await handshake(server, client);
        assert.equal(serial === undefined, oracle.serial === undefined);
        if (serial === undefined) failed++;
      }),
      { numRuns: 50 },
    );
    assert.ok(failed > 0 && failed < 50, 'some clients fail, some do not');
  });

  test('by what OpenSSL says of itself under a policy', () => {
    const { cipherSuites, groups, signatureAlgorithms } = capabilitiesOf(modernPolicy);
    assert.ok(cipherSuites.has(0xc02b) && cipherSuites.has(0xc02f) && !cipherSuites.has(0xc013));
    assert.ok(groups.has(0x1d) && groups.has(0x17));
    assert.ok(signatureAlgorithms.has(0x0403) && signatureAlgorithms.has(0x0804));
    assert.equal(capabilitiesOf(modernPolicy), capabilitiesOf(modernPolicy));
  });
});
