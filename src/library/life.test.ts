import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { issueFor } from '../acme/issue.testing.ts';
import { TestClock } from '../base/clock.testing.ts';
import { eventually } from '../domains/domains.testing.ts';
import type { Leases } from '../store/leases.ts';
import { MemoryStore } from '../store/memory.ts';
import { Latchkey } from './latchkey.ts';
import { handshake, issuer, openLatchkey, serialAt, settled } from './library.testing.ts';
import type { CertificateRequest } from './own-issuer.ts';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'latchkey-library-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const HOUR = 3_600_000;
/** ms in a turn of the clock: who holds a lease must not seem dead because the disk is slow. */
const GENTLY = 100;

const names = (latchkey: Latchkey) => latchkey.status().map(({ name }) => name);

test('each step of a renewal is an event, of the instance whose it is alone', async () => {
  await using one = await openLatchkey();
  await using other = await openLatchkey();
  const heard: string[] = [];
  for (const [latchkey, who] of [
    [one, ''],
    [other, 'foreign'],
  ] as const) {
    latchkey.on('renewal:started', ({ domain }) => heard.push(`started ${domain}${who}`));
    latchkey.on('renewal:obtained', ({ domain }) => heard.push(`obtained ${domain}${who}`));
    latchkey.on('certificate:installed', ({ domain }) => heard.push(`installed ${domain}${who}`));
  }
  one.start();
  await settled(one);
  const first = heard.splice(0);
  assert.deepEqual(first, ['started example.org', 'obtained example.org', 'installed example.org']);
  await one.renew('example.org');
  assert.deepEqual(heard, first);
});

test('a certificate is renewed when its time has come', async () => {
  const clock = new TestClock();
  const shortLived = ({ csr }: CertificateRequest) =>
    issueFor(csr, { notBefore: clock.now(), notAfter: clock.now() + HOUR });
  await using latchkey = await openLatchkey({ clock, issuer: shortLived });
  latchkey.start();
  const [before] = await served(latchkey, clock);
  await clock.advance(0.7 * HOUR);
  await turning(clock, () => latchkey.certificates('example.org')[0]?.serial !== before?.serial);
});

test('what the store has is served at the next start, and nobody is asked', async (t) => {
  const storeDir = await folder(t);
  const first = await openLatchkey({ storeDir });
  first.start();
  await first.ready();
  const [before] = first.certificates('example.org');
  await first.close();
  const asked = () => assert.fail('the issuer is asked');
  await using latchkey = await openLatchkey({ storeDir, issuer: asked });
  const { port } = await latchkey.listen(() => {});
  assert.equal(await serialAt(port, 'example.org'), before?.serial);
});

test('a logger that fails keeps nobody from a certificate', async () => {
  const fail = () => {
    throw new Error('the stream is closed');
  };
  await using latchkey = await openLatchkey({
    logger: { error: fail, warn: fail, info: fail, debug: fail },
  });
  latchkey.start();
  await latchkey.ready();
});

test('what is damaged in the store keeps nobody from opening, and is obtained anew', async () => {
  const store = new MemoryStore();
  const names = [['example.org'], ['example.net']];
  const first = await openLatchkey({ store, domains: names });
  first.start();
  await first.ready();
  const [before] = first.certificates('example.net');
  await first.close();
  const keys = (await store.aspects('domains', 'example.org')).filter((file) => file.startsWith('privkey'));
  for (const file of keys) await store.save('domains', 'example.org', file, 'garbage');
  await using latchkey = await openLatchkey({ store, domains: names });
  assert.deepEqual(latchkey.certificates('example.org'), []);
  assert.equal(latchkey.certificates('example.net')[0]?.serial, before?.serial);
  latchkey.start();
  await latchkey.ready();
});

test('of several on one folder one renews, and all serve what it got', async (t) => {
  const storeDir = await folder(t);
  const clock = new TestClock();
  const requests: CertificateRequest[] = [];
  const counting = (request: CertificateRequest) => {
    requests.push(request);
    return issuer(clock)(request);
  };
  const options = { storeDir, clock, issuer: counting };
  await using one = await openLatchkey(options);
  await using other = await openLatchkey(options);
  const heard: string[] = [];
  other.on('certificate:installed', ({ serials }) => heard.push(...serials));
  for (const latchkey of [one, other]) latchkey.start();
  const serialOf = (latchkey: Latchkey) => latchkey.certificates('example.org')[0]?.serial;
  const areIdle = () => [one, other].every((latchkey) => latchkey.status().every(({ running }) => !running));
  await turning(
    clock,
    () => serialOf(one) !== undefined && serialOf(one) === serialOf(other) && areIdle(),
    GENTLY,
  );
  assert.equal(requests.length, 1);
  // It may have to wait for the other, who looks at the store.
  const renewal = one.renew('example.org');
  const first = serialOf(one);
  await turning(clock, () => serialOf(one) !== first && heard.at(-1) === serialOf(one), GENTLY);
  await renewal;
  assert.equal(requests.length, 2);
  assert.equal(serialOf(other), serialOf(one));
});

test('what another process has obtained between opening and starting is served, too', async (t) => {
  const storeDir = await folder(t);
  await using late = await openLatchkey({ storeDir, issuer: () => assert.fail('ordered twice') });
  await using early = await openLatchkey({ storeDir });
  early.start();
  await settled(early);
  late.start();
  await late.ready();
  assert.deepEqual(late.certificates('example.org'), early.certificates('example.org'));
});

test('a store of the program itself is shared by leases of its own', async () => {
  const shared = { store: new MemoryStore(), leases: memoryLeases() };
  const requests: string[] = [];
  const counting = (request: CertificateRequest) => {
    requests.push(...request.names);
    return issuer()(request);
  };
  await using one = await openLatchkey({ ...shared, issuer: counting });
  await using other = await openLatchkey({ ...shared, issuer: counting });
  one.start();
  await settled(one);
  other.start();
  await settled(other);
  assert.deepEqual(requests, ['example.org', 'www.example.org']);
  assert.deepEqual(other.certificates('example.org'), one.certificates('example.org'));
});

test('a request that fails is an event and stands in the status, and a renewal by hand rejects with it', async () => {
  await using latchkey = await openLatchkey({
    issuer: async () => {
      throw new Error('the HSM is away');
    },
  });
  const failed = Promise.withResolvers<string>();
  latchkey.once('renewal:failed', ({ problem }) => failed.resolve(problem.detail));
  latchkey.start();
  assert.equal(await failed.promise, 'The issuer gives none: the HSM is away');
  await assert.rejects(latchkey.renew('example.org'), { code: 'renewal-failed', message: /the HSM is away/ });
  const [report] = latchkey.status();
  assert.match(report?.problem?.detail ?? '', /the HSM is away/);
  assert.ok((report?.errors ?? 0) >= 1);
});

test('an issuer that never answers is given up, told so, and asked again later', async () => {
  const clock = new TestClock();
  const signals: AbortSignal[] = [];
  await using latchkey = await openLatchkey({
    clock,
    issuer: ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
  });
  latchkey.start();
  await turning(clock, () => signals.length === 1);
  assert.equal(signals[0]?.aborted, false);
  await turning(clock, () => (latchkey.status()[0]?.errors ?? 0) > 0, 60_000);
  assert.match(latchkey.status()[0]?.problem?.detail ?? '', /did not end within 600 s/);
  assert.equal(signals[0]?.aborted, true);
  await turning(clock, () => signals.length === 2, 60_000);
});

test('an issuer that gives something else than PEM has failed, and what is wrong is said', async () => {
  for (const answer of [undefined, { pem: 'x' }, 'no PEM']) {
    await using latchkey = await openLatchkey({ issuer: (async () => answer) as never });
    await assert.rejects(latchkey.renew('example.org'), {
      code: 'renewal-failed',
      message: /PEM|no certificate in this text/,
    });
  }
});

test('a certificate for another key is refused', async () => {
  let first: CertificateRequest | undefined;
  await using latchkey = await openLatchkey({
    domains: [['one.example'], ['two.example']],
    issuer: (request) => issuer()((first ??= request)),
  });
  latchkey.start();
  const outcomes = await Promise.allSettled(
    ['one.example', 'two.example'].map((name) => latchkey.renew(name)),
  );
  const reasons = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [String(outcome.reason)] : [],
  );
  assert.equal(reasons.length, 1);
  assert.match(reasons[0] ?? '', /a certificate for another key/);
});

test('certificates come and go while it runs', async () => {
  await using latchkey = await openLatchkey({ domains: [] });
  const { port } = await latchkey.listen(() => {});
  await latchkey.ready();
  await latchkey.add('New.example', 'www.new.example');
  await settled(latchkey);
  assert.ok(await serialAt(port, 'www.new.example'));
  await assert.rejects(latchkey.add('www.new.example'), { code: 'name-taken' });
  latchkey.remove('new.example');
  assert.deepEqual(names(latchkey), []);
  await assert.rejects(handshake(port, { servername: 'www.new.example' }), /unrecognized name/i);
  assert.throws(() => latchkey.remove('new.example'), { code: 'domain-unknown' });
});

test('a client gets the certificate that it can use, of several', async () => {
  await using latchkey = await openLatchkey({ keys: ['P-256', 'RSA-2048'] });
  const { port } = await latchkey.listen(() => {});
  await latchkey.ready();
  const typeFor = async (sigalgs: string) => {
    const socket = await handshake(port, { sigalgs });
    const type = socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType;
    socket.destroy();
    return type;
  };
  assert.equal(await typeFor('ECDSA+SHA256'), 'ec');
  assert.equal(await typeFor('RSA-PSS+SHA256'), 'rsa');
});

test('who is aborted while it waits goes on with that reason, and a closed one says so', async () => {
  const never = () => new Promise<string>(() => {});
  const latchkey = await openLatchkey({ issuer: never });
  latchkey.start();
  const reason = new Error('no more patience');
  await assert.rejects(latchkey.ready({ signal: AbortSignal.abort(reason) }), reason);
  const closed = { code: 'closed' };
  const waiting = [latchkey.ready(), latchkey.renew('example.org')].map((one) => assert.rejects(one, closed));
  await latchkey.close();
  await Promise.all(waiting);
  assert.throws(() => latchkey.start(), closed);
  assert.throws(() => latchkey.remove('example.org'), closed);
  await assert.rejects(latchkey.renew('example.org'), closed);
  await assert.rejects(latchkey.add('new.example'), closed);
  await assert.rejects(latchkey.ready(), closed);
});

test('a signal closes it, and one that is aborted already opens nothing', async () => {
  const controller = new AbortController();
  const latchkey = await openLatchkey({ signal: controller.signal });
  const { port } = await latchkey.listen(() => {});
  controller.abort();
  await latchkey.close();
  await assert.rejects(handshake(port));
  await assert.rejects(openLatchkey({ signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('what begins to listen as it is closed is closed, too, and other servers are left alone', async () => {
  const bound = () => process.getActiveResourcesInfo().filter((one) => one === 'TCPServerWrap').length;
  const before = bound();
  const latchkey = await openLatchkey();
  const server = latchkey.secure(createHttps());
  const listening = latchkey.listen(() => {});
  await Promise.all([latchkey.close(), assert.rejects(listening, { code: 'closed' })]);
  await eventually(() => bound() === before);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  await once(server.close(), 'close');
});

test('options that cannot be right are named', async () => {
  const store = new MemoryStore();
  const domains = ['example.org'];
  const cases: readonly (readonly [Parameters<typeof Latchkey.open>[0], RegExp])[] = [
    [{ domains, store }, /agreement: 'accepted' is missing/],
    [{ domains, agreement: 'accepted' }, /storeDir says where/],
    [{ domains, agreement: 'accepted', store, storeDir: '/x' }, /give one of the two/],
    [{ domains: ['-/-'], agreement: 'accepted', store }, /can't stand in a certificate/],
    [
      { domains: [['a.example', 'b.example'], ['b.example']], agreement: 'accepted', store },
      /b\.example is in two/,
    ],
    [{ domains: 'example.org' as unknown as string[], agreement: 'accepted', store }, /a list of names/],
    [{ domains: [[]], agreement: 'accepted', store }, /needs a name/],
    [{ domains, agreement: 'accepted', store, authority: 'NoSuchCa' }, /is no name of a CA and no URL/],
    [{ domains, agreement: 'accepted', store, email: 'nobody' }, /is no address/],
    [
      { domains, agreement: 'accepted', store, keys: ['P-257' as 'P-256'] },
      /^keys\.0: 'P-256' or .* is needed, not "P-257"$/,
    ],
    [{ domains, agreement: 'accepted', store, keys: [] }, /keys: the list is empty/],
    [{ domains, agreement: 'accepted', store, authority: [] }, /authority: the list is empty/],
    [
      { store, agreement: 'accepted', onDemand: {} as { allow: () => true } },
      /onDemand\.allow: it is missing/,
    ],
    [{ domains, store, authority: 'local' }, /localCa\.dir is missing/],
  ];
  for (const [options, message] of cases) await assert.rejects(Latchkey.open(options), { message });
});

async function served(latchkey: Latchkey, clock: TestClock) {
  await turning(clock, () => latchkey.certificates('example.org').length > 0);
  return latchkey.certificates('example.org');
}

/** Moves time while files are read and written meanwhile. */
async function turning(clock: TestClock, done: () => boolean, step = 1000): Promise<void> {
  await eventually(async () => {
    await clock.advance(step);
    return done();
  });
}

/** For several in one process. */
function memoryLeases(): Leases {
  const held = new Set<string>();
  const take = async (name: string) => {
    if (held.has(name)) return undefined;
    held.add(name);
    const release = async () => void held.delete(name);
    return { signal: new AbortController().signal, handedOver: true, [Symbol.asyncDispose]: release };
  };
  return {
    take,
    takeWithin: take,
    changed: async () => [],
  };
}
