import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { generateKey } from '../../pki/keys.ts';
import { SIGNED_BY_SHA1 } from '../../pki/weak-links.testing.ts';
import { encodeJob, readAccount, readJob, readMd, writeAccount, writeMd } from '../../store/documents.ts';
import { formatDate } from '../../store/formats.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { activateStaged } from './activate.ts';
import { Crash, CrashStore } from './crash-store.testing.ts';
import { mdDocument } from './document.ts';
import { DAY, P256, P384, put, settings } from '../domains.testing.ts';

const NAME = 'a.example';
const clock = new TestClock();
const accountKey = await generateKey(P256);
const account = {
  status: 'valid',
  url: 'https://ca.example/acct/1',
  'ca-url': 'https://ca.example/dir',
  contact: [],
};

async function staged(store = new MemoryStore()): Promise<MemoryStore> {
  const domain = settings(NAME, { keys: [P256, P384] });
  await put(store, 'staging', NAME, { names: [NAME] });
  await put(store, 'staging', NAME, { names: [NAME], spec: P384 });
  await writeMd(
    store,
    'staging',
    NAME,
    mdDocument(domain, { state: 'incomplete', description: '' }, undefined),
  );
  await store.save(
    'staging',
    NAME,
    'job.json',
    encodeJob({
      name: NAME,
      finished: true,
      notified: false,
      'notified-renewed': false,
      errors: 0,
      log: { entries: [{ when: formatDate(clock.now()), type: 'finished' }] },
    }),
  );
  await writeAccount(store, 'staging', NAME, account);
  await savePrivateKey(store, 'staging', NAME, 'account.pem', accountKey);
  return store;
}

suite('activation', () => {
  test('of what a reload has activated just before is done already, and of anything else is none', async () => {
    const store = await staged();
    const { serials } = await activateStaged(store, NAME, { clock, finishedOnly: true });
    assert.deepEqual(await activateStaged(store, NAME, { clock, serials }), { serials });
    await assert.rejects(activateStaged(store, NAME, { clock, serials: ['00'] }), {
      code: 'activation-not-ready',
    });
    await assert.rejects(activateStaged(store, NAME, { clock }), { code: 'activation-not-ready' });
  });

  test('moves a finished staging into domains, keys in plain, and the account to accounts', async () => {
    const store = await staged();
    await put(store, 'domains', NAME, { names: [NAME] });
    const { serials } = await activateStaged(store, NAME, { clock });
    assert.equal(serials.length, 2);
    assert.deepEqual(await store.aspects('domains', NAME), [
      'job.json',
      'md.json',
      'privkey.p-256.pem',
      'privkey.secp384r1.pem',
      'pubcert.p-256.pem',
      'pubcert.secp384r1.pem',
    ]);
    const key = await store.load('domains', NAME, 'privkey.p-256.pem');
    assert.match(key?.toString() ?? '', /^-----BEGIN PRIVATE KEY-----/);
    const md = await readMd(store, 'domains', NAME);
    assert.equal(md?.state, 2);
    assert.equal(md.ca.account, 'ACME-ca.example-0000');
    assert.equal((await readJob(store, 'domains', NAME))?.log.entries[0]?.type, 'finished');
    assert.deepEqual(await readAccount(store, 'accounts', 'ACME-ca.example-0000'), account);
    assert.match(
      (await store.load('accounts', 'ACME-ca.example-0000', 'account.pem'))?.toString() ?? '',
      /ENCRYPTED/,
    );
    assert.deepEqual(await store.list('archive'), [`${NAME}.1`]);
    assert.deepEqual(await store.list('staging'), []);
  });

  test('makes no second folder for an account, and updates one that was registered anew', async () => {
    const store = await staged();
    await activateStaged(store, NAME, { clock });
    await staged(store);
    await writeAccount(store, 'staging', NAME, { ...account, url: 'https://ca.example/acct/2' });
    await activateStaged(store, NAME, { clock });
    assert.deepEqual(await store.list('accounts'), ['ACME-ca.example-0000']);
    assert.equal(
      (await readAccount(store, 'accounts', 'ACME-ca.example-0000'))?.url,
      'https://ca.example/acct/2',
    );
    await staged(store);
    await savePrivateKey(store, 'staging', NAME, 'account.pem', await generateKey(P256));
    await activateStaged(store, NAME, { clock });
    assert.deepEqual(await store.list('accounts'), ['ACME-ca.example-0000', 'ACME-ca.example-0001']);
  });

  test('takes files that were put there by hand, plain PEM and no documents', async () => {
    const store = new MemoryStore();
    const pem = await put(store, 'tmp', NAME, { names: [NAME], spec: { type: 'RSA', bits: 2048 } });
    const key = await loadPrivateKey(store, 'tmp', NAME, 'privkey.pem');
    await store.save('staging', NAME, 'pubcert.pem', pem);
    await store.save(
      'staging',
      NAME,
      'privkey.pem',
      key?.export({ type: 'pkcs8', format: 'pem' }).toString() ?? '',
    );
    const { serials } = await activateStaged(store, NAME, { finishedOnly: true, clock });
    assert.equal(serials.length, 1);
    assert.equal((await store.load('domains', NAME, 'pubcert.pem'))?.toString(), pem);
  });

  test('leaves what is not ready: a certificate missing, or valid later', async () => {
    const store = await staged();
    await store.remove('staging', NAME, 'pubcert.secp384r1.pem');
    assert.deepEqual(await activateStaged(store, NAME, { finishedOnly: true, clock }), { serials: [] });
    await assert.rejects(activateStaged(store, NAME, { clock }), { code: 'activation-not-ready' });
    assert.equal((await store.aspects('staging', NAME)).length, 7);

    const later = await staged();
    const job = await readJob(later, 'staging', NAME);
    assert.ok(job);
    const validFrom = formatDate(clock.now() + DAY);
    await later.save('staging', NAME, 'job.json', encodeJob({ ...job, 'valid-from': validFrom }));
    assert.deepEqual(await activateStaged(later, NAME, { finishedOnly: true, clock }), { serials: [] });
    assert.deepEqual(await later.list('domains'), []);
  });

  test('purges what can never be activated, keeping the set there was', async () => {
    const weak = async (store: MemoryStore) => {
      const chain = await store.load('staging', NAME, 'pubcert.p-256.pem');
      await store.save('staging', NAME, 'pubcert.p-256.pem', `${chain?.toString()}${SIGNED_BY_SHA1}`);
    };
    const spoil: ((store: MemoryStore) => Promise<unknown>)[] = [
      weak,
      (store) => store.save('staging', NAME, 'privkey.p-256.pem', 'garbage'),
      (store) => store.save('staging', NAME, 'pubcert.p-256.pem', 'garbage'),
      (store) => store.remove('staging', NAME, 'privkey.p-256.pem'),
      async (store) => savePrivateKey(store, 'staging', NAME, 'privkey.p-256.pem', await generateKey(P256)),
      (store) => put(store, 'staging', NAME, { names: [NAME], notBefore: 0, notAfter: 1000 }),
    ];
    for (const act of spoil) {
      const store = await staged();
      const before = await put(store, 'domains', NAME, { names: [NAME] });
      await act(store);
      await assert.rejects(activateStaged(store, NAME, { clock }), { code: 'activation-unusable' });
      assert.deepEqual(await store.list('staging'), []);
      assert.equal((await store.load('domains', NAME, 'pubcert.p-256.pem'))?.toString(), before);
    }
  });

  test('goes on after a crash at every single step', async () => {
    const whole = new CrashStore(await staged(), Infinity, true);
    await activateStaged(whole, NAME, { clock });
    for (let at = 1; at <= whole.changes; at += 1) {
      for (const applied of [false, true]) {
        const store = await staged();
        await assert.rejects(activateStaged(new CrashStore(store, at, applied), NAME, { clock }), Crash);
        await activateStaged(store, NAME, { clock, finishedOnly: true });
        assert.deepEqual(await store.list('staging'), []);
        assert.deepEqual(await store.list('archive'), []);
        assert.deepEqual(await store.list('accounts'), ['ACME-ca.example-0000']);
        assert.equal((await store.aspects('domains', NAME)).length, 6);
        assert.equal((await readMd(store, 'domains', NAME))?.ca.account, 'ACME-ca.example-0000');
      }
    }
  });
});
