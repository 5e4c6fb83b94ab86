import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { FlattenedSign } from 'jose';
import { TestClock } from '../../base/clock.testing.ts';
import { createCsr } from '../../pki/csr.ts';
import { openssl } from '../../pki/openssl.testing.ts';
import { certificateKey, publicJwk, startCa, startWeb, TestClient } from '../ca.testing.ts';
import type { Answer } from '../ca.testing.ts';
import { externalAccount } from '../external.ts';

const ERROR = 'urn:ietf:params:acme:error:';

async function registered(t: TestContext, changes: Parameters<typeof startCa>[1] = {}) {
  const web = await startWeb(t);
  const client = new TestClient(await startCa(t, { httpPort: web.port, ...changes }));
  await client.register();
  return { client, prepare: (token: string, answer: string) => void web.answers.set(token, answer) };
}

function refused(answer: Answer, status: number, type: string, detail?: RegExp): void {
  assert.deepEqual([answer.status, answer.json?.type], [status, ERROR + type], answer.text);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.equal(answer.json.status, status);
  if (detail) assert.match(answer.json.detail, detail);
}

test('a validation that is quick is in the answer to the challenge, so that nobody has to ask again', async (t) => {
  const { client, prepare } = await registered(t, { clock: new TestClock(Date.now()) });
  const order = await client.order('a.localhost');
  const { challenges } = (await client.post(order.json.authorizations[0])).json;
  const { url, token } = challenges.find((one: { type: string }) => one.type === 'http-01');
  prepare(token, await client.keyAuthorization(token));
  const answer = await client.post(url, {});
  assert.equal(answer.json.status, 'valid');
  assert.equal(answer.headers.get('retry-after'), null);
  assert.equal((await client.post(order.url)).json.status, 'ready');
});

test('an order goes from pending by ready to valid, and its certificate can be fetched and revoked', async (t) => {
  const { client, prepare } = await registered(t);
  const names = ['a.localhost', 'b.localhost'];
  const order = await client.order('A.localhost', 'b.localhost', 'a.localhost');
  assert.equal(order.status, 201);
  assert.deepEqual(
    order.json.identifiers,
    names.map((value) => ({ type: 'dns', value })),
  );
  refused(await client.finalize(order, names), 403, 'orderNotReady', /pending/);
  for (const authorization of order.json.authorizations) {
    assert.equal((await client.prove(authorization, 'http-01', prepare)).json.status, 'valid');
  }
  assert.equal((await client.post(order.url)).json.status, 'ready');
  refused(await client.finalize(order, ['a.localhost']), 400, 'badCSR', /is for dns:a\.localhost, the order/);
  refused(await client.finalize(order, [...names, 'c.localhost']), 400, 'badCSR');
  refused(await client.finalize(order, names, client.key), 400, 'badCSR', /key of the account/);
  const key = certificateKey();
  const valid = await client.finalize(order, names, key);
  assert.equal(valid.json.status, 'valid');
  refused(await client.finalize(order, names), 403, 'orderNotReady', /is valid, not ready/);

  const chain = await client.post(valid.json.certificate);
  assert.equal(chain.headers.get('content-type'), 'application/pem-certificate-chain');
  assert.equal(chain.text.match(/BEGIN CERTIFICATE/g)?.length, 2);
  const leaf = new X509Certificate(chain.text);
  assert.ok(leaf.checkPrivateKey(key));
  assert.equal(leaf.subjectAltName, 'DNS:a.localhost, DNS:b.localhost');
  const otherwise = await client.post(valid.json.certificate, undefined, {
    headers: { accept: 'text/html' },
  });
  refused(otherwise, 406, 'malformed');

  const certificate = leaf.raw.toString('base64url');
  const revoke = (reason: number) => client.post('/revoke-certificate', { certificate, reason });
  refused(await revoke(7), 400, 'badRevocationReason');
  assert.equal((await revoke(1)).status, 200);
  refused(await revoke(1), 400, 'alreadyRevoked');
});

test('two finalizations at a time make one certificate', async (t) => {
  const { client, prepare } = await registered(t);
  const order = await client.order('a.localhost');
  await client.prove(order.json.authorizations[0], 'http-01', prepare);
  const both = await Promise.all([1, 2, 3].map(() => client.finalize(order, ['a.localhost'])));
  const issued = new Set(both.map(({ json }) => json.certificate).filter(Boolean));
  assert.equal(issued.size, 1, JSON.stringify(both.map(({ json }) => json)));
});

test('a failing challenge makes authorization and order invalid, with the reason by identifier', async (t) => {
  const { client, prepare } = await registered(t);
  const order = await client.order('a.localhost', 'b.localhost', 'c.localhost');
  const [a, b, c] = order.json.authorizations;
  await client.prove(a, 'http-01', prepare);
  for (const url of [b, c]) {
    const failed = await client.prove(url, 'http-01', () => {});
    assert.equal(failed.json.status, 'invalid');
    const { error } = failed.json.challenges.find((one: { type: string }) => one.type === 'http-01');
    assert.equal(error.type, `${ERROR}unauthorized`);
    assert.match(error.detail, /127\.0\.0\.1:\d+: http:.* answers with status 404/);
  }
  const { json } = await client.post(order.url);
  assert.equal(json.status, 'invalid');
  assert.deepEqual(
    json.error.subproblems.map((one: { identifier: { value: string } }) => one.identifier.value),
    ['b.localhost', 'c.localhost'],
  );
  refused(await client.finalize(order, ['a.localhost', 'b.localhost', 'c.localhost']), 403, 'orderNotReady');
});

test('wildcards are offered dns-01 alone, addresses never', async (t) => {
  const { client } = await registered(t);
  const order = await client.order('*.example.org', '127.0.0.1', 'example.org');
  const offered = [];
  for (const url of order.json.authorizations) {
    const { json } = await client.post(url);
    offered.push([
      json.identifier.value,
      json.wildcard,
      json.challenges.map((one: { type: string }) => one.type),
    ]);
  }
  assert.deepEqual(offered, [
    ['example.org', true, ['dns-01']],
    ['127.0.0.1', undefined, ['http-01', 'tls-alpn-01']],
    ['example.org', undefined, ['http-01', 'tls-alpn-01', 'dns-01']],
  ]);
});

test('names that are none are refused by identifier', async (t) => {
  const { client } = await registered(t);
  const answer = await client.order('a..b', 'good.localhost', 'a.*.b');
  refused(answer, 400, 'rejectedIdentifier', /2 names/);
  assert.deepEqual(answer.json.subproblems[1].identifier, { type: 'dns', value: 'a.*.b' });
  refused(await client.post('/new-order', { identifiers: [] }), 400, 'malformed');
  const many = Array.from({ length: 101 }, (_, i) => `n${i}.localhost`);
  refused(await client.order(...many), 400, 'malformed', /identifiers/);
});

test('a given up authorization ends its order', async (t) => {
  const { client } = await registered(t);
  const order = await client.order('a.localhost');
  const [url] = order.json.authorizations;
  assert.equal((await client.post(url, { status: 'deactivated' })).json.status, 'deactivated');
  assert.equal((await client.post(order.url)).json.status, 'invalid');
});

test('an account is found by its key, changed, given another key, and deactivated', async (t) => {
  const { client } = await registered(t);
  const url = client.kid ?? '';
  const again = await client.register({ contact: ['mailto:new@example.org'] });
  assert.deepEqual([again.status, client.kid, again.json.contact], [200, url, []]);
  client.kid = undefined;
  const found = await client.post('/new-account', { onlyReturnExisting: true });
  assert.equal(found.headers.get('location'), url);
  client.kid = url;
  const changed = await client.post(url, { contact: ['mailto:me@example.org'] });
  assert.deepEqual(changed.json.contact, ['mailto:me@example.org']);
  refused(await client.post(url, { contact: ['tel:1'] }), 400, 'unsupportedContact');
  refused(await client.post(url, { contact: ['mailto:a@b,c@d'] }), 400, 'invalidContact');

  const next = certificateKey();
  const target = `${client.ca.base}/key-change`;
  const oldKey = client.jwk;
  const inner = await new FlattenedSign(Buffer.from(JSON.stringify({ account: url, oldKey })))
    .setProtectedHeader({ alg: 'ES256', jwk: publicJwk(next), url: target })
    .sign(next);
  assert.equal((await client.post('/key-change', inner)).status, 200);
  refused(await client.post(url), 400, 'malformed', /signature/);
  client.key = next;
  assert.equal((await client.post(url)).status, 200);

  const order = await client.order('a.localhost');
  const list = await client.post(`${url}/orders`);
  assert.deepEqual(list.json.orders, [order.url]);
  assert.equal((await client.post(url, { status: 'deactivated' })).json.status, 'deactivated');
  refused(await client.post(order.url), 401, 'unauthorized', /deactivated/);
  refused(await client.register(), 401, 'unauthorized', /deactivated/);
});

test('what belongs to one account is not shown to another', async (t) => {
  const { client, prepare } = await registered(t);
  const order = await client.order('a.localhost');
  await client.prove(order.json.authorizations[0], 'http-01', prepare);
  const { json } = await client.finalize(order, ['a.localhost']);
  const other = new TestClient(client.ca);
  await other.register();
  const urls = [
    order.url,
    order.json.authorizations[0],
    json.certificate,
    client.kid ?? '',
    `${client.kid}/orders`,
  ];
  for (const url of urls) refused(await other.post(url), 403, 'unauthorized');
  const pem = (await client.post(json.certificate)).text;
  const certificate = new X509Certificate(pem).raw.toString('base64url');
  refused(await other.post('/revoke-certificate', { certificate }), 403, 'unauthorized');
});

test("a certificate's own key may revoke it", async (t) => {
  const { client, prepare } = await registered(t);
  const order = await client.order('a.localhost');
  await client.prove(order.json.authorizations[0], 'http-01', prepare);
  const key = certificateKey();
  const { json } = await client.finalize(order, ['a.localhost'], key);
  const certificate = new X509Certificate((await client.post(json.certificate)).text).raw.toString(
    'base64url',
  );
  const holder = new TestClient(client.ca, key);
  assert.equal((await holder.post('/revoke-certificate', { certificate })).status, 200);
});

test('an account needs agreement to the terms, which the directory names', async (t) => {
  const client = new TestClient(await startCa(t));
  const { json } = await client.request(client.ca.directoryUrl);
  assert.equal((await client.request(json.meta.termsOfService)).status, 200);
  const answer = await client.register({ termsOfServiceAgreed: false });
  refused(answer, 403, 'userActionRequired', /agree to the terms of service/);
  assert.match(answer.headers.get('link') ?? '', /rel="terms-of-service"/);
  refused(await client.post('/new-account', { onlyReturnExisting: true }), 400, 'accountDoesNotExist');
});

test('external accounts: demanded, checked, and bound to the key', async (t) => {
  const ca = await startCa(t, { externalAccountRequired: true });
  const { kid, hmac } = await externalAccount(ca.dir);
  const bind = async (client: TestClient, { id = kid, secret = hmac, alg = 'HS256', jwk = client.jwk }) =>
    new FlattenedSign(Buffer.from(JSON.stringify(jwk)))
      .setProtectedHeader({ alg, kid: id, url: `${ca.base}/new-account` })
      .sign(Buffer.from(secret, 'base64url'));
  const client = new TestClient(ca);
  const register = async (changes: object) =>
    client.register({ externalAccountBinding: await bind(client, changes) });
  assert.equal((await client.request(ca.directoryUrl)).json.meta.externalAccountRequired, true);
  refused(await client.register(), 403, 'externalAccountRequired');
  refused(await register({ id: 'unknown' }), 403, 'unauthorized');
  refused(await register({ secret: 'A'.repeat(43) }), 400, 'malformed', /signature/);
  refused(await register({ jwk: publicJwk(certificateKey()) }), 400, 'malformed', /another key/);
  assert.equal((await register({})).status, 201);
});

test('what is not signed as it should be is refused', async (t) => {
  const { client } = await registered(t);
  const url = `${client.ca.base}/new-order`;
  const payload = { identifiers: [{ type: 'dns', value: 'a.localhost' }] };
  const post = (header: Record<string, unknown>) => client.post('/new-order', payload, { header });
  const rebuilt = async (header: object) => {
    const body = JSON.parse(await client.sign(url, payload));
    const kept = JSON.parse(Buffer.from(body.protected, 'base64url').toString());
    body.protected = Buffer.from(JSON.stringify({ ...kept, ...header })).toString('base64url');
    return client.send(url, JSON.stringify(body));
  };
  for (const alg of ['none', 'HS256', 'RS1', 'ES256K']) {
    const answer = await rebuilt({ alg });
    refused(answer, 400, 'badSignatureAlgorithm');
    assert.ok(answer.json.algorithms.includes('ES256'));
  }
  refused(await rebuilt({ alg: 'RS256' }), 400, 'malformed', /signature/);
  refused(await rebuilt({ extra: 1 }), 400, 'malformed', /signature/);
  refused(await post({ url: `${client.ca.base}/key-change` }), 401, 'unauthorized', /signed for/);
  refused(await post({ url: url.replace('127.0.0.1', 'localhost') }), 401, 'unauthorized');
  refused(await post({ nonce: 'AAAA' }), 400, 'badNonce');
  refused(await post({ nonce: undefined }), 400, 'badNonce');
  refused(await post({ jwk: client.jwk }), 400, 'malformed', /either jwk or kid/);
  refused(await post({ kid: undefined, jwk: client.jwk }), 400, 'malformed', /with kid/);
  refused(await post({ kid: `${client.ca.base}/account/none` }), 400, 'accountDoesNotExist');
  refused(await post({ kid: 'https://elsewhere.example/account/1' }), 400, 'accountDoesNotExist');
  refused(await rebuilt({ crit: ['b64'], b64: false }), 400, 'malformed', /critical/);
  refused(await client.post('/new-order', payload, { key: certificateKey() }), 400, 'malformed', /signature/);
  const body = await client.sign(url, payload);
  assert.equal((await client.send(url, body)).status, 201);
  const replayed = await client.send(url, body);
  refused(replayed, 400, 'badNonce');
  assert.ok(replayed.headers.get('replay-nonce'));
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  client.kid = undefined;
  const header = { kid: undefined, jwk: publicJwk(weak) };
  refused(await client.post('/new-account', {}, { header }), 400, 'badPublicKey', /1024/);
  const whole = { kid: undefined, jwk: certificateKey().export({ format: 'jwk' }) };
  refused(await client.post('/new-account', {}, { header: whole }), 400, 'malformed', /private key/);
});

for (const [what, body] of [
  ['nothing', ''],
  ['no JSON', '{'],
  ['null', 'null'],
  ['an array', '[]'],
  ['several signatures', '{"payload":"","signatures":[{"protected":"e30","signature":"AA"}]}'],
  ['an unprotected header', '{"protected":"e30","payload":"","signature":"AA","header":{"alg":"none"}}'],
  ['padding', '{"protected":"e30=","payload":"","signature":"AA"}'],
  ['a header of nothing', '{"protected":"e30","payload":"","signature":"AA"}'],
  [
    'a header of null',
    `{"protected":"${Buffer.from('null').toString('base64url')}","payload":"","signature":"AA"}`,
  ],
  ['depth', '['.repeat(30_000)],
] as const) {
  test(`a request of ${what} is malformed, and a nonce comes with the problem`, async (t) => {
    const client = new TestClient(await startCa(t));
    const answer = await client.send(`${client.ca.base}/new-account`, body);
    refused(answer, 400, 'malformed');
    assert.ok(answer.headers.get('replay-nonce'));
  });
}

test('methods, paths and types other than those there are', async (t) => {
  const { client } = await registered(t);
  const { base } = client.ca;
  const order = await client.order('a.localhost');
  refused(await client.request(order.url), 405, 'malformed');
  refused(await client.request(`${base}/`), 404, 'malformed');
  refused(await client.post('/order/..%2f..%2froot-key'), 404, 'malformed');
  refused(await client.post('/certificate/..%2f..%2f..%2froot-key.pem'), 404, 'malformed');
  refused(await client.post(`${order.json.authorizations[0]}1`), 404, 'malformed');
  refused(await client.post(`/challenge/${order.url.split('/').at(-1)}/0/http-02`), 404, 'malformed');
  const headers = { 'content-type': 'application/json' };
  refused(await client.send(`${base}/new-order`, '{}', headers), 415, 'malformed');
  refused(await client.post(order.url, {}), 400, 'malformed', /POST-as-GET/);
  assert.match((await client.request(client.ca.directoryUrl)).headers.get('link') ?? '', /rel="index"/);
});

test('an order that is not finished in a day is forgotten, a finished one after an hour', async (t) => {
  const clock = new TestClock(Date.now());
  const { client, prepare } = await registered(t, { clock });
  const open = await client.order('a.localhost');
  const done = await client.order('b.localhost');
  await client.prove(done.json.authorizations[0], 'http-01', prepare);
  const { json } = await client.finalize(done, ['b.localhost']);
  await clock.advance(3_600_001);
  refused(await client.post(done.url), 404, 'malformed', /no such order/);
  assert.equal((await client.post(json.certificate)).status, 200);
  assert.equal((await client.post(open.url)).json.status, 'pending');
  await clock.advance(23 * 3_600_000);
  refused(await client.post(json.certificate), 404, 'malformed', /no such certificate/);
  refused(await client.post(open.url), 404, 'malformed', /no such order/);
});

test('a CSR that is garbage is badCSR, and the order stays ready', async (t) => {
  const { client, prepare } = await registered(t);
  const order = await client.order('a.localhost');
  await client.prove(order.json.authorizations[0], 'http-01', prepare);
  refused(await client.post(order.json.finalize, { csr: 'AAAA' }), 400, 'badCSR', /PKCS#10/);
  refused(await client.post(order.json.finalize, { csr: '!' }), 400, 'malformed');
  assert.equal((await client.post(order.url)).json.status, 'ready');
});

test('must-staple is granted', async (t) => {
  const { client, prepare } = await registered(t);
  const order = await client.order('a.localhost');
  await client.prove(order.json.authorizations[0], 'http-01', prepare);
  const csr = await createCsr({ key: certificateKey(), names: ['a.localhost'], mustStaple: true });
  const { json } = await client.post(order.json.finalize, { csr: csr.toString('base64url') });
  const text = openssl(['x509', '-noout', '-text'], (await client.post(json.certificate)).text);
  assert.match(text, /TLS Feature: \n\s+status_request\n/);
});
