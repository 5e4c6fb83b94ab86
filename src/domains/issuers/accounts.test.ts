/** Accounts that a CA accepts no more: deactivated there, by whoever has the key. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { type HostileCa, type Reply, reply, startHostileCa } from '../../acme/hostile-ca.testing.ts';
import { generateKey } from '../../pki/keys.ts';
import { writeAccount } from '../../store/documents.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { impatientClock, settings } from '../domains.testing.ts';
import { activateStaged } from '../stored/activate.ts';
import { AcmeIssuer } from './acme.ts';

const NAMES = ['a.example', 'b.example', 'c.example', 'd.example'];
const contact = ['mailto:admin@example.org'];

const oldKey = await generateKey({ type: 'RSA', bits: 2048 });
const { n: oldModulus } = oldKey.export({ format: 'jwk' });

const deactivated = reply.problem('unauthorized', 403, { detail: 'the account is deactivated' });

/** What CAs tell who registers with the key of a deactivated account. */
const answers: Readonly<Record<string, Reply>> = {
  'refuses its key': deactivated,
  'gives it once more, deactivated as it is': (response, seen) => {
    const location = `http://${seen.headers.host}/account/0`;
    reply.json({ status: 'deactivated', contact }, 200, { location })(response, seen);
  },
};

/** Of a store whose only account the CA has deactivated. */
async function storeWith(ca: HostileCa): Promise<MemoryStore> {
  const store = new MemoryStore();
  const url = `${ca.origin}/account/0`;
  await savePrivateKey(store, 'accounts', 'ACME-localhost-0000', 'account.pem', oldKey);
  const document = { status: 'valid', url, 'ca-url': ca.directoryUrl, contact };
  await writeAccount(store, 'accounts', 'ACME-localhost-0000', document);
  return store;
}

/** Has the CA tell accounts by their keys. Gives the modulus of each that it has made. */
function countAccounts(ca: HostileCa, answer: Reply): readonly string[] {
  const made: string[] = [];
  ca.when('newAccount', ({ protected: { jwk } }) => {
    const { n } = jwk as { n: string };
    if (n === oldModulus) return answer;
    if (!made.includes(n)) made.push(n);
    const location = `${ca.origin}/account/${made.indexOf(n) + 1}`;
    return reply.json({ status: 'valid', contact }, 201, { location });
  });
  ca.when('newOrder', ({ protected: { kid } }) =>
    kid === `${ca.origin}/account/0` ? deactivated : undefined,
  );
  return made;
}

/** By one process. */
async function obtain(ca: HostileCa, store: MemoryStore, names: readonly string[]): Promise<void> {
  await using issuer = new AcmeIssuer({
    store,
    clock: impatientClock,
    newClient: (url) => new AcmeClient({ directoryUrl: url }),
  });
  const options = { authority: ca.directoryUrl, progress: () => {} };
  await Promise.all(names.map((name) => issuer.obtain(settings(name), options)));
}

for (const [what, answer] of Object.entries(answers)) {
  suite(`an account that its CA has deactivated, which ${what}`, () => {
    test('is followed by one other, however many domains find out at once', async () => {
      await using ca = await startHostileCa();
      const made = countAccounts(ca, answer);
      const store = await storeWith(ca);
      await obtain(ca, store, NAMES);
      assert.equal(made.length, 1);
    });

    test('is not used again by a later process', async () => {
      await using ca = await startHostileCa();
      const made = countAccounts(ca, answer);
      const store = await storeWith(ca);
      for (const name of NAMES) {
        await obtain(ca, store, [name]);
        await activateStaged(store, name);
      }
      assert.equal(made.length, 1);
      assert.deepEqual(await store.list('accounts'), ['ACME-localhost-0000', 'ACME-localhost-0001']);
    });
  });
}
