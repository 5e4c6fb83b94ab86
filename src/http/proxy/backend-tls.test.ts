import assert from 'node:assert/strict';
import { createSecureContext } from 'node:tls';
import https from 'node:https';
import type { ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { suite, test } from 'node:test';
import type { TestContext } from 'node:test';
import { createAuthority } from '../../certificates/credentials.testing.ts';
import type { BackendTls } from '../../config/settings.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { makeCrl } from '../../pki/crl.testing.ts';
import { pemBlocks, toPem } from '../../pki/pem.ts';
import { makeOcspResponse, OcspTestCa } from '../../pki/ocsp.testing.ts';
import { ask, listen, startFront } from './proxy.testing.ts';

interface Told {
  readonly protocol?: string;
  readonly cipher?: string;
  readonly client?: string;
  readonly log?: string;
}

const at = { file: 'test.conf', line: 1 };

suite('TLS towards a backend', async () => {
  const authority = await createAuthority();
  const strangers = await createAuthority('Strangers');
  const own = await authority.issue(['localhost']);
  const [rsa, ec] = [await authority.issue(['machine'], 'rsa'), await authority.issue(['machine'], 'ec')];
  const files: Record<string, string> = {
    ca: authority.rootPem,
    strangers: strangers.rootPem,
    rsa: rsa.chainPem,
    rsaKey: rsa.keyPem,
    both: [ec.keyPem, ec.chainPem, rsa.keyPem, rsa.chainPem].join(''),
  };

  const tell = (socket: TLSSocket) =>
    JSON.stringify({
      protocol: socket.getProtocol(),
      cipher: socket.getCipher().standardName,
      client: socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType,
    });
  const backend = async (t: TestContext, options: ServerOptions = {}) => {
    const pair = { cert: own.chainPem, key: own.keyPem };
    const server = https.createServer({ ...pair, ...options }, ({ socket }, response) =>
      response.end(tell(socket as TLSSocket)),
    );
    return { server, port: await listen(t, server) };
  };
  /** What the backend tells, or the last line of the log. */
  const through = async (t: TestContext, url: string, backendTls: BackendTls | undefined) => {
    const directory = backendTls ? { backendTls } : {};
    const front = await startFront(t, { to: url, host: { directory }, files });
    const { status, body } = await ask(front.url);
    return (status === 200 ? JSON.parse(body) : { log: front.log.at(-1) }) as Told;
  };

  test('needs an authority that is known, and trusts the one that is named', async (t) => {
    const url = `https://localhost:${(await backend(t)).port}`;
    assert.match((await through(t, url, undefined)).log ?? '', /AH00898: Error during SSL Handshake/);
    assert.match((await through(t, url, { ssl: { caFile: 'strangers' } })).log ?? '', /AH00898/);
    assert.equal((await through(t, url, { ssl: { caFile: 'ca' } })).protocol, 'TLSv1.3');
    assert.equal((await through(t, url, { ssl: { caPath: 'ca' } })).protocol, 'TLSv1.3');
    assert.equal((await through(t, url, { tlsEngine: true, tls: { caFile: 'ca' } })).protocol, 'TLSv1.3');
  });

  test('goes by the directives whose engine is on', async (t) => {
    const url = `https://localhost:${(await backend(t)).port}`;
    const tls = { caFile: 'ca' };
    assert.match((await through(t, url, { tls })).log ?? '', /AH00898/);
    assert.match((await through(t, url, { tlsEngine: true, ssl: tls })).log ?? '', /AH00898/);
  });

  test('is as unconcerned as it is told to be, and no more', async (t) => {
    const { port } = await backend(t);
    const [named, other] = [`https://localhost:${port}`, `https://127.0.0.1:${port}`];
    assert.ok((await through(t, named, { ssl: { verify: 'none' } })).protocol);
    assert.ok((await through(t, named, { ssl: { verify: 'any-issuer' } })).protocol);
    assert.match(
      (await through(t, other, { ssl: { verify: 'none' } })).log ?? '',
      /AH00898.*IP: 127\.0\.0\.1/,
    );
    assert.match((await through(t, other, { ssl: { caFile: 'ca' } })).log ?? '', /AH00898.*IP: 127\.0\.0\.1/);
    assert.ok((await through(t, other, { ssl: { caFile: 'ca', checkName: false } })).protocol);
    assert.ok((await through(t, other, { ssl: { caFile: 'ca', checkCommonName: false } })).protocol);
    const strict = { caFile: 'ca', checkCommonName: false, checkName: true };
    assert.match((await through(t, other, { ssl: strict })).log ?? '', /AH00898/);
  });

  test('bounds the length of the chain', async (t) => {
    const url = `https://localhost:${(await backend(t)).port}`;
    assert.match(
      (await through(t, url, { ssl: { caFile: 'ca', depth: 1 } })).log ?? '',
      /chain is longer than/,
    );
    assert.ok((await through(t, url, { ssl: { caFile: 'ca', depth: 2 } })).protocol);
  });

  test('looks at the time of what it does not verify, unless told not to', async (t) => {
    const past = await OcspTestCa.create(Date.UTC(2001, 0, 1));
    const expired = await past.issue({ names: ['localhost'] });
    const url = `https://localhost:${(await backend(t, { cert: expired.chainPem, key: expired.keyPem })).port}`;
    assert.match((await through(t, url, { ssl: { verify: 'none' } })).log ?? '', /has expired/);
    assert.match((await through(t, url, { ssl: { verify: 'any-issuer' } })).log ?? '', /AH00898/);
    assert.ok((await through(t, url, { ssl: { verify: 'none', checkExpiry: false } })).protocol);
  });

  test('shows the certificate that the backend can use, of one for each key type', async (t) => {
    const asking = { requestCert: true, rejectUnauthorized: true, ca: authority.rootPem };
    const { port } = await backend(t, asking);
    const { chainPem: cert, keyPem: key } = await authority.issue(['localhost'], 'rsa');
    const rsaOnly = await backend(t, { ...asking, cert, key, sigalgs: 'RSA-PSS+SHA256' });
    const url = `https://localhost:${port}`;
    const both = { certificateFile: 'both', keyFile: 'both', chainFile: undefined, at };
    const onlyRsa = { certificateFile: 'rsa', keyFile: 'rsaKey', chainFile: undefined, at };
    assert.match((await through(t, url, { ssl: { caFile: 'ca' } })).log ?? '', /AH0/);
    assert.equal((await through(t, url, { ssl: { caFile: 'ca', machine: [onlyRsa] } })).client, 'rsa');
    assert.equal((await through(t, url, { ssl: { caFile: 'ca', machine: [both] } })).client, 'ec');
    const rsaUrl = `https://localhost:${rsaOnly.port}`;
    const mine = { tlsEngine: true, tls: { caFile: 'ca', machine: [both] } };
    assert.equal((await through(t, rsaUrl, mine)).client, 'rsa');
  });

  test('shows what stands between its certificate and the root, if that is said', async (t) => {
    const certificates = pemBlocks(rsa.chainPem).map(({ pem }) => pem);
    const asking = { requestCert: true, rejectUnauthorized: true, ca: authority.rootPem };
    const url = `https://localhost:${(await backend(t, asking)).port}`;
    Object.assign(files, { leaf: rsa.keyPem + certificates[0], between: certificates.slice(1).join('') });
    const machine = [{ certificateFile: 'leaf', keyFile: 'leaf', chainFile: undefined, at }];
    assert.match((await through(t, url, { ssl: { caFile: 'ca', machine } })).log ?? '', /AH0/);
    const ssl = { caFile: 'ca', machine, machineChain: 'between' };
    assert.equal((await through(t, url, { ssl })).client, 'rsa');
  });

  test('looks its certificate up in lists', async (t) => {
    const now = Date.now();
    const ca = await OcspTestCa.create(now);
    const issued = await ca.issue({ names: ['localhost'] });
    const url = `https://localhost:${(await backend(t, { cert: issued.chainPem, key: issued.keyPem })).port}`;
    const list = async (revoked: Certificate[], nextUpdate = now + 60_000) =>
      toPem('X509 CRL', await makeCrl({ issuer: ca, revoked, thisUpdate: now - 60_000, nextUpdate }));
    Object.assign(files, {
      issuer: ca.certificate.pem,
      clean: await list([]),
      full: await list([issued.certificate]),
      old: await list([], now - 1000),
      none: '',
    });
    const ask = async (crlFile: string, check: 'chain' | 'leaf' | 'none', optional = false) => {
      const ssl = { caFile: 'issuer', crlFile, crlCheck: { check, optional, at } };
      const { protocol, log = '' } = await through(t, url, { ssl });
      return protocol ?? log;
    };
    for (const check of ['chain', 'leaf'] as const) {
      assert.equal(await ask('clean', check), 'TLSv1.3');
      assert.match(await ask('full', check), /AH00898.*certificate is not good: it is revoked/);
      assert.match(await ask('full', check, true), /it is revoked/);
      assert.match(await ask('old', check), /list of its issuer has expired/);
      assert.match(await ask('none', check), /there is no revocation list of its issuer/);
      assert.equal(await ask('none', check, true), 'TLSv1.3');
    }
    assert.equal(await ask('full', 'none'), 'TLSv1.3');
  });

  test('speaks the versions and ciphers that are asked for', async (t) => {
    const url = `https://localhost:${(await backend(t)).port}`;
    const ssl = {
      caFile: 'ca',
      versions: { min: 'TLSv1.2', max: 'TLSv1.2' },
      ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384',
    } as const;
    assert.deepEqual(await through(t, url, { ssl }), {
      protocol: 'TLSv1.2',
      cipher: 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
    });
    const tls = { caFile: 'ca', suppressed: [0x1301, 0x1302] };
    assert.equal((await through(t, url, { tlsEngine: true, tls })).cipher, 'TLS_CHACHA20_POLY1305_SHA256');
    const none = await through(t, url, {
      tlsEngine: true,
      tls: { ...tls, suppressed: [0x1301, 0x1302, 0x1303], versions: { min: 'TLSv1.3', max: 'TLSv1.3' } },
    });
    assert.match(none.log ?? '', /TLSProxyCiphersSuppress leaves no cipher/);
  });

  suite('verifies a staple that the backend sends:', async () => {
    const now = Date.now();
    const ca = await OcspTestCa.create(now);
    const stapled = await ca.issue({ names: ['localhost'] });
    const other = await ca.issue({ names: ['other'] });
    const respond = (leaf: Certificate, status: 'good' | 'revoked') =>
      makeOcspResponse({ issuer: ca.certificate, signer: ca, leaf, status, thisUpdate: now });
    const cases: [string, () => Promise<Uint8Array>, RegExp | undefined][] = [
      ['good', () => respond(stapled.certificate, 'good'), undefined],
      ['revoked', () => respond(stapled.certificate, 'revoked'), /certificate is revoked/],
      ['of another', () => respond(other.certificate, 'good'), /OCSP response is not good/],
      ['garbage', async () => Buffer.from('300a', 'hex'), /OCSP response is not good/],
      ['try later', async () => Buffer.from('30030a0103', 'hex'), undefined],
    ];
    for (const [what, make, refusal] of cases) {
      test(what, async (t) => {
        const der = Buffer.from(await make());
        const pair = { cert: stapled.chainPem, key: stapled.keyPem };
        const { server, port } = await backend(t, {
          ...pair,
          SNICallback: (_, done) => done(null, createSecureContext(pair)),
        });
        server.on(
          'OCSPRequest',
          (_certificate: Buffer, _issuer: Buffer, answer: (error: null, der: Buffer) => void) =>
            answer(null, der),
        );
        const front = await startFront(t, {
          to: `https://localhost:${port}`,
          host: { directory: { backendTls: { ssl: { caFile: 'ca' } } } },
          files: { ca: ca.certificate.pem },
        });
        const { status } = await ask(front.url);
        assert.equal(status, refusal ? 502 : 200, front.log.join('\n'));
        if (refusal) assert.match(front.log.join('\n'), refusal);
      });
    }
  });
});
