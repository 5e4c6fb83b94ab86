/** The client against Pebble: what a real CA does. */
import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, before, suite, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { coversName, matchesKey, parseChain } from '../pki/certificate.ts';
import { createCsr } from '../pki/csr.ts';
import { generateKey } from '../pki/keys.ts';
import { type Account, AcmeClient } from './client.ts';
import { AcmeError } from './errors.ts';
import {
  type Pebble,
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from './pebble.testing.ts';
import { pollAuthorization, pollOrder } from './poll.ts';

const contacts = ['mailto:admin@example.org'];
const termsOfServiceAgreed = true;
const accountKey = await generateKey({ type: 'EC', name: 'p-256' });
const key = await generateKey({ type: 'EC', name: 'p-256' });

function dns(...names: string[]) {
  return names.map((value) => ({ type: 'dns' as const, value }));
}

/** For assert.rejects: a problem of this type, its detail as given. */
/** `types`: the name of the problem, by releases of Pebble where they differ. */
function refused(types: string | readonly string[], detail = /./): (error: unknown) => true {
  return (error) => {
    assert(error instanceof AcmeError, String(error));
    assert.equal(error.code, 'acme-problem');
    const { problem } = error;
    assert(problem);
    assert([types].flat().includes(problem.type.replace('urn:ietf:params:acme:error:', '')), problem.type);
    assert.match(problem.detail, detail);
    assert(error.message.includes(problem.detail));
    return true;
  };
}

/** A whole order with a CA that believes everything. */
async function obtain(
  client: AcmeClient,
  account: Account,
  names: string[],
  key: KeyObject,
): Promise<string> {
  const clock = systemClock;
  const created = await client.newOrder(account, { identifiers: dns(...names) });
  for (const url of created.authorizations) {
    const authorization = await client.authorization(account, url);
    const challenge = authorization.challenges.find(({ status }) => status === 'pending');
    if (challenge) await client.answerChallenge(account, challenge.url);
  }
  const ready = await pollOrder(client, account, created.url, {
    until: ({ status }) => status !== 'pending',
    clock,
  });
  assert.equal(ready.status, 'ready');
  await client.finalize(account, ready, await createCsr({ key, names }));
  const done = await pollOrder(client, account, created.url, {
    until: ({ status }) => status === 'valid',
    clock,
  });
  return client.certificate(account, done);
}

suite('with Pebble', { skip: withoutPebble, timeout: 60_000 }, () => {
  let pebble: Pebble;
  let client: AcmeClient;
  let account: Account;

  before(async () => {
    const env = { PEBBLE_VA_ALWAYS_VALID: '1', PEBBLE_WFE_NONCEREJECT: '20', PEBBLE_AUTHZREUSE: '0' };
    pebble = await startPebble({ env });
    client = new AcmeClient({ directoryUrl: pebble.directoryUrl, ca: pebble.ca });
    account = await client.newAccount(accountKey, { contacts, termsOfServiceAgreed });
  });

  after(async () => {
    await client[Symbol.asyncDispose]();
    await pebble[Symbol.asyncDispose]();
  });

  test('an order becomes a chain for these names and this key, though a fifth of the nonces is refused', async () => {
    const names = ['a.example.org', 'b.example.org', '*.c.example.org'];
    const chain = parseChain(await obtain(client, account, names, key));
    const [leaf, issuer] = chain;
    assert(leaf && issuer);
    for (const name of names) assert(coversName(leaf, name), name);
    assert(matchesKey(leaf, key));
    assert(leaf.x509.verify(issuer.x509.publicKey));
    assert(issuer.x509.verify(parseChain(await pebble.root())[0]?.x509.publicKey ?? assert.fail()));
  });

  test('many orders run at once over one client', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `many${i}.example.org`);
    const chains = await Promise.all(names.map((name) => obtain(client, account, [name], key)));
    assert.deepEqual(
      chains.map((chain) => parseChain(chain)[0]?.names),
      names.map((name) => [name]),
    );
  });

  test('RSA and P-384 account keys sign as well', async () => {
    for (const spec of [{ type: 'RSA', bits: 2048 } as const, { type: 'EC', name: 'p-384' } as const]) {
      const key = await generateKey(spec);
      // Pebble 2.4 takes no P-384, and says so in a problem of its own.
      const account = await client
        .newAccount(key, { contacts, termsOfServiceAgreed })
        .catch((error: unknown) => error);
      if (account instanceof AcmeError)
        assert.match(account.problem?.type ?? '', /badSignatureAlgorithm|badPublicKey/);
      else assert.equal((account as Account).status, 'valid');
    }
  });

  test('an account is found again by its key, and not found by another', async () => {
    const found = await client.newAccount(accountKey, {
      contacts: [],
      termsOfServiceAgreed,
      onlyReturnExisting: true,
    });
    assert.equal(found.url, account.url);
    assert.deepEqual(found.contacts, contacts);
    const options = { contacts, termsOfServiceAgreed, onlyReturnExisting: true };
    await assert.rejects(client.newAccount(key, options), refused('accountDoesNotExist'));
  });

  test('an unaccepted agreement is refused in the words of the CA', async () => {
    const key = await generateKey({ type: 'EC', name: 'p-256' });
    const options = { contacts, termsOfServiceAgreed: false };
    await assert.rejects(
      client.newAccount(key, options),
      refused(['userActionRequired', 'agreementRequired'], /terms of service/i),
    );
    assert.match((await client.directory()).meta.termsOfService ?? '', /^data:|^https?:/);
  });

  test('a name the CA does not issue for is refused with a problem', async () => {
    const options = { identifiers: dns('not a name') };
    await assert.rejects(client.newOrder(account, options), refused('malformed', /illegal character/));
  });

  test('its certificate is refused where the trust anchors are others', async (t) => {
    const stranger = new AcmeClient({ directoryUrl: pebble.directoryUrl });
    t.after(() => stranger[Symbol.asyncDispose]());
    await assert.rejects(stranger.directory(), {
      code: 'acme-tls',
      message: /not trusted .*MDCACertificateFile/,
    });
  });
});

test(
  'an external account is bound, and its absence refused',
  { skip: withoutPebble, timeout: 60_000 },
  async (t) => {
    const hmac = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
    const pebble = await startPebble({ externalAccounts: { 'kid-1': hmac } });
    t.after(() => pebble[Symbol.asyncDispose]());
    const client = new AcmeClient({ directoryUrl: pebble.directoryUrl, ca: pebble.ca });
    t.after(() => client[Symbol.asyncDispose]());
    const options = { contacts, termsOfServiceAgreed };

    assert.equal((await client.directory()).meta.externalAccountRequired, true);
    await assert.rejects(client.newAccount(accountKey, options), refused('externalAccountRequired'));
    const wrong = { kid: 'kid-1', hmac: 'AAAA' };
    await assert.rejects(client.newAccount(accountKey, { ...options, externalAccount: wrong }), {
      code: 'acme-problem',
    });
    const account = await client.newAccount(accountKey, {
      ...options,
      externalAccount: { kid: 'kid-1', hmac },
    });
    assert.equal(account.status, 'valid');
  },
);

test(
  'http-01 is validated for real, and a failure says why',
  { skip: withoutPebble || withoutChallengeDns, timeout: 60_000 },
  async (t) => {
    const answers = new Map<string, string>();
    const server = createServer((request, response) => response.end(answers.get(request.url ?? '')));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.after(() => server.close());
    const address = server.address();
    assert(address && typeof address === 'object');
    const names = await startChallengeDns();
    t.after(() => names[Symbol.asyncDispose]());
    const pebble = await startPebble({ httpPort: address.port, resolver: names.resolver });
    t.after(() => pebble[Symbol.asyncDispose]());
    const client = new AcmeClient({ directoryUrl: pebble.directoryUrl, ca: pebble.ca });
    t.after(() => client[Symbol.asyncDispose]());
    const account = await client.newAccount(accountKey, { contacts, termsOfServiceAgreed });
    const validate = async (name: string, answer: boolean) => {
      const order = await client.newOrder(account, { identifiers: dns(name) });
      const [url = ''] = order.authorizations;
      const { challenges } = await client.authorization(account, url);
      const challenge = challenges.find(({ type }) => type === 'http-01');
      assert(challenge?.token);
      const path = `/.well-known/acme-challenge/${challenge.token}`;
      if (answer) answers.set(path, client.keyAuthorization(account, challenge.token));
      await client.answerChallenge(account, challenge.url);
      const until = ({ status }: { status: string }) => status !== 'pending';
      return pollAuthorization(client, account, url, { until, clock: systemClock });
    };

    assert.equal((await validate('good.example.org', true)).status, 'valid');
    const failed = await validate('bad.example.org', false);
    assert.equal(failed.status, 'invalid');
    const problem = failed.challenges.find(({ error }) => error)?.error;
    assert.match(problem?.type ?? '', /unauthorized|incorrectResponse/);
    assert.match(problem?.detail ?? '', /bad\.example\.org|key authorization/i);
  },
);
