import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { promisify } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import { createAlpnCertificate } from '../../pki/selfsigned.ts';
import { randomToken, temporary, withoutIpv6 } from '../ca.testing.ts';
import { startDns } from '../dns.testing.ts';
import { AcmeProblem } from '../acme/problem.ts';
import type { Identifier } from '../identifiers.ts';
import type { Attempt } from './attempt.ts';
import { nameResolver } from './resolve.ts';
import { validate } from './validate.ts';
import type { ChallengeType } from './validate.ts';

const localhost: Identifier = { type: 'dns', value: 'a.localhost' };

async function listening(t: TestContext, server: Server, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    if ('closeAllConnections' in server) (server.closeAllConnections as () => void)();
  });
  return (server.address() as AddressInfo).port;
}

function attempt(changes: Partial<Attempt>): Attempt {
  const token = randomToken();
  return {
    identifier: localhost,
    token,
    keyAuthorization: `${token}.thumbprint`,
    ports: { http: 1, https: 1 },
    resolver: nameResolver(undefined),
    signal: new AbortController().signal,
    ...changes,
  };
}

/** The problem a validation ends with, its type without prefix; undefined where it succeeds. */
async function problem(
  type: ChallengeType,
  of: Attempt,
): Promise<{ type: string; detail: string } | undefined> {
  const impatient = { now: () => systemClock.now(), sleep: async () => {} };
  try {
    await validate(type, of, impatient);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof AcmeProblem, String(error));
    return { type: error.document.type.split(':').at(-1) ?? '', detail: error.document.detail };
  }
}

async function web(t: TestContext, listener: RequestListener, host?: string): Promise<number> {
  return listening(t, createServer(listener), host);
}

test('http-01: the key authorization at its path under the name is valid', async (t) => {
  const seen: (string | undefined)[] = [];
  const http = await web(t, (request, response) => {
    seen.push(request.headers.host, request.url);
    response.end(`${one.keyAuthorization}\r\n`);
  });
  const one = attempt({ ports: { http, https: 1 } });
  assert.equal(await problem('http-01', one), undefined);
  assert.deepEqual(seen, ['a.localhost', `/.well-known/acme-challenge/${one.token}`]);
});

const onIpv6 = 'http-01: names under .localhost are looked for on ::1 too, and addresses are identifiers';
test(onIpv6, { skip: withoutIpv6 }, async (t) => {
  const http = await web(t, (_, response) => response.end(one.keyAuthorization), '::1');
  let one = attempt({ ports: { http, https: 1 } });
  assert.equal(await problem('http-01', one), undefined);
  one = attempt({ ports: { http, https: 1 }, identifier: { type: 'ip', value: '::1' } });
  assert.equal(await problem('http-01', one), undefined);
});

test('http-01: redirects are followed to the allowed ports, with the mapped ports for the default ones', async (t) => {
  const tls = await keyAndCertificate(t);
  const paths: (string | undefined)[] = [];
  const https = await listening(
    t,
    createTlsServer(tls).on('secureConnection', (socket) => web2.emit('connection', socket)),
  );
  const web2 = createServer((request, response) => {
    paths.push(request.url);
    response.end(one.keyAuthorization);
  });
  const http = await web(t, (request, response) => {
    paths.push(request.url);
    const location = request.url === '/there' ? 'https://b.localhost/at/last' : '/there';
    response.writeHead(301, { location }).end();
  });
  const one = attempt({ ports: { http, https } });
  assert.equal(await problem('http-01', one), undefined);
  assert.deepEqual(paths.slice(1), ['/there', '/at/last']);
});

for (const [what, location, type, detail] of [
  ['without end', '/again', 'connection', /more than 10 redirects/],
  ['to another port', 'http://a.localhost:22/', 'connection', /port is not allowed/],
  ['to another scheme', 'file:///etc/passwd', 'connection', /only http and https/],
  ['to nonsense', 'http://[', 'connection', /not a URL/],
  ['to a name that is none', 'http://a_b/', 'connection', /not a host name/],
] as const) {
  test(`http-01: a redirect ${what} fails`, async (t) => {
    const http = await web(t, (_, response) => response.writeHead(302, { location }).end());
    const failed = await problem('http-01', attempt({ ports: { http, https: 1 } }));
    assert.equal(failed?.type, type);
    assert.match(failed?.detail ?? '', detail);
  });
}

for (const [what, listener, detail] of [
  [
    'a wrong answer',
    (_, response) => response.end('no\u0007thing'),
    /127\.0\.0\.1:\d+: .* answers "no\\x07thing"/,
  ],
  ['status 404', (_, response) => response.writeHead(404).end(), /answers with status 404/],
  ['an endless answer', (_, response) => endless(response), /answers "xxx/],
] as const satisfies readonly (readonly [string, RequestListener, RegExp])[]) {
  test(`http-01: ${what} is unauthorized, and says what came`, async (t) => {
    const http = await web(t, listener);
    const failed = await problem('http-01', attempt({ ports: { http, https: 1 } }));
    assert.equal(failed?.type, 'unauthorized');
    assert.match(failed?.detail ?? '', detail);
    assert.ok((failed?.detail.length ?? 0) < 600);
  });
}

function endless(response: {
  write(text: string): boolean;
  on(event: string, listener: () => void): unknown;
}) {
  const more = () => {
    while (response.write('x'.repeat(10_000)));
  };
  response.on('drain', more);
  more();
}

test('http-01: nobody there is a connection problem with every address tried', async (t) => {
  const http = await web(t, () => {});
  const closed = await new Promise<number>((resolve) => {
    const server = createTcpServer().listen(0, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
  assert.notEqual(http, closed);
  const failed = await problem('http-01', attempt({ ports: { http: closed, https: 1 } }));
  assert.equal(failed?.type, 'connection');
  assert.match(
    failed?.detail ?? '',
    new RegExp(`127\\.0\\.0\\.1:${closed}: connection refused; \\[::1\\]:${closed}: `),
  );
});

for (const [what, bytes] of [
  ['garbage', 'SSH-2.0-OpenSSH_9\r\n\r\n'],
  ['a header without end', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}`],
  ['nothing', ''],
] as const) {
  test(`http-01: a peer that answers ${what} and hangs up is a connection problem`, async (t) => {
    const http = await listening(
      t,
      createTcpServer((socket) => socket.on('error', () => {}).end(bytes)),
    );
    const failed = await problem('http-01', attempt({ ports: { http, https: 1 } }));
    assert.equal(failed?.type, 'connection');
  });
}

test('a validation ends when it is told to, with the reason it was told', async (t) => {
  const stop = new AbortController();
  const http = await web(t, () => stop.abort(new Error('enough')));
  const one = attempt({ ports: { http, https: 1 }, signal: stop.signal });
  await assert.rejects(validate('http-01', one, systemClock), /enough/);
});

// ---- tls-alpn-01

async function keyAndCertificate(t: TestContext, ...extensions: string[]): Promise<TlsOptions> {
  const dir = await temporary(t);
  const files = ['-keyout', join(dir, 'key'), '-out', join(dir, 'cert')];
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const more = extensions.flatMap((one) => ['-addext', one]);
  await promisify(execFile)('openssl', [
    'req',
    '-x509',
    '-nodes',
    '-subj',
    '/CN=x',
    ...ec,
    ...files,
    ...more,
  ]);
  return { key: await readFile(join(dir, 'key')), cert: await readFile(join(dir, 'cert')) };
}

async function alpn(t: TestContext, options: TlsOptions): Promise<number> {
  return listening(
    t,
    createTlsServer({ ALPNProtocols: ['acme-tls/1'], ...options }).on('tlsClientError', () => {}),
  );
}

function digest(keyAuthorization: string): string {
  const hex = createHash('sha256').update(keyAuthorization).digest('hex');
  return `1.3.6.1.5.5.7.1.31=critical,DER:0420${hex}`;
}

test('tls-alpn-01: the certificate that RFC 8737 describes is valid, made by us or by openssl', async (t) => {
  const one = attempt({});
  const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  const ours = await createAlpnCertificate({
    key,
    name: 'a.localhost',
    keyAuthorization: one.keyAuthorization,
    now: Date.now(),
  });
  const theirs = await keyAndCertificate(t, 'subjectAltName=DNS:A.localhost', digest(one.keyAuthorization));
  for (const options of [{ key: ours.keyPem, cert: ours.certPem }, theirs]) {
    const https = await alpn(t, options);
    assert.equal(await problem('tls-alpn-01', { ...one, ports: { http: 1, https } }), undefined);
  }
});

test('tls-alpn-01: an address is asked for by its reverse name', async (t) => {
  const one = attempt({ identifier: { type: 'ip', value: '127.0.0.1' } });
  const certificate = await keyAndCertificate(t, 'subjectAltName=IP:127.0.0.1', digest(one.keyAuthorization));
  const names: string[] = [];
  const https = await alpn(t, {
    ...certificate,
    SNICallback: (name, done) => {
      names.push(name);
      done(null);
    },
  });
  assert.equal(await problem('tls-alpn-01', { ...one, ports: { http: 1, https } }), undefined);
  assert.deepEqual(names, ['1.0.0.127.in-addr.arpa']);
});

for (const [what, extensions, detail] of [
  [
    'for another name',
    (k) => ['subjectAltName=DNS:b.localhost', digest(k)],
    /is for dns:b\.localhost, not for/,
  ],
  ['for a name more', (k) => ['subjectAltName=DNS:a.localhost,DNS:b.localhost', digest(k)], /and dns:b/],
  ['for an address more', (k) => ['subjectAltName=DNS:a.localhost,IP:127.0.0.1', digest(k)], /and ip:127/],
  ['for no name', (k) => [digest(k)], /is for no name/],
  ['without acmeIdentifier', () => ['subjectAltName=DNS:a.localhost'], /no acmeIdentifier/],
  ['of another key', (k) => ['subjectAltName=DNS:a.localhost', digest(`${k}x`)], /another key authorization/],
  [
    'that is not critical',
    (k) => ['subjectAltName=DNS:a.localhost', digest(k).replace('critical,', '')],
    /not critical/,
  ],
  [
    'with a digest that goes on',
    (k) => ['subjectAltName=DNS:a.localhost', `${digest(k)}00`],
    /another key authorization|not be read/,
  ],
] as const satisfies readonly (readonly [string, (keyAuthorization: string) => string[], RegExp])[]) {
  test(`tls-alpn-01: a certificate ${what} is unauthorized`, async (t) => {
    const one = attempt({});
    const https = await alpn(t, await keyAndCertificate(t, ...extensions(one.keyAuthorization)));
    const failed = await problem('tls-alpn-01', { ...one, ports: { http: 1, https } });
    assert.equal(failed?.type, 'unauthorized');
    assert.match(failed?.detail ?? '', detail);
  });
}

test('tls-alpn-01: a server that ignores ALPN is unauthorized, one without TLS is a tls problem', async (t) => {
  const one = attempt({});
  const certificate = await keyAndCertificate(
    t,
    'subjectAltName=DNS:a.localhost',
    digest(one.keyAuthorization),
  );
  const without = await listening(t, createTlsServer(certificate));
  const ignoring = await problem('tls-alpn-01', { ...one, ports: { http: 1, https: without } });
  assert.equal(ignoring?.type, 'unauthorized');
  assert.match(ignoring?.detail ?? '', /does not answer acme-tls\/1/);
  const refusing = await alpn(t, { ...certificate, ALPNProtocols: ['h2'] });
  assert.equal((await problem('tls-alpn-01', { ...one, ports: { http: 1, https: refusing } }))?.type, 'tls');
  const plain = await web(t, (_, response) => response.end());
  const failed = await problem('tls-alpn-01', { ...one, ports: { http: 1, https: plain } });
  assert.equal(failed?.type, 'tls');
  assert.match(failed?.detail ?? '', new RegExp(`127\\.0\\.0\\.1:${plain}`));
});

// ---- names

test('dns-01: a record of the digest, in parts and among others, is valid', async (t) => {
  const dns = await startDns(t);
  const one = attempt({
    identifier: { type: 'dns', value: 'a.example' },
    resolver: nameResolver(dns.server),
  });
  const value = createHash('sha256').update(one.keyAuthorization).digest('base64url');
  dns.records.set('TXT _acme-challenge.a.example', ['another', value]);
  assert.equal(await problem('dns-01', one), undefined);
  dns.records.set('TXT _acme-challenge.a.example', ['another', 'third']);
  const failed = await problem('dns-01', one);
  assert.deepEqual([failed?.type, failed?.detail.includes('"another" (and 1 more)')], ['unauthorized', true]);
  dns.records.clear();
  assert.match(
    (await problem('dns-01', one))?.detail ?? '',
    /no TXT record found at _acme-challenge\.a\.example/,
  );
  dns.code = 2;
  assert.equal((await problem('dns-01', one))?.type, 'dns');
});

test('other names are asked of the configured resolver', async (t) => {
  const dns = await startDns(t);
  const http = await web(t, (_, response) => response.end(one.keyAuthorization));
  const one = attempt({
    identifier: { type: 'dns', value: 'intranet.example' },
    ports: { http, https: 1 },
    resolver: nameResolver(dns.server),
  });
  const failed = await problem('http-01', one);
  assert.deepEqual(failed, { type: 'dns', detail: 'no address found for intranet.example' });
  dns.records.set('AAAA intranet.example', ['::1']).set('A intranet.example', ['127.0.0.1']);
  assert.equal(await problem('http-01', one), undefined);
});

test('a resolver that is none is an error at start', () => {
  assert.throws(() => nameResolver('not an address'), { code: 'ca-listen', message: /not ADDRESS:PORT/ });
});
