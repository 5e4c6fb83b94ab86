/**
 * Certificates from tailscaled. It can't run here (it needs its coordination service), so the other end is what its
 * source says of its local API: paths, the Host, key before certificate, errors as text.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createRawServer, type Server } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TestClock } from '../../../base/clock.testing.ts';
import { keyToPem } from '../../../pki/keys.ts';
import { loadPrivateKey } from '../../../store/keys.ts';
import { MemoryStore } from '../../../store/memory.ts';
import { DAY, makePair, put, settings, until } from '../../domains.testing.ts';
import { type ObtainOptions, PostponedError, RenewalError } from '../../issuer.ts';
import { TailscaleIssuer } from './tailscale.ts';

const name = 'desk.tail1234.ts.net';
const domain = settings(name, { protocol: 'tailscale' });

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const status = (names: readonly string[] | null) => JSON.stringify({ CertDomains: names, Self: {} });

/** A daemon that answers for its certificates as told, and is asked with the paths that it gives. */
async function daemon(t: TestContext, certificate: Answer, names: readonly string[] | null = [name]) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    assert.equal(request.headers.host, 'local-tailscaled.sock');
    asked.push(request.url ?? '');
    if (request.url?.startsWith('/localapi/v0/status')) response.end(status(names));
    else certificate(request, response);
  });
  return { ...(await fixture(t, server)), asked };
}

async function fixture(t: TestContext, server: Server) {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-tailscale-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const socket = join(folder, 'tailscaled.sock');
  await once(server.listen(socket), 'listening');
  t.after(() => void server.close());
  const clock = new TestClock();
  const store = new MemoryStore();
  const issuer = new TailscaleIssuer({ store, clock });
  const options: ObtainOptions = { authority: `file://localhost${socket}`, progress: () => {} };
  return { clock, store, issuer, options, obtain: () => issuer.obtain(domain, options) };
}

const pairFor = async (names: readonly string[], notAfter?: number) => {
  const { pem, key } = await makePair({ names, ...(notAfter !== undefined && { notAfter }) });
  return { pem, text: keyToPem(key) + pem };
};

const problemOf = async (obtaining: Promise<void>) => {
  const error: unknown = await obtaining.then(
    () => assert.fail('it was obtained'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof RenewalError, String(error));
  return `${error.problem.detail} ${error.problem.remedy ?? ''}`;
};

test('key and certificate of the daemon are staged, the key encrypted', async (t) => {
  const { pem, text } = await pairFor([name]);
  const { obtain, store, asked } = await daemon(t, (_, response) => response.end(text));
  await obtain();
  assert.equal((await store.load('staging', name, 'pubcert.p-256.pem'))?.toString(), pem);
  assert.match((await store.load('staging', name, 'privkey.p-256.pem'))?.toString() ?? '', /BEGIN ENCRYPTED/);
  assert.ok(await loadPrivateKey(store, 'staging', name, 'privkey.p-256.pem'));
  assert.deepEqual(asked, ['/localapi/v0/status?peers=false', `/localapi/v0/cert/${name}?type=pair`]);
});

test('a renewal asks for what is good for longer than MDRenewWindow', async (t) => {
  const { text } = await pairFor([name]);
  const { obtain, store, asked, clock } = await daemon(t, (_, response) => response.end(text));
  await put(store, 'domains', name, { names: [name], notAfter: clock.now() + 90 * DAY });
  await obtain();
  assert.match(asked.at(-1) ?? '', /&min_validity=2566080s$/);
});

test('a certificate that the daemon has not renewed yet is asked for again later', async (t) => {
  const { clock } = await daemon(t, () => {});
  const made = await makePair({ names: [name], notAfter: clock.now() + 10 * DAY });
  const { obtain, store } = await daemon(t, (_, response) => response.end(keyToPem(made.key) + made.pem));
  await store.save('domains', name, 'pubcert.p-256.pem', made.pem);
  await store.save('domains', name, 'privkey.p-256.pem', keyToPem(made.key));
  await assert.rejects(obtain(), (error) => {
    assert.ok(error instanceof PostponedError);
    assert.equal(error.until, clock.now() + DAY / 2);
    return true;
  });
  assert.deepEqual(await store.aspects('staging', name), []);
});

test('names that are not this machine’s are told before anything is ordered', async (t) => {
  const other = await daemon(t, () => assert.fail('asked'), ['other.tail1234.ts.net']);
  assert.match(await problemOf(other.obtain()), /only for other\.tail1234\.ts\.net, not for desk\.tail1234/);
  const none = await daemon(t, () => assert.fail('asked'), null);
  assert.match(await problemOf(none.obtain()), /for no name at all.*enable HTTPS certificates/);
});

test('a domain of several names is no domain for tailscale', async (t) => {
  const { issuer, options } = await daemon(t, () => assert.fail('asked'));
  const several = settings(name, { domains: [name, 'www.example.org'] });
  assert.match(await problemOf(issuer.obtain(several, options)), /one name each.*MDMembers manual/);
});

test('who may not ask is told whom to ask', async (t) => {
  const { obtain } = await daemon(t, (_, response) => response.writeHead(403).end('cert access denied\n'));
  assert.match(await problemOf(obtain()), /answers 403: cert access denied .*TS_PERMIT_CERT_UID/);
});

test('the daemon’s own words are shown, cut off where they don’t end', async (t) => {
  const { obtain } = await daemon(t, (_, response) => response.writeHead(500).end('acme: '.repeat(10_000)));
  const said = await problemOf(obtain());
  assert.match(said, /answers 500: acme: acme/);
  assert.ok(said.length < 700);
});

test('no daemon, and one that runs no longer, have a remedy', async (t) => {
  const { issuer, options } = await daemon(t, () => {});
  const gone = { ...options, authority: 'file://localhost/nowhere/tailscaled.sock' };
  assert.match(
    await problemOf(issuer.obtain(domain, gone)),
    /not at \/nowhere\/tailscaled\.sock \(ENOENT\).*systemctl start/,
  );
});

test('certificates for other names or keys, expired ones and garbage are refused', async (t) => {
  const foreign = await pairFor(['evil.example']);
  const expired = await pairFor([name], Date.parse('2026-11-22T05:00:00Z'));
  const [one, two] = await Promise.all([pairFor([name]), pairFor([name])]);
  const swapped = one.text.slice(0, one.text.indexOf('-----BEGIN CERT')) + two.pem;
  const answers = {
    foreign: foreign.text,
    expired: expired.text,
    swapped,
    bare: one.pem,
    garbage: '{}',
    half: one.text.slice(0, -60),
  };
  const said: Record<string, string> = {};
  for (const [kind, text] of Object.entries(answers)) {
    const { obtain, store } = await daemon(t, (_, response) => response.end(text));
    said[kind] = await problemOf(obtain());
    assert.deepEqual(await store.aspects('staging', name), [], kind);
    assert.doesNotMatch(said[kind], /PRIVATE/);
  }
  assert.match(said['foreign'] ?? '', /does not cover desk/);
  assert.match(said['expired'] ?? '', /expired already/);
  assert.match(said['swapped'] ?? '', /another key/);
  for (const kind of ['bare', 'garbage', 'half'])
    assert.match(said[kind] ?? '', /no key with a certificate/, kind);
});

test('more than is read, something else than HTTP, and silence end', async (t) => {
  const endless = await daemon(t, (_, response) => response.end('x'.repeat(300_000)));
  assert.match(await problemOf(endless.obtain()), /more than is read/);
  const rude = await fixture(
    t,
    createRawServer((socket) => socket.on('error', () => {}).end('220 mail.example ESMTP\r\n')),
  );
  assert.match(await problemOf(rude.obtain()), /does not speak HTTP/);
  const silent = await fixture(
    t,
    createRawServer((socket) => t.after(() => socket.destroy())),
  );
  const obtaining = problemOf(silent.obtain());
  await until(() => silent.clock.sleeping > 0);
  await silent.clock.advance(5 * 60_000);
  assert.match(await obtaining, /did not answer within 300 seconds/);
});

test('an abort ends the question with its reason', async (t) => {
  const stop = new AbortController();
  const { issuer, options } = await daemon(t, () => stop.abort(new Error('the engine ends')));
  await assert.rejects(issuer.obtain(domain, { ...options, signal: stop.signal }), /the engine ends/);
});
