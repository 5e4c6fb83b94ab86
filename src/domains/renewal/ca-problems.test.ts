/** What becomes of each problem that a CA may answer with (RFC 8555 section 6.7), wherever it comes up. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { type Endpoint, reply, startHostileCa } from '../../acme/hostile-ca.testing.ts';
import { generateKey } from '../../pki/keys.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { eventually, impatientClock, settings } from '../domains.testing.ts';
import { RenewalEngine } from '../engine.ts';
import { AcmeIssuer } from '../issuers/acme.ts';
import { remedyFor } from './remedies.ts';

const accountKey = await generateKey({ type: 'RSA', bits: 2048 });

/** Type, where it comes up, its status. */
const problems: readonly (readonly [type: string, at: Endpoint, status: number])[] = [
  ['accountDoesNotExist', 'finalize', 400],
  ['alreadyRevoked', 'finalize', 400],
  ['badCSR', 'finalize', 400],
  ['badNonce', 'newOrder', 400],
  ['badPublicKey', 'newAccount', 400],
  ['badRevocationReason', 'finalize', 400],
  ['badSignatureAlgorithm', 'newAccount', 400],
  ['caa', 'finalize', 403],
  ['compound', 'newOrder', 400],
  ['connection', 'challenge', 400],
  ['dns', 'challenge', 400],
  ['externalAccountRequired', 'newAccount', 403],
  ['incorrectResponse', 'challenge', 403],
  ['invalidContact', 'newAccount', 400],
  ['invalidProfile', 'newOrder', 400],
  ['malformed', 'newOrder', 400],
  ['orderNotReady', 'finalize', 403],
  ['rateLimited', 'newOrder', 429],
  ['rejectedIdentifier', 'newOrder', 400],
  ['serverInternal', 'newOrder', 500],
  ['tls', 'challenge', 400],
  ['unauthorized', 'finalize', 403],
  ['unsupportedContact', 'newAccount', 400],
  ['unsupportedIdentifier', 'newOrder', 400],
  ['userActionRequired', 'newOrder', 403],
];

/** An engine at work with a CA that has a problem. */
async function inTrouble(type: string, at: Endpoint, answer = reply.problem(type, 400)) {
  const ca = await startHostileCa();
  ca.always(at, answer);
  const store = new MemoryStore();
  await savePrivateKey(store, 'staging', 'a.example', 'account.pem', accountKey);
  const issuer = new AcmeIssuer({
    store,
    clock: impatientClock,
    newClient: (directoryUrl) => new AcmeClient({ directoryUrl }),
  });
  const domains = [settings('a.example', { authorities: [ca.directoryUrl] })];
  const engine = new RenewalEngine({
    domains,
    store,
    issuer,
    clock: impatientClock,
    activate: async () => ({}),
    retryDelay: 24 * 60 * 60 * 1000,
  });
  engine.start();
  const status = () => engine.status()[0];
  await eventually(() => status()?.errors === 1 && !status()?.running);
  return {
    ca,
    engine,
    domains,
    status,
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      await issuer[Symbol.asyncDispose]();
      await ca[Symbol.asyncDispose]();
    },
  };
}

suite('the problem', () => {
  for (const [type, at, httpStatus] of problems) {
    test(`${type} is shown in the CA's words, with a remedy`, async () => {
      await using trouble = await inTrouble(type, at, reply.problem(type, httpStatus));
      const { problem, remedy } = trouble.status() ?? {};
      assert.equal(problem?.type, `urn:ietf:params:acme:error:${type}`);
      if (type !== 'externalAccountRequired') assert.equal(problem.detail, `hostile ${type}`);
      assert.ok(remedy, 'somebody has to know what to do');
      const orders = trouble.ca.seen.filter(({ endpoint }) => endpoint === 'newOrder').length;
      assert.ok(orders <= 10, `${orders} orders`);
    });
  }

  test('userActionRequired is for good, until a reload', async () => {
    await using trouble = await inTrouble('userActionRequired', 'newOrder');
    assert.equal(trouble.status()?.nextRun, undefined);
    trouble.ca.always('newOrder', undefined);
    trouble.engine.reconfigure(trouble.domains);
    await eventually(() => trouble.status()?.staged !== undefined || trouble.status()?.problem === undefined);
  });

  test('rateLimited is obeyed, and says where a paused name is allowed again', async () => {
    const detail =
      'Your account is temporarily prevented from requesting certificates for a.example. Please visit: ' +
      'https://portal.example/sfe/v1/unpause?jwt=a.b-c_d.';
    const answer = reply.problem('rateLimited', 429, { detail }, { 'retry-after': '172800' });
    await using trouble = await inTrouble('rateLimited', 'newOrder', answer);
    const { nextRun = 0, remedy } = trouble.status() ?? {};
    assert.ok(nextRun > Date.now() + 47 * 60 * 60 * 1000);
    assert.equal(
      remedy,
      'The CA has paused the name: allow it again at https://portal.example/sfe/v1/unpause?jwt=a.b-c_d',
    );
  });
});

test('of several problems the remedy is that of the first; unknown ones have none', () => {
  const urn = (name: string) => `urn:ietf:params:acme:error:${name}`;
  const subproblems = [{ type: urn('caa'), detail: '' }];
  assert.match(remedyFor({ type: urn('compound'), detail: '', subproblems }) ?? '', /CAA record/);
  assert.equal(remedyFor({ type: urn('toString'), detail: '' }), undefined);
  assert.equal(remedyFor({ type: 'about:blank', detail: '' }), undefined);
});
