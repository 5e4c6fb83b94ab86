import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import * as fc from 'fast-check';
import * as documents from './documents.ts';
import type { JobDocument, MdDocument } from './documents.ts';
import { FsStore } from './fs/fs-store.ts';
import { temporaryFolder } from './fs/temporary.testing.ts';
import { loadPrivateKey } from './keys.ts';
import { MemoryStore } from './memory.ts';
import type { Group } from './store.ts';

const name = 'a.example';

const md: MdDocument = {
  name,
  domains: [name],
  contacts: [],
  transitive: 0,
  ca: { urls: ['https://ca.example/dir'] },
  state: 1,
  'renew-mode': 1,
  'renew-window': '33%',
  'warn-window': '10%',
  'must-staple': false,
  proto: { 'acme-tls/1': [] },
  stapling: false,
  'profile-mandatory': false,
  'ari-renewals': true,
};

const job: JobDocument = {
  name,
  finished: false,
  notified: false,
  'notified-renewed': false,
  errors: 0,
  log: { entries: [] },
};

/** Reads and writes a document of each kind. */
const rewrite: Record<string, (store: FsStore, group: Group, name: string) => Promise<void>> = {
  'md.json': (...at) => again(documents.readMd, documents.writeMd, at),
  'job.json': (...at) => again(documents.readJob, documents.writeJob, at),
  'account.json': (...at) => again(documents.readAccount, documents.writeAccount, at),
  'order.json': (...at) => again(documents.readOrder, documents.writeOrder, at),
};

async function again<D>(
  read: (store: FsStore, group: Group, name: string) => Promise<D | undefined>,
  write: (store: FsStore, group: Group, name: string, document: D) => Promise<void>,
  [store, group, name]: [FsStore, Group, string],
): Promise<void> {
  const document = await read(store, group, name);
  assert.ok(document);
  await write(store, group, name, document);
}

async function apacheStore(t: TestContext): Promise<FsStore> {
  const dir = await temporaryFolder(t);
  await cp(join(import.meta.dirname, 'fixtures/apache'), dir, { recursive: true });
  return FsStore.open({ dir });
}

test('every document that Apache wrote is read, and written again byte for byte', async (t) => {
  const store = await apacheStore(t);
  let count = 0;
  for (const group of ['accounts', 'domains', 'staging'] as const) {
    for (const name of await store.list(group)) {
      for (const aspect of (await store.aspects(group, name)).filter((a) => a.endsWith('.json'))) {
        const before = await store.load(group, name, aspect);
        await rewrite[aspect]?.(store, group, name);
        assert.equal(String(await store.load(group, name, aspect)), String(before));
        count += 1;
      }
    }
  }
  assert.equal(count, 6);
});

test('keys that Apache encrypted are read with the key of md_store.json', async (t) => {
  const store = await apacheStore(t);
  const staged = await loadPrivateKey(store, 'staging', 'a.latchkey.test', 'privkey.secp384r1.pem');
  assert.equal(staged?.asymmetricKeyDetails?.namedCurve, 'secp384r1');
  const account = await loadPrivateKey(store, 'accounts', 'ACME-127.0.0.1-0000', 'account.pem');
  assert.equal(account?.asymmetricKeyDetails?.modulusLength, 3072);
});

test('a key of another store, or none at all, is garbage and names itself without quoting', async (t) => {
  const store = await apacheStore(t);
  const foreign = new MemoryStore();
  for (const pem of [await store.load('accounts', 'ACME-127.0.0.1-0000', 'account.pem'), 'secret garbage']) {
    await foreign.save('accounts', name, 'account.pem', pem ?? '');
    await assert.rejects(loadPrivateKey(foreign, 'accounts', name, 'account.pem'), (error: Error) => {
      assert.match(error.message, /^accounts\/a\.example\/account\.pem/);
      assert.doesNotMatch(error.message, /secret|MII/);
      assert.equal((error as { code?: string }).code, 'store-garbage');
      return true;
    });
  }
});

test('unknown fields survive a change, at every level that is written', async () => {
  const store = new MemoryStore();
  const text = JSON.stringify({ ...md, later: { x: [1] }, ca: { ...md.ca, more: 'y' } });
  await store.save('domains', name, 'md.json', text);
  const read = await documents.readMd(store, 'domains', name);
  assert.ok(read);
  await documents.writeMd(store, 'domains', name, { ...read, state: 2 });
  const written = JSON.parse(String(await store.load('domains', name, 'md.json')));
  assert.deepEqual(written, { ...JSON.parse(text), state: 2 });
});

test('what older versions and other hands left out gets its default', async () => {
  const store = new MemoryStore();
  const old = {
    name,
    transitive: true,
    ca: { proto: 'ACMEv1', url: 'https://ca.example/dir' },
    'renew-window': 1_209_600,
    'require-https': 'off',
  };
  await store.save('domains', name, 'md.json', JSON.stringify(old));
  assert.deepEqual(await documents.readMd(store, 'domains', name), {
    ...md,
    domains: [],
    transitive: 1,
    ca: { ...old.ca, urls: [old.ca.url] },
    state: 0,
    'renew-window': '14d',
    'require-https': undefined,
  });
  await store.save('staging', name, 'job.json', '{}');
  assert.deepEqual(await documents.readJob(store, 'staging', name), { ...job, name: '' });
});

test('what is at its default is not written', async () => {
  const store = new MemoryStore();
  const empty = { privkey: [], eab: undefined, 'require-https': undefined, profile: undefined };
  await documents.writeMd(store, 'domains', name, { ...md, ...empty, ca: { ...md.ca, challenges: [] } });
  assert.equal(String(await store.load('domains', name, 'md.json')), JSON.stringify(md, undefined, 2));
  await documents.writeMd(store, 'domains', name, { ...md, privkey: [{ type: 'RSA', bits: 3072 }] });
  assert.deepEqual((await documents.readMd(store, 'domains', name))?.privkey, { type: 'RSA', bits: 3072 });
});

test('nothing is written that mod_md could not read', async () => {
  const store = new MemoryStore();
  const garbage = { code: 'store-garbage' };
  const bad = [{ state: 9 }, { 'renew-window': 'soon' }, { 'renew-mode': 0.5 }];
  for (const change of bad) {
    await assert.rejects(documents.writeMd(store, 'domains', name, { ...md, ...change }), garbage);
  }
  const dates = [{ 'next-run': '2026-11-22' }, { log: { entries: [{ when: 'now', type: 'progress' }] } }];
  for (const change of dates) {
    await assert.rejects(documents.writeJob(store, 'staging', name, { ...job, ...change }), garbage);
  }
  assert.deepEqual(await store.list('domains'), []);
});

test('garbage is refused by name, whatever it is, and never quoted', async () => {
  const store = new MemoryStore();
  const texts = ['', '{', 'null', '[]', '"x"', '{"name":5}', '{"name":"x","ca":"secret"}', '\0'.repeat(100)];
  for (const text of texts) {
    await store.save('staging', name, 'md.json', text);
    await assert.rejects(documents.readMd(store, 'staging', name), (error: Error) => {
      assert.match(error.message, /^staging\/a\.example\/md\.json is not what it should be/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});

test('any JSON is read as a document or refused as garbage', async () => {
  const store = new MemoryStore();
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.record({ name: fc.string(), log: fc.jsonValue(), url: fc.string(), 'ca-url': fc.jsonValue() }),
    fc.dictionary(fc.constantFrom('name', 'ca', 'log', 'last', 'errors', '__proto__'), fc.jsonValue()),
  );
  const reads = [documents.readMd, documents.readJob, documents.readAccount, documents.readOrder];
  const aspects = ['md.json', 'job.json', 'account.json', 'order.json'];
  await fc.assert(
    fc.asyncProperty(anything, async (value) => {
      for (const [i, read] of reads.entries()) {
        await store.save('staging', name, aspects[i] ?? '', JSON.stringify(value));
        await read(store, 'staging', name).catch((error: unknown) => {
          assert.equal((error as { code?: string }).code, 'store-garbage');
        });
      }
    }),
  );
});

test('an empty document is none: a power cut may leave one where it need not last', async () => {
  const store = new MemoryStore();
  const { readJob, readAccount, readOrder } = documents;
  for (const [aspect, read] of Object.entries({ job: readJob, account: readAccount, order: readOrder })) {
    await store.save('staging', name, `${aspect}.json`, '', { durable: false });
    assert.equal(await read(store, 'staging', name), undefined);
  }
});
