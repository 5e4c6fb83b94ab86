import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { suite, test } from 'node:test';
import { inspect } from 'node:util';
import { AcmeClient } from '../../acme/client.ts';
import { type HostileCa, type Reply, reply, startHostileCa } from '../../acme/hostile-ca.testing.ts';
import { startPebble, withoutPebble } from '../../acme/pebble.testing.ts';
import type { Clock } from '../../base/clock.ts';
import { parseChain } from '../../pki/certificate.ts';
import { generateKey, keyFileSuffix } from '../../pki/keys.ts';
import { SIGNED_BY_SHA1 } from '../../pki/weak-links.testing.ts';
import { readAccount, readOrder, writeAccount } from '../../store/documents.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import type { Store } from '../../store/store.ts';
import { activateStaged } from '../stored/activate.ts';
import { Crash, CrashStore } from '../stored/crash-store.testing.ts';
import { impatientClock, makePair, P256, P384, put, settings } from '../domains.testing.ts';
import { RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { AcmeIssuer } from './acme.ts';

const HOUR = 60 * 60 * 1000;

/** One for all: making them takes long. */
const accountKey = await generateKey({ type: 'RSA', bits: 2048 });

const hmac = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';

interface Setup {
  readonly store: Store;
  readonly directoryUrl: string;
  readonly ca?: string | undefined;
}

async function obtain(
  { store, directoryUrl, ca }: Setup,
  domain: ManagedDomainSettings,
  { clock = impatientClock, ...options }: { signal?: AbortSignal; clock?: Clock } = {},
): Promise<string[]> {
  const steps: string[] = [];
  await using issuer = new AcmeIssuer({
    store,
    clock,
    newClient: (url) => new AcmeClient({ directoryUrl: url, ca }),
  });
  await issuer.obtain(domain, {
    authority: directoryUrl,
    progress: ({ step }) => steps.push(step),
    ...options,
  });
  return steps;
}

async function failure(setup: Setup, domain: ManagedDomainSettings): Promise<RenewalError> {
  const error: unknown = await obtain(setup, domain).catch((reason: unknown) => reason);
  assert.ok(error instanceof RenewalError, String(error));
  return error;
}

/** A store with an account key staged: registering with it is quick. */
async function storeFor(...names: readonly string[]): Promise<MemoryStore> {
  const store = new MemoryStore();
  for (const name of names) await savePrivateKey(store, 'staging', name, 'account.pem', accountKey);
  return store;
}

async function assertObtained(store: Store, { name, domains, keys }: ManagedDomainSettings): Promise<void> {
  for (const spec of keys) {
    const suffix = keyFileSuffix(spec);
    const pem = await store.load('staging', name, `pubcert${suffix}.pem`);
    const key = await loadPrivateKey(store, 'staging', name, `privkey${suffix}.pem`);
    assert.ok(pem && key);
    const [leaf] = parseChain(pem.toString());
    assert.ok(leaf);
    assert.ok(leaf.x509.checkPrivateKey(key));
    assert.deepEqual([...leaf.names].sort(), [...domains].sort());
  }
  assert.equal(await readOrder(store, 'staging', name), undefined);
  assert.deepEqual(await store.list('challenges'), []);
}

const orders = (ca: HostileCa) => ca.seen.filter(({ endpoint }) => endpoint === 'newOrder').length;
const accounts = (ca: HostileCa) => ca.seen.filter(({ endpoint }) => endpoint === 'newAccount').length;

suite('obtaining from Pebble', { skip: withoutPebble }, () => {
  test('gives certificates for all names and keys', async () => {
    await using pebble = await startPebble({ env: { PEBBLE_VA_ALWAYS_VALID: '1' } });
    const store = await storeFor('a.example');
    const names = ['a.example', 'b.example', 'www.a.example'];
    const domain = settings('a.example', { domains: names, keys: [{ type: 'RSA', bits: 2048 }, P256] });
    await obtain({ store, ...pebble }, domain);
    await assertObtained(store, domain);
    const account = await readAccount(store, 'staging', 'a.example');
    assert.equal(account?.status, 'valid');
    assert.equal(account?.['ca-url'], pebble.directoryUrl);
    assert.deepEqual(account?.contact, ['mailto:admin@example.org']);
  });

  test('goes on after a crash at every single step, with one order', async () => {
    await using pebble = await startPebble({
      env: { PEBBLE_VA_ALWAYS_VALID: '1', PEBBLE_WFE_NONCEREJECT: '0' },
    });
    const made = () => pebble.log().split('Added order').length - 1;
    await crashAtEveryStep({
      domain: (round) =>
        settings(`${round}.example`, { domains: [`${round}.example`, `www.${round}.example`] }),
      setup: { directoryUrl: pebble.directoryUrl, ca: pebble.ca },
      orders: made,
    });
  });

  test('binds accounts to external ones, one account each, and says what is missing', async () => {
    const externalAccounts = { 'kid-1': hmac, 'kid-2': hmac.toLowerCase() };
    await using pebble = await startPebble({ env: { PEBBLE_VA_ALWAYS_VALID: '1' }, externalAccounts });
    const store = await storeFor('a.example');
    const bound = (name: string, kid: 'kid-1' | 'kid-2') =>
      settings(name, { externalAccount: { kid, hmac: externalAccounts[kid] } });
    const urlOf = async (name: string) => (await readAccount(store, 'staging', name))?.url;
    await obtain({ store, ...pebble }, bound('a.example', 'kid-1'));
    assert.deepEqual((await readAccount(store, 'staging', 'a.example'))?.eab, { kid: 'kid-1', hmac });
    await obtain({ store, ...pebble }, bound('b.example', 'kid-1'));
    assert.equal(await urlOf('b.example'), await urlOf('a.example'));
    await obtain({ store, ...pebble }, bound('c.example', 'kid-2'));
    assert.notEqual(await urlOf('c.example'), await urlOf('a.example'));

    const none = await failure({ store, ...pebble }, settings('d.example'));
    assert.equal(none.problem.type, 'urn:ietf:params:acme:error:externalAccountRequired');
    const wrong = { kid: 'kid-3', hmac };
    const refused = await failure({ store, ...pebble }, settings('e.example', { externalAccount: wrong }));
    assert.match(refused.problem.type, /^urn:ietf:params:acme:error:/);
    assert.ok(!inspect(refused, { depth: 10 }).includes(hmac));
  });

  test('registers anew when the CA has lost its memory', async () => {
    const store = await storeFor('a.example');
    const domain = settings('a.example');
    await using first = await startPebble({ env: { PEBBLE_VA_ALWAYS_VALID: '1' } });
    await obtain({ store, ...first }, domain);
    await using second = await startPebble({ env: { PEBBLE_VA_ALWAYS_VALID: '1' } });
    // The same account and a half-done order, of which this CA has never heard.
    const account = await readAccount(store, 'staging', 'a.example');
    assert.ok(account);
    const moved = account.url.replace(
      first.directoryUrl.replace('/dir', ''),
      second.directoryUrl.replace('/dir', ''),
    );
    await writeAccount(store, 'staging', 'a.example', {
      ...account,
      url: moved,
      'ca-url': second.directoryUrl,
    });
    await store.remove('staging', 'a.example', 'pubcert.p-256.pem');
    await obtain({ store, ...second }, domain);
    await assertObtained(store, domain);
  });
});

interface Matrix {
  /** For each round a domain of its own: a CA may remember what it has validated. */
  readonly domain: (round: string) => ManagedDomainSettings;
  readonly setup: Omit<Setup, 'store'>;
  readonly orders: () => number;
}

/** Dies before and after each change of the store in turn; what is there then has to be gone on with. */
async function crashAtEveryStep(matrix: Matrix): Promise<void> {
  const domain = matrix.domain('whole');
  const whole = new CrashStore(await storeFor(domain.name), Infinity, true);
  await obtain({ store: whole, ...matrix.setup }, domain);
  assert.ok(whole.changes > 8);
  for (let at = 1; at <= whole.changes; at += 1) {
    await crashOnce(matrix, at, false);
    await crashOnce(matrix, at, true);
  }
}

async function crashOnce({ domain, setup, orders }: Matrix, at: number, applied: boolean): Promise<void> {
  const where = `${applied ? 'after' : 'before'} change ${at}`;
  const wanted = domain(`${at}${applied ? 'after' : 'before'}`);
  const { name } = wanted;
  const store = await storeFor(name);
  const keys = () =>
    Promise.all(
      wanted.keys.map((spec) => loadPrivateKey(store, 'staging', name, `privkey${keyFileSuffix(spec)}.pem`)),
    );
  const start = orders();
  await assert.rejects(obtain({ store: new CrashStore(store, at, applied), ...setup }, wanted), Crash, where);
  const ordered = orders() - start;
  const remembered = (await store.load('staging', name, 'order.json')) !== undefined;
  const got = (await store.aspects('staging', name)).filter((file) => file.startsWith('pubcert')).length;
  const before = await keys();
  await obtain({ store, ...setup }, wanted);
  await assertObtained(store, wanted);
  const after = await keys();
  for (const [index, key] of before.entries()) {
    if (key) assert.ok(after[index]?.equals(key), `${where}: a second key was made`);
  }
  const lost = ordered > got && !remembered ? 1 : 0;
  assert.equal(orders() - start, wanted.keys.length + lost, `${where}: orders`);
}

suite('obtaining from a CA that misbehaves', () => {
  test('goes on after a crash at every single step, with one order for each key', async () => {
    await using ca = await startHostileCa();
    await crashAtEveryStep({
      domain: (round) => settings(`${round}.example`, { keys: [P256, P384] }),
      setup: ca,
      orders: () => orders(ca),
    });
  });

  test('gives an order its moment that is not ready with the last authorization', async () => {
    await using ca = await startHostileCa();
    ca.next('finalize', reply.problem('orderNotReady', 403));
    const store = await storeFor('a.example');
    await obtain({ store, ...ca }, settings('a.example'));
    await assertObtained(store, settings('a.example'));
    assert.equal(orders(ca), 1);
  });

  test('persists an order and its challenges before the CA is told to look', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    let checked = 0;
    ca.always('challenge', (response) => {
      checked += 1;
      void Promise.all([
        store.load('challenges', 'a.example', 'acme-http-01.txt'),
        readOrder(store, 'staging', 'a.example'),
      ]).then(([text, order]) => {
        assert.match(text?.toString() ?? '', /^token-0-0-http-01\.[A-Za-z0-9_-]{43}$/);
        assert.deepEqual(order?.['challenge-setups'], ['http-01:a.example']);
        assert.equal(order?.url, `${ca.origin}/order/0`);
        reply.problem('serverInternal', 500)(response, ca.seen[0] ?? assert.fail());
      });
    });
    await failure({ store, ...ca }, settings('a.example', { challenges: ['http-01'] }));
    assert.equal(checked, 1);
  });

  test('answers tls-alpn-01 with a certificate of the name', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    ca.next('challenge', reply.problem('serverInternal', 500));
    await failure({ store, ...ca }, settings('a.example'));
    const pem = await store.load('challenges', 'a.example', 'acme-tls-alpn-01-pubcert.pem');
    const key = await loadPrivateKey(store, 'challenges', 'a.example', 'acme-tls-alpn-01-privkey.pem');
    assert.ok(pem && key);
    assert.ok(new X509Certificate(pem).checkPrivateKey(key));
    assert.equal(new X509Certificate(pem).subjectAltName, 'DNS:a.example');
  });

  for (const [what, answer] of Object.entries({
    'that has gone invalid': reply.json({
      status: 'invalid',
      identifiers: [{ type: 'dns', value: 'a.example' }],
      authorizations: [],
      finalize: 'http://localhost/f',
    }),
    'that the CA does not know': reply.problem('malformed', 404),
    'that is at no address of the CA any more': reply.html(404),
    'of another account': reply.problem('unauthorized', 403),
    'for other names': reply.json({
      status: 'ready',
      identifiers: [{ type: 'dns', value: 'b.example' }],
      authorizations: [],
      finalize: 'http://localhost/f',
    }),
    'that has expired': reply.json({
      status: 'pending',
      expires: '2020-01-01T00:00:00Z',
      identifiers: [{ type: 'dns', value: 'a.example' }],
      authorizations: [],
      finalize: 'http://localhost/f',
    }),
  })) {
    test(`drops a remembered order ${what} and makes a new one`, async () => {
      await using ca = await startHostileCa();
      const store = await storeFor('a.example');
      const domain = settings('a.example');
      ca.next('challenge', reply.problem('serverInternal', 500));
      await failure({ store, ...ca }, domain);
      ca.next('order', answer);
      await obtain({ store, ...ca }, domain);
      await assertObtained(store, domain);
      assert.equal(orders(ca), 2);
    });
  }

  for (const [life, away, made] of [
    [1, 0.5, 1],
    [1, 1.5, 2],
    [8, 7, 1],
    [8, 9, 2],
  ] as const) {
    const what = made === 1 ? 'goes on with it' : 'makes another';
    test(`back after ${away} h at an order that lives for ${life} h, ${what}`, async () => {
      await using ca = await startHostileCa();
      const store = await storeFor('a.example');
      const domain = settings('a.example');
      ca.next('challenge', reply.problem('serverInternal', 500));
      await failure({ store, ...ca }, domain);
      const expires = new Date(Date.now() + life * HOUR).toISOString();
      const identifiers = [{ type: 'dns', value: 'a.example' }];
      const authorizations = [`${ca.origin}/authz/0/0`];
      const finalize = (await readOrder(store, 'staging', 'a.example'))?.finalize;
      ca.next('order', reply.json({ status: 'pending', expires, identifiers, authorizations, finalize }));
      const later: Clock = { ...impatientClock, now: () => Date.now() + away * HOUR };
      await obtain({ store, ...ca }, domain, { clock: later });
      await assertObtained(store, domain);
      assert.equal(orders(ca), made);
    });
  }

  test('keeps an order through trouble that passes, and drops it when it fails', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    const domain = settings('a.example');
    for (const trouble of [reply.html(500), reply.problem('rateLimited', 429), reply.reset, reply.cut]) {
      ca.next('authorization', trouble);
      await failure({ store, ...ca }, domain);
    }
    assert.equal(orders(ca), 1);
    const [authorization] = [`${ca.origin}/authz/0/0`];
    const failed = {
      status: 'invalid',
      identifier: { type: 'dns', value: 'a.example' },
      challenges: [
        {
          type: 'http-01',
          url: authorization,
          status: 'invalid',
          token: 'x',
          error: {
            type: 'urn:ietf:params:acme:error:connection',
            detail: 'nobody is there',
            status: 400,
            subproblems: [
              {
                type: 'urn:ietf:params:acme:error:dns',
                detail: 'no address',
                identifier: { type: 'dns', value: 'a.example' },
              },
            ],
          },
        },
      ],
    };
    // The resumed order fails and is given up (two requests), and so is the new one that is made for it.
    ca.next('authorization', reply.json(failed), reply.honest, reply.honest, reply.json(failed));
    const error = await failure({ store, ...ca }, domain);
    assert.deepEqual(error.problem, {
      type: 'urn:ietf:params:acme:error:connection',
      detail: 'nobody is there',
      status: 400,
      identifier: 'a.example',
      subproblems: [
        {
          type: 'urn:ietf:params:acme:error:dns',
          detail: 'no address',
          status: undefined,
          identifier: 'a.example',
        },
      ],
    });
    assert.equal(orders(ca), 2);
    assert.equal(await readOrder(store, 'staging', 'a.example'), undefined);
    assert.deepEqual(await store.list('challenges'), []);
  });

  test('asks twice for the certificate of an order, and makes another where both answers are none', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    const domain = settings('a.example');
    ca.next('certificate', reply.html());
    await failure({ store, ...ca }, domain);
    assert.equal(orders(ca), 1);
    ca.next('certificate', reply.html());
    await obtain({ store, ...ca }, domain);
    await assertObtained(store, domain);
    assert.equal(orders(ca), 2);
  });

  test('makes no second order at once when a name of a remembered one fails to validate', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    const domain = settings('a.example');
    ca.next('challenge', reply.problem('serverInternal', 500));
    await failure({ store, ...ca }, domain);
    const authorization = (status: string) =>
      reply.json({
        status,
        identifier: { type: 'dns', value: 'a.example' },
        challenges: [{ type: 'http-01', url: `${ca.origin}/challenge/0/0/http-01`, status, token: 'x' }],
      });
    ca.next('authorization', authorization('pending'), authorization('invalid'));
    const { problem } = await failure({ store, ...ca }, domain);
    assert.equal(problem.detail, 'The authorization of a.example is invalid');
    assert.equal(orders(ca), 1);
    assert.equal(await readOrder(store, 'staging', 'a.example'), undefined);
  });

  test('tells how long the CA wants to be left alone', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    ca.next('newOrder', reply.problem('rateLimited', 429, {}, { 'retry-after': '3600' }));
    const { problem } = await failure({ store, ...ca }, settings('a.example'));
    assert.equal(problem.type, 'urn:ietf:params:acme:error:rateLimited');
    assert.equal(problem.retryAfter, 3_600_000);
    assert.equal(problem.status, 429);
  });

  test('refuses a certificate for another key, for other names, none at all, or a chain that is too weak', async () => {
    await using ca = await startHostileCa();
    const domain = settings('a.example', { domains: ['a.example', 'b.example'] });
    const foreign = await makePair({ names: domain.domains });
    const store = await storeFor('a.example');
    const key = await generateKey(P256);
    await savePrivateKey(store, 'staging', 'a.example', 'privkey.p-256.pem', key);
    const now = Date.now();
    const good = await makePair({ key, names: domain.domains, notBefore: now });
    const answers: [string, string][] = [
      ['certificate-wrong-key', foreign.pem],
      ['certificate-weak', good.pem + SIGNED_BY_SHA1],
      ['certificate-wrong-names', (await makePair({ key, names: ['a.example'], notBefore: now })).pem],
      [
        'certificate-expired',
        (await makePair({ key, names: domain.domains, notAfter: now - 1000, notBefore: 0 })).pem,
      ],
    ];
    for (const [problem, pem] of answers) {
      ca.next('certificate', reply.raw(pem, 'application/pem-certificate-chain'));
      const error = await failure({ store, ...ca }, domain);
      assert.equal(error.problem.type, `urn:latchkey:problem:${problem}`);
      assert.equal(await readOrder(store, 'staging', 'a.example'), undefined);
      assert.ok(!(await store.aspects('staging', 'a.example')).includes('pubcert.p-256.pem'));
    }
    await obtain({ store, ...ca }, domain);
    await assertObtained(store, domain);
  });

  test('makes no order while everything is staged, and one where what is staged is no good', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    const domain = settings('a.example', { keys: [P256, P384] });
    const notBefore = Date.now();
    await put(store, 'staging', 'a.example', { names: ['a.example'], notBefore });
    await put(store, 'staging', 'a.example', { names: ['a.example'], spec: P384, notBefore });
    await obtain({ store, ...ca }, domain);
    assert.equal(ca.seen.length, 0);
    await put(store, 'staging', 'a.example', { names: ['other.example'], spec: P384, notBefore });
    await obtain({ store, ...ca }, domain);
    assert.equal(orders(ca), 1);
    await assertObtained(store, domain);
  });

  test('asks for agreement to the terms, naming them, before it registers', async () => {
    await using ca = await startHostileCa();
    const { problem } = await failure(
      { store: await storeFor('a.example'), ...ca },
      settings('a.example', { agreement: undefined }),
    );
    assert.ok(
      problem.detail.startsWith(
        `the CA requires you to accept the terms-of-service as specified in <${ca.origin}/terms>.`,
      ),
      problem.detail,
    );
    assert.equal(accounts(ca), 0);
  });

  test('asks no CA when no challenge can work, and gives the reasons', async () => {
    await using ca = await startHostileCa();
    const closed = (reason: string) => ({ possible: false, reason }) as const;
    const domain = settings('a.example', {
      reach: {
        http01: closed('nothing listens on port 80'),
        tlsAlpn01: closed('no host has acme-tls/1'),
        dns01: closed('no MDChallengeDns01'),
      },
    });
    const { problem } = await failure({ store: await storeFor('a.example'), ...ca }, domain);
    assert.equal(
      problem.detail,
      'None of the ACME challenge methods configured for this domain are suitable. ' +
        'tls-alpn-01: no host has acme-tls/1. http-01: nothing listens on port 80. dns-01: no MDChallengeDns01.',
    );
    assert.equal(ca.seen.length, 0);
  });

  test('shares one account among domains that begin at once, and finds it again later', async () => {
    await using ca = await startHostileCa();
    const names = ['a.example', 'b.example', 'c.example', 'd.example'];
    const store = await storeFor(...names);
    await using issuer = new AcmeIssuer({
      store,
      clock: impatientClock,
      newClient: (url) => new AcmeClient({ directoryUrl: url }),
    });
    const options = { authority: ca.directoryUrl, progress: () => {} };
    await Promise.all(names.map((name) => issuer.obtain(settings(name), options)));
    assert.equal(accounts(ca), 1);
    assert.equal(orders(ca), 4);
    const urls = await Promise.all(
      names.map(async (name) => (await readAccount(store, 'staging', name))?.url),
    );
    assert.equal(new Set(urls).size, 1);
    // Another process, another domain.
    await savePrivateKey(store, 'staging', 'e.example', 'account.pem', accountKey);
    await obtain({ store, ...ca }, settings('e.example'));
    assert.equal(accounts(ca), 1);
  });

  test('makes a client anew once told that what it trusts may have changed', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example', 'b.example', 'c.example');
    let made = 0;
    await using issuer = new AcmeIssuer({
      store,
      clock: impatientClock,
      newClient: (url) => {
        made++;
        return new AcmeClient({ directoryUrl: url });
      },
    });
    const options = { authority: ca.directoryUrl, progress: () => {} };
    await issuer.obtain(settings('a.example'), options);
    await issuer.obtain(settings('b.example'), options);
    assert.equal(made, 1);
    issuer.forgetClients();
    await issuer.obtain(settings('c.example'), options);
    assert.equal(made, 2);
  });

  test('finds the account in accounts, and passes over what is damaged there', async () => {
    await using ca = await startHostileCa();
    const store = new MemoryStore();
    await store.save('accounts', 'ACME-localhost-0000', 'account.json', 'garbage');
    const document = {
      status: 'valid',
      url: `${ca.origin}/account/7`,
      'ca-url': ca.directoryUrl,
      contact: [],
    };
    await writeAccount(store, 'accounts', 'ACME-localhost-0001', document);
    await savePrivateKey(store, 'accounts', 'ACME-localhost-0001', 'account.pem', accountKey);
    await obtain({ store, ...ca }, settings('a.example'));
    assert.equal(accounts(ca), 0);
    const order = ca.seen.find(({ endpoint }) => endpoint === 'newOrder');
    assert.equal(order?.protected['kid'], `${ca.origin}/account/7`);
  });

  test('takes an account by its external one: changed, another is registered; changed back, it is found', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    const account = (count: number): Reply =>
      reply.json({ status: 'valid' }, 201, { location: `${ca.origin}/account/${count}` });
    ca.next('newAccount', account(1), account(2), account(3));
    const used = async (kid: string | undefined, changes: Partial<ManagedDomainSettings> = {}) => {
      const externalAccount = kid === undefined ? undefined : { kid, hmac };
      await store.remove('staging', 'a.example', 'pubcert.p-256.pem');
      await obtain({ store, ...ca }, settings('a.example', { externalAccount, ...changes }));
      // A renewal later.
      await activateStaged(store, 'a.example');
      const order = ca.seen.findLast(({ endpoint }) => endpoint === 'newOrder');
      return String(order?.protected['kid']).replace(`${ca.origin}/account/`, '');
    };
    assert.equal(await used('kid-1'), '1');
    assert.equal(await used('kid-2'), '2');
    assert.equal(await used(undefined), '3', 'no account of somebody else');
    assert.equal(await used('kid-1'), '1');
    assert.equal(await used('kid-2', { externalAccount: { kid: 'kid-2', hmac: 'AAAA' } }), '2');
    assert.equal(await used(undefined), '3');
    assert.equal(accounts(ca), 3);
    const bindings = ca.seen
      .filter(({ endpoint }) => endpoint === 'newAccount')
      .map(({ payload }) => {
        const { externalAccountBinding: binding } = payload as {
          externalAccountBinding?: { protected: string };
        };
        return binding && JSON.parse(Buffer.from(binding.protected, 'base64url').toString()).kid;
      });
    assert.deepEqual(bindings, ['kid-1', 'kid-2', undefined]);
  });

  test('drops a staged account and its order once another external account is configured', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    ca.next('challenge', reply.problem('serverInternal', 500));
    await failure({ store, ...ca }, settings('a.example'));
    assert.ok(await readOrder(store, 'staging', 'a.example'));
    const domain = settings('a.example', { externalAccount: { kid: 'kid-1', hmac } });
    await obtain({ store, ...ca }, domain);
    assert.equal(accounts(ca), 2);
    assert.equal(orders(ca), 2);
    await assertObtained(store, domain);
  });

  test('says how to bind an account where the CA demands it, announced or not', async () => {
    await using ca = await startHostileCa();
    const unbound = async () => {
      const { problem } = await failure({ store: await storeFor('a.example'), ...ca }, settings('a.example'));
      assert.equal(problem.type, 'urn:ietf:params:acme:error:externalAccountRequired');
      assert.match(problem.detail, /MDExternalAccountBinding KEY-ID HMAC/);
    };
    ca.next('newAccount', reply.problem('externalAccountRequired', 403));
    await unbound();
    assert.equal(accounts(ca), 1);
    const url = (path: string) => ca.origin + path;
    const announced = {
      newNonce: url('/new-nonce'),
      newAccount: url('/new-account'),
      newOrder: url('/new-order'),
      meta: { externalAccountRequired: true },
    };
    ca.next('directory', reply.json(announced));
    await unbound();
    assert.equal(accounts(ca), 1, 'it is not asked in vain');
  });

  test('refuses an HMAC key that is none before any CA is asked, and shows it to nobody', async () => {
    await using ca = await startHostileCa();
    const domain = settings('a.example', { externalAccount: { kid: 'kid-1', hmac: 'no base64!' } });
    const error = await failure({ store: await storeFor('a.example'), ...ca }, domain);
    assert.equal(error.problem.type, 'apache:eab-hmac-invalid');
    assert.ok(!inspect(error, { depth: 10 }).includes('no base64!'));
    assert.equal(ca.seen.length, 0);
  });

  test('leaves everything as it is when aborted, with the reason', async () => {
    await using ca = await startHostileCa();
    const store = await storeFor('a.example');
    ca.always('authorization', reply.silence);
    const controller = new AbortController();
    const obtaining = obtain({ store, ...ca }, settings('a.example'), { signal: controller.signal });
    await ca.asked('authorization');
    controller.abort(new Error('enough'));
    await assert.rejects(obtaining, /enough/);
    ca.always('authorization', undefined);
    await obtain({ store, ...ca }, settings('a.example'));
    assert.equal(orders(ca), 1);
  });
});
