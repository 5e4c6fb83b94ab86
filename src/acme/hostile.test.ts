/** The client against a CA that misbehaves: every fault has its name. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { coversName, parseChain } from '../pki/certificate.ts';
import { createCsr } from '../pki/csr.ts';
import { generateKey, keyToPem } from '../pki/keys.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import { type Account, AcmeClient, type AcmeClientOptions, type Order } from './client.ts';
import { AcmeError, type AcmeErrorCode } from './errors.ts';
import { type HostileCa, type Reply, reply, startHostileCa } from './hostile-ca.testing.ts';

const key = await generateKey({ type: 'EC', name: 'p-256' });
const identifiers = [{ type: 'dns', value: 'a.example' }] as const;
const DAY = 24 * 60 * 60 * 1000;

interface Setup {
  readonly ca: HostileCa;
  readonly client: AcmeClient;
  readonly clock: TestClock;
}

async function setup(t: TestContext, options: Partial<AcmeClientOptions> = {}): Promise<Setup> {
  const ca = await startHostileCa();
  const clock = new TestClock();
  const client = new AcmeClient({ directoryUrl: ca.directoryUrl, clock, ...options });
  t.after(async () => {
    await client[Symbol.asyncDispose]();
    await ca[Symbol.asyncDispose]();
  });
  return { ca, client, clock };
}

function register(client: AcmeClient): Promise<Account> {
  return client.newAccount(key, { contacts: [], termsOfServiceAgreed: true });
}

async function failure(promise: Promise<unknown>, code: AcmeErrorCode, message: RegExp): Promise<AcmeError> {
  const error: unknown = await promise.then(
    () => assert.fail('it succeeded'),
    (error: unknown) => error,
  );
  assert(error instanceof AcmeError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  return error;
}

/** Fails a test of refused connections otherwise: the port was free a moment ago. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(address && typeof address === 'object');
  server.close();
  return address.port;
}

test('a directory is kept for half a day: a CA that moves is followed without a restart', async (t) => {
  const { ca, client, clock } = await setup(t);
  const fetched = () => ca.seen.filter(({ endpoint }) => endpoint === 'directory').length;
  await Promise.all([client.directory(), client.directory()]);
  await clock.advance(DAY / 2 - 1);
  await client.directory();
  assert.equal(fetched(), 1);
  await clock.advance(1);
  await Promise.all([client.directory(), client.directory()]);
  assert.equal(fetched(), 2);
});

test('a directory is fetched anew once nothing of ACME is where it says, and after the clock was put back', async (t) => {
  const { ca, client, clock } = await setup(t);
  const fetched = () => ca.seen.filter(({ endpoint }) => endpoint === 'directory').length;
  const account = await register(client);
  const order = () => client.newOrder(account, { identifiers: [{ type: 'dns', value: 'a.example' }] });
  ca.next('newOrder', reply.problem('malformed', 400));
  await assert.rejects(order());
  assert.equal(fetched(), 1, 'a refusal is one of the CA');
  ca.next('newOrder', reply.html(404));
  await assert.rejects(order());
  await order();
  assert.equal(fetched(), 2);
  clock.jump(clock.now() - 2 * DAY);
  await order();
  assert.equal(fetched(), 3);
});

test('told nothing, it issues: the faults below are the faults', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  const order = await client.newOrder(account, { identifiers, profile: 'short', replaces: 'aki.serial' });
  const authorization = await client.authorization(account, order.authorizations[0] ?? '');
  await client.answerChallenge(account, authorization.challenges[0]?.url ?? '');
  const done = await client.finalize(account, order, await createCsr({ key, names: ['a.example'] }));
  const [leaf] = parseChain(await client.certificate(account, done));
  assert(leaf && coversName(leaf, 'a.example'));
  const newOrder = ca.seen.find(({ endpoint }) => endpoint === 'newOrder');
  assert.deepEqual(newOrder?.payload, { identifiers, profile: 'short', replaces: 'aki.serial' });
  assert.equal(newOrder.protected['kid'], account.url);
  assert.equal(newOrder.headers['content-type'], 'application/jose+json');
  assert.equal(newOrder.headers['user-agent'], 'latchkey');
});

test('an HTML page instead of a directory', async (t) => {
  const { ca, client } = await setup(t);
  ca.next('directory', reply.html());
  const message =
    /\/directory answered with an HTML page instead of JSON \(status 200\): is this the URL of an ACME/;
  assert.equal((await failure(client.directory(), 'acme-invalid-response', message)).httpStatus, 200);
});

test('other JSON, half a directory, forbidden URLs, garbage, nothing', async (t) => {
  const { ca, client } = await setup(t);
  const url = 'https://ca.example/x';
  const cases: [Reply, RegExp][] = [
    [reply.json({ hello: 'world' }), /a directory that is none \(newNonce/],
    [reply.json([]), /a directory that is none/],
    [
      reply.json({ newNonce: url, newAccount: url, newOrder: 'http://ca.example/x' }),
      /newOrder: is not an https URL/,
    ],
    [
      reply.json({ newNonce: 'file:///etc/passwd', newAccount: url, newOrder: url }),
      /newNonce: is not an https URL/,
    ],
    [reply.raw('{"newNonce', 'application/json'), /damaged JSON/],
    [reply.raw('hello', 'text/plain'), /something of type text\/plain/],
    [reply.raw('', 'application/json'), /an empty page/],
    [reply.html(404), /an HTML page instead of a reason \(status 404\)/],
  ];
  for (const [answer, message] of cases) {
    ca.next('directory', answer);
    await failure(client.directory(), 'acme-invalid-response', message);
  }
  await client.directory();
});

test('a directory is fetched once for all who ask, and a failure is not kept', async (t) => {
  const { ca, client } = await setup(t);
  ca.next('directory', reply.html(500));
  await failure(client.directory(), 'acme-unavailable', /internal error \(status 500\)/);
  const both = await Promise.all([client.directory(), client.directory()]);
  assert.equal(both[0], both[1]);
  assert.equal(ca.seen.length, 2);
});

test('a directory may move, but not to plain http and not for ever', async (t) => {
  const { ca, client } = await setup(t);
  const loop = reply.redirect(ca.directoryUrl);
  ca.next('directory', reply.redirect('http://ca.example/dir'));
  await failure(
    client.directory(),
    'acme-invalid-response',
    /redirects to http:\/\/ca\.example\/dir.*no https URL/,
  );
  ca.next('directory', loop, loop, loop, loop);
  await failure(client.directory(), 'acme-invalid-response', /redirects to .*configure that URL/);
  ca.next('directory', loop, reply.redirect('/directory', 308));
  await client.directory();
});

test('signed requests are not redirected', async (t) => {
  const { ca, client } = await setup(t);
  ca.next('newAccount', reply.redirect('/new-account', 307));
  await failure(register(client), 'acme-invalid-response', /redirects to .*signed requests/);
  assert.equal(ca.seen.filter(({ endpoint }) => endpoint === 'newAccount').length, 1);
});

test('a rate limit is told with its time, in seconds or as a date', async (t) => {
  const { ca, client, clock } = await setup(t);
  ca.next('newAccount', reply.problem('rateLimited', 429, {}, { 'retry-after': '3600' }));
  const limited = await failure(register(client), 'acme-rate-limited', /hostile rateLimited/);
  assert.equal(limited.retryAfter, 3_600_000);
  assert.equal(limited.problem?.type, 'urn:ietf:params:acme:error:rateLimited');
  const date = new Date(clock.now() + 90_000).toUTCString();
  ca.next('newAccount', reply.raw('busy', 'text/plain', 503, { 'retry-after': date }));
  assert.equal((await failure(register(client), 'acme-rate-limited', /fewer requests/)).retryAfter, 90_000);
  ca.next('newAccount', reply.raw('busy', 'text/plain', 503));
  assert.equal((await failure(register(client), 'acme-unavailable', /status 503/)).retryAfter, undefined);
});

test('a problem is kept whole, subproblems and unknown members too', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  const subproblems = [
    {
      type: 'urn:ietf:params:acme:error:caa',
      detail: 'CAA forbids',
      identifier: { type: 'dns', value: 'a.example' },
      extra: 1,
    },
  ];
  const more = { subproblems, instance: 'https://ca.example/unpause', 'x-hint': ['y'] };
  ca.next('newOrder', reply.problem('rejectedIdentifier', 403, more));
  const error = await failure(
    client.newOrder(account, { identifiers }),
    'acme-problem',
    /; a\.example: CAA forbids/,
  );
  assert.partialDeepStrictEqual(error.problem, more);
  assert.equal(error.httpStatus, 403);
});

test('a malformed member of a problem hides no other', async (t) => {
  const { ca, client } = await setup(t);
  const more = { detail: 'the reason', title: 7, identifier: 'x', subproblems: 'none', status: 'bad' };
  ca.next('newAccount', reply.problem('unauthorized', 403, more));
  const error = await failure(register(client), 'acme-problem', /the reason/);
  assert.equal(error.problem?.title, undefined);
  assert.deepEqual(error.problem?.subproblems, []);
});

test('refused nonces are replaced, and a storm of refusals ends', async (t) => {
  const { ca, client } = await setup(t);
  const bad = reply.problem('badNonce', 400);
  ca.next('newAccount', bad, bad, bad);
  const account = await register(client);
  const nonces = ca.seen.map(({ protected: header }) => header['nonce']).filter(Boolean);
  assert.equal(new Set(nonces).size, 4);
  ca.always('newOrder', bad);
  await failure(client.newOrder(account, { identifiers }), 'acme-problem', /badNonce/);
  assert.equal(ca.seen.filter(({ endpoint }) => endpoint === 'newOrder').length, 10);
  assert.equal(ca.seen.filter(({ endpoint }) => endpoint === 'newNonce').length, 1);
});

test('an answer without a usable nonce costs one more request, a CA without any is refused', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  ca.next('order', reply.json({}, 200, { 'replay-nonce': 'not base64url!' }));
  await failure(
    client.order(account, `${ca.origin}/order/0`),
    'acme-invalid-response',
    /an order that is none/,
  );
  ca.next('newNonce', reply.raw('', 'text/plain', 200, { 'replay-nonce': '' }));
  await failure(client.newOrder(account, { identifiers }), 'acme-invalid-response', /without a nonce/);
  await client.newOrder(account, { identifiers });
});

test('silence and a stalled answer end with the timeout', async (t) => {
  const { ca, client, clock } = await setup(t, { timeout: 7000 });
  const account = await register(client);
  for (const [index, fault] of [reply.silence, reply.stall].entries()) {
    ca.next('newOrder', fault);
    const asking = failure(client.newOrder(account, { identifiers }), 'acme-timeout', /within 7 seconds/);
    await ca.asked('newOrder', index + 1);
    await clock.advance(7000);
    await asking;
  }
  assert.equal(clock.sleeping, 0);
});

test('connections that break, before and within an answer', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  ca.next('newOrder', reply.reset, reply.cut);
  for (let i = 0; i < 2; i++) {
    await failure(
      client.newOrder(account, { identifiers }),
      'acme-unreachable',
      /before its answer was complete/,
    );
  }
});

test('an endless answer is not read to its end', async (t) => {
  const { ca, client } = await setup(t);
  const endless: Reply = (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const more = () => {
      while (!response.destroyed && response.write(' '.repeat(65_536)));
    };
    response.on('drain', more);
    more();
  };
  ca.next('directory', endless, reply.raw(`{"x":"${'y'.repeat(300_000)}"}`, 'application/json'));
  for (let i = 0; i < 2; i++) await failure(client.directory(), 'acme-invalid-response', /more than is read/);
});

test('nobody there, no such name, no TLS, no HTTP', async (t) => {
  const clock = new TestClock();
  const at = (directoryUrl: string) => {
    const client = new AcmeClient({ directoryUrl, clock });
    t.after(() => client[Symbol.asyncDispose]());
    return client.directory();
  };
  await failure(at(`http://127.0.0.1:${await closedPort()}/dir`), 'acme-unreachable', /refuses connections/);
  await failure(at('https://ca.invalid/dir'), 'acme-unreachable', /the name ca\.invalid does not resolve/);
  const { ca } = await setup(t);
  await failure(
    at(ca.directoryUrl.replace('http:', 'https:')),
    'acme-tls',
    /does not speak TLS .*port right/,
  );
  const smtp = createServer((socket) => {
    socket.on('error', () => {}).end('220 mail.example ESMTP\r\n');
  });
  await once(smtp.listen(0, '127.0.0.1'), 'listening');
  t.after(() => smtp.close());
  const address = smtp.address();
  assert(address && typeof address === 'object');
  await failure(at(`http://127.0.0.1:${address.port}/`), 'acme-invalid-response', /does not speak HTTP/);
});

test('a server certificate that is expired, for another name or by a stranger', async (t) => {
  const at = async (names: string[], now: number, trusted: boolean) => {
    const { certPem, keyPem } = await createFallbackCertificate({ names, now });
    const ca = await startHostileCa({ tls: { cert: certPem, key: keyPem } });
    const client = new AcmeClient({
      directoryUrl: ca.directoryUrl,
      ca: trusted ? certPem : (await other).certPem,
    });
    t.after(async () => {
      await client[Symbol.asyncDispose]();
      await ca[Symbol.asyncDispose]();
    });
    return client;
  };
  const now = Date.now();
  const other = createFallbackCertificate({ names: ['localhost'], now });
  await (await at(['localhost'], now, true)).directory();
  const untrusted = /certificate that is not trusted/;
  await failure((await at(['localhost'], now, false)).directory(), 'acme-tls', untrusted);
  await failure(
    (await at(['localhost'], now - 30 * DAY, true)).directory(),
    'acme-tls',
    /not trusted .*EXPIRED/,
  );
  await failure((await at(['ca.example'], now, true)).directory(), 'acme-tls', /not trusted .*ALTNAME/);
});

test('only https is spoken beyond loopback', () => {
  for (const directoryUrl of [
    'http://ca.example/dir',
    'ftp://ca.example',
    'acme',
    '',
    'https://user:pw@ca.example/',
  ]) {
    assert.throws(() => new AcmeClient({ directoryUrl }), { code: 'acme-bad-url' }, directoryUrl);
  }
});

test('an order and an authorization that fail keep their reasons', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  const created = await client.newOrder(account, { identifiers });
  const error = {
    type: 'urn:ietf:params:acme:error:dns',
    detail: 'no such name',
    status: 400,
    subproblems: [],
  };
  ca.next('order', reply.json({ ...created, status: 'invalid', error, expires: '2026-11-23T00:00:00Z' }));
  const order = await client.order(account, created.url);
  assert.equal(order.status, 'invalid');
  assert.deepEqual(order.error, error);
  assert.equal(order.expires, Date.parse('2026-11-23T00:00:00Z'));
  const [url = ''] = created.authorizations;
  const authorization = await client.authorization(account, url);
  const challenges = authorization.challenges.map((challenge) => ({
    ...challenge,
    status: 'invalid',
    error,
  }));
  ca.next(
    'authorization',
    reply.json({ ...authorization, status: 'invalid', challenges }, 200, { 'retry-after': '5' }),
  );
  const failed = await client.authorization(account, url);
  assert.equal(failed.retryAfter, 5000);
  assert.deepEqual(failed.challenges[0]?.error, error);
});

test('tokens that are paths, and states nobody knows, are refused', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  const { authorizations, url } = await client.newOrder(account, { identifiers });
  const [authz = ''] = authorizations;
  const good = await client.authorization(account, authz);
  for (const token of ['../../etc/passwd', 'a/b', '', 'a\r\nb', 'ü', 'x'.repeat(513), 7]) {
    ca.next('authorization', reply.json({ ...good, challenges: [{ ...good.challenges[0], token }] }));
    await failure(client.authorization(account, authz), 'acme-invalid-response', /challenges\.0\.token/);
  }
  ca.next('order', reply.json({ ...(await client.order(account, url)), status: 'great' }));
  await failure(client.order(account, url), 'acme-invalid-response', /an order that is none \(status/);
});

test('new accounts and orders must say where they are', async (t) => {
  const { ca, client } = await setup(t);
  ca.next('newAccount', reply.json({ status: 'valid' }, 201));
  await failure(register(client), 'acme-invalid-response', /without saying where/);
  ca.next('newAccount', reply.json({ status: 'valid' }, 201, { location: 'http://ca.example/1' }));
  await failure(register(client), 'acme-invalid-response', /without saying where/);
});

test('a chain is certificates and nothing else', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  const { certPem } = await createFallbackCertificate({ names: ['a.example'], now: Date.now() });
  const order = { url: `${ca.origin}/order/0`, certificate: `${ca.origin}/cert/0` } satisfies Partial<Order>;
  const type = 'application/pem-certificate-chain';
  const garbage = [
    '',
    'hello',
    certPem.slice(0, -40),
    certPem.replace(/\n.{64}\n/, '\n'),
    certPem.repeat(20),
  ];
  for (const body of garbage) {
    ca.next('certificate', reply.raw(body, type));
    await failure(client.certificate(account, order), 'acme-invalid-response', /no certificate chain/);
  }
  ca.next('certificate', reply.raw(certPem + keyToPem(key), type));
  await failure(
    client.certificate(account, order),
    'acme-invalid-response',
    /"PRIVATE KEY" among the certificates/,
  );
  ca.next('certificate', reply.html());
  await failure(client.certificate(account, order), 'acme-invalid-response', /no certificate chain/);
  ca.next('certificate', reply.raw(`# leaf\r\n${certPem.replaceAll('\n', '\r\n')}\r\n\r\n${certPem}`, type));
  assert.equal(await client.certificate(account, order), certPem + certPem);
  const unfinished = { url: order.url, certificate: undefined };
  await failure(client.certificate(account, unfinished), 'acme-invalid-response', /names no certificate/);
});

test('an abort ends a request with the reason given, and only for the one who aborts', async (t) => {
  const { ca, client } = await setup(t);
  let answer: (() => void) | undefined;
  ca.next('directory', (response, seen) => {
    answer = () =>
      reply.json({ newNonce: ca.origin, newAccount: ca.origin, newOrder: ca.origin })(response, seen);
  });
  const controller = new AbortController();
  const leaving = client.directory({ signal: controller.signal });
  const staying = client.directory();
  await ca.asked('directory');
  controller.abort(new Error('enough'));
  await assert.rejects(leaving, { message: 'enough' });
  answer?.();
  assert.equal((await staying).newNonce, ca.origin);
});

test('an abort ends a signed request, one that came before it too', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  ca.next('newOrder', reply.silence);
  const controller = new AbortController();
  const asking = client.newOrder(account, { identifiers, signal: controller.signal });
  await ca.asked('newOrder');
  controller.abort(new Error('enough'));
  await assert.rejects(asking, { message: 'enough' });
  await assert.rejects(client.newOrder(account, { identifiers, signal: controller.signal }), {
    message: 'enough',
  });
  assert.equal(ca.seen.filter(({ endpoint }) => endpoint === 'newOrder').length, 1);
});

test('disposing ends what is under way and refuses what comes', async (t) => {
  const { ca, client } = await setup(t);
  const account = await register(client);
  ca.next('newOrder', reply.silence);
  const asking = failure(client.newOrder(account, { identifiers }), 'acme-closed', /closed/);
  await ca.asked('newOrder');
  await client[Symbol.asyncDispose]();
  await asking;
  await failure(client.newOrder(account, { identifiers }), 'acme-closed', /closed/);
});

test('no error holds a key, a nonce or a signature', async (t) => {
  const { ca, client } = await setup(t);
  const secret = String(key.export({ format: 'jwk' }).d);
  ca.always('newAccount', reply.problem('badNonce', 400));
  const error = await failure(register(client), 'acme-problem', /badNonce/);
  const { stack = '' } = error;
  const shown = JSON.stringify(error) + stack;
  const nonces = ca.seen
    .map(({ protected: header }) => header['nonce'])
    .filter((nonce) => typeof nonce === 'string');
  assert.equal(nonces.length, 10);
  assert(!shown.includes(secret) && !nonces.some((nonce) => shown.includes(nonce)));
});
