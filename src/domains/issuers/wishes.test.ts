/** What is asked of a CA besides names and keys, and what becomes of it where the CA has other ideas. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { suite, test } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { type HostileCa, type Reply, reply, startHostileCa } from '../../acme/hostile-ca.testing.ts';
import { startPebble, withoutPebble } from '../../acme/pebble.testing.ts';
import { hasMustStaple } from '../../pki/der.ts';
import { generateKey } from '../../pki/keys.ts';
import { readAccount, readOrder } from '../../store/documents.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { DAY, impatientClock, put, settings } from '../domains.testing.ts';
import { RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { AcmeIssuer } from './acme.ts';

const accountKey = await generateKey({ type: 'RSA', bits: 2048 });

async function newStore(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await savePrivateKey(store, 'staging', 'a.example', 'account.pem', accountKey);
  return store;
}

interface At {
  readonly directoryUrl: string;
  readonly ca?: string;
}

async function obtain(store: MemoryStore, { directoryUrl, ca }: At, domain: ManagedDomainSettings) {
  const told: string[] = [];
  await using issuer = new AcmeIssuer({
    store,
    clock: impatientClock,
    newClient: (url) => new AcmeClient({ directoryUrl: url, ca }),
  });
  const progress = ({ detail }: { detail: string }) => told.push(detail);
  await issuer.obtain(domain, { authority: directoryUrl, progress, renewsOwn: true });
  return told.join('\n');
}

async function failure(...args: Parameters<typeof obtain>): Promise<RenewalError> {
  const error: unknown = await obtain(...args).catch((reason: unknown) => reason);
  assert.ok(error instanceof RenewalError, String(error));
  return error;
}

async function staged(store: MemoryStore): Promise<X509Certificate> {
  const pem = await store.load('staging', 'a.example', 'pubcert.p-256.pem');
  assert.ok(pem);
  return new X509Certificate(pem);
}

const payloads = (ca: HostileCa, endpoint: string) =>
  ca.seen
    .filter((seen) => seen.endpoint === endpoint)
    .map(({ payload }) => payload as Record<string, unknown>);

const orders = (ca: HostileCa) =>
  payloads(ca, 'newOrder').map(({ profile, replaces }) => ({ profile, replaces }));

/** Its directory, with more in it. */
function directory(ca: HostileCa, meta: Record<string, unknown>): Reply {
  const url = (path: string) => ca.origin + path;
  return reply.json({
    newNonce: url('/new-nonce'),
    newAccount: url('/new-account'),
    newOrder: url('/new-order'),
    renewalInfo: url('/renewal-info'),
    meta,
  });
}

suite('a profile', () => {
  const wanting = (profileMandatory: boolean) =>
    settings('a.example', { profile: 'short', profileMandatory });

  test('that the CA does not offer is done without, unless it is mandatory', async () => {
    await using ca = await startHostileCa();
    ca.always('directory', directory(ca, { profiles: { classic: 'as ever', tls: 'newer' } }));
    assert.match(
      await obtain(await newStore(), ca, wanting(false)),
      /does not offer the profile short \(MDProfile\), it offers classic, tls\. /,
    );
    assert.deepEqual(orders(ca), [{ profile: undefined, replaces: undefined }]);
    await using issuer = new AcmeIssuer({
      store: await newStore(),
      clock: impatientClock,
      newClient: (url) => new AcmeClient({ directoryUrl: url }),
    });
    const notes = () => issuer.notes(wanting(false), ca.directoryUrl);
    assert.deepEqual(notes(), [], 'it is not known yet');
    await issuer.obtain(wanting(false), { authority: ca.directoryUrl, progress: () => {} });
    assert.match(notes().join(), /^The CA does not offer the profile short .* are ordered without$/);
    const { problem } = await failure(await newStore(), ca, wanting(true));
    assert.equal(problem.type, 'urn:latchkey:problem:profile');
    assert.equal(orders(ca).length, 2);
  });

  test('that the CA refuses is left out once, unless it is mandatory', async () => {
    await using ca = await startHostileCa();
    ca.always('directory', directory(ca, { profiles: { short: 'a week' } }));
    ca.next('newOrder', reply.problem('invalidProfile', 400));
    await obtain(await newStore(), ca, wanting(false));
    assert.deepEqual(
      orders(ca).map(({ profile }) => profile),
      ['short', undefined],
    );
    ca.next('newOrder', reply.problem('invalidProfile', 400));
    const { problem } = await failure(await newStore(), ca, wanting(true));
    assert.equal(problem.type, 'urn:ietf:params:acme:error:invalidProfile');
  });

  test('of Pebble decides how long a certificate lives', { skip: withoutPebble }, async () => {
    const profiles = { short: { description: 'six days', validityPeriod: (6 * DAY) / 1000 } };
    await using pebble = await startPebble({ env: { PEBBLE_VA_ALWAYS_VALID: '1' }, profiles });
    const store = await newStore();
    await obtain(store, pebble, wanting(true));
    const { validFromDate, validToDate } = await staged(store);
    assert.equal(Math.round((validToDate.getTime() - validFromDate.getTime()) / DAY), 6);
    const { problem } = await failure(await newStore(), pebble, {
      ...settings('b.example', { profile: 'none', profileMandatory: true }),
    });
    assert.match(problem.detail, /it offers .*short/);
  });
});

suite('must-staple', () => {
  const wanting = settings('a.example', { mustStaple: true });

  test('is asked for', async () => {
    await using ca = await startHostileCa();
    const store = await newStore();
    await obtain(store, ca, wanting);
    assert.ok(hasMustStaple(await staged(store)));
  });

  for (const type of ['unauthorized', 'badCSR', 'malformed'] as const) {
    test(`is left out where the CA refuses it as ${type}, with the same order and key`, async () => {
      await using ca = await startHostileCa();
      ca.next('finalize', reply.problem(type, 403, { detail: 'OCSP must-staple is no longer available' }));
      const store = await newStore();
      assert.match(await obtain(store, ca, wanting), /The CA refuses must-staple .*no longer available/);
      assert.ok(!hasMustStaple(await staged(store)));
      assert.equal(orders(ca).length, 1);
      assert.equal(payloads(ca, 'finalize').length, 2);
    });
  }

  test('is left out with another order where the refusal has cost the first', async () => {
    await using ca = await startHostileCa();
    const refused = reply.problem('badCSR', 400);
    const dead = reply.problem('orderNotReady', 403);
    ca.next('finalize', refused, dead, dead);
    const store = await newStore();
    await obtain(store, ca, wanting);
    assert.ok(!hasMustStaple(await staged(store)));
    assert.equal(orders(ca).length, 2);
  });

  test('of a CA that is ill is not given up', async () => {
    await using ca = await startHostileCa();
    ca.next('finalize', reply.problem('serverInternal', 500));
    await failure(await newStore(), ca, wanting);
    assert.equal(payloads(ca, 'finalize').length, 1);
  });
});

suite('what an order replaces', () => {
  async function renewing(): Promise<MemoryStore> {
    const store = await newStore();
    await put(store, 'domains', 'a.example', { names: ['a.example'] });
    return store;
  }

  test('is not said of a certificate that does not name its issuer, or where nobody asked', async () => {
    await using ca = await startHostileCa();
    await obtain(await renewing(), ca, settings('a.example'));
    await obtain(await renewing(), ca, settings('a.example', { renewViaAri: false }));
    assert.deepEqual(
      orders(ca).map(({ replaces }) => replaces),
      [undefined, undefined],
    );
  });
});

suite('contacts', () => {
  test('that have changed are told to the CA, once', async () => {
    await using ca = await startHostileCa();
    const store = await newStore();
    const domain = (name: string, contact: string) => settings(name, { contacts: [`mailto:${contact}`] });
    await obtain(store, ca, domain('a.example', 'old@example.org'));
    assert.equal(payloads(ca, 'account').length, 0);
    await obtain(store, ca, domain('b.example', 'new@example.org'));
    await store.purge('staging', 'a.example');
    await obtain(store, ca, domain('c.example', 'new@example.org'));
    assert.deepEqual(payloads(ca, 'account'), [{ contact: ['mailto:new@example.org'] }]);
    assert.deepEqual((await readAccount(store, 'staging', 'c.example'))?.contact, ['mailto:new@example.org']);
  });

  test('that the CA refuses keep nobody from a certificate', async () => {
    await using ca = await startHostileCa();
    const store = await newStore();
    await obtain(store, ca, settings('a.example'));
    ca.next('account', reply.problem('invalidContact', 400));
    const told = await obtain(store, ca, settings('b.example', { contacts: ['mailto:x@invalid'] }));
    assert.match(told, /The CA keeps the old contacts: .*invalidContact/);
    assert.ok(await store.load('staging', 'b.example', 'pubcert.p-256.pem'));
  });
});

test('what is pending of a failed order is given up', async () => {
  await using ca = await startHostileCa();
  ca.next('challenge', reply.honest);
  const invalid = {
    status: 'invalid',
    identifier: { type: 'dns', value: 'a.example' },
    challenges: [],
  };
  // Of two names one is found invalid at once.
  ca.next('authorization', reply.json(invalid));
  const store = await newStore();
  await failure(store, ca, settings('a.example', { domains: ['a.example', 'b.example'] }));
  const given = ca.seen.filter(
    ({ endpoint, payload }) => endpoint === 'authorization' && payload !== undefined,
  );
  assert.deepEqual(
    given.map(({ payload }) => payload),
    [{ status: 'deactivated' }, { status: 'deactivated' }],
  );
  assert.equal(await readOrder(store, 'staging', 'a.example'), undefined);
});
