import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { parseChain } from '../../pki/certificate.ts';
import { readMd } from '../../store/documents.ts';
import { loadPrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { DAY, P256, P384, put, settings } from '../domains.testing.ts';
import { syncDomains } from './registry.ts';
import type { ManagedDomainSettings } from '../settings.ts';

const RSA = { type: 'RSA', bits: 2048 } as const;

async function sync(
  store: MemoryStore,
  domains: readonly ManagedDomainSettings[],
  clock = new TestClock(),
): Promise<void> {
  await syncDomains(store, domains, clock);
}

/** Counts what is written. */
function counting(store: MemoryStore): { readonly writes: string[] } {
  const writes: string[] = [];
  const save = store.save.bind(store);
  store.save = (group, name, aspect, value, options) => {
    writes.push(`${group}/${name}/${aspect}`);
    return save(group, name, aspect, value, options);
  };
  return { writes };
}

suite('bringing domains in line with the store', () => {
  test('writes md.json as mod_md does', async () => {
    const store = new MemoryStore();
    const domain = settings('a.example', {
      domains: ['a.example', 'www.a.example'],
      transitive: true,
      authorities: ['https://one.example/dir', 'https://two.example/dir'],
      challenges: ['http-01'],
      renewMode: 'always',
      renewWindow: { ms: 14 * DAY },
      keys: [RSA, P384],
      requireHttps: 'permanent',
    });
    await sync(store, [domain]);
    const bytes = await store.load('domains', 'a.example', 'md.json');
    assert.deepEqual(JSON.parse(bytes?.toString() ?? ''), {
      name: 'a.example',
      domains: ['a.example', 'www.a.example'],
      contacts: ['mailto:admin@example.org'],
      transitive: 1,
      ca: {
        proto: 'ACME',
        url: 'https://one.example/dir',
        urls: ['https://one.example/dir', 'https://two.example/dir'],
        agreement: 'accepted',
        challenges: ['http-01'],
      },
      privkey: [
        { type: 'RSA', bits: 2048 },
        { type: 'EC', curve: 'secp384r1' },
      ],
      state: 1,
      'state-descr': 'there is no certificate for the RSA key; there is no certificate for the SECP384R1 key',
      'renew-mode': 2,
      'renew-window': '14d',
      'warn-window': '10%',
      'require-https': 'permanent',
      'must-staple': false,
      proto: { 'acme-tls/1': ['a.example', 'www.a.example'] },
      stapling: false,
      'profile-mandatory': false,
      'ari-renewals': true,
    });
  });

  test('keeps what it does not know in md.json, and the account', async () => {
    const store = new MemoryStore();
    const domain = settings('a.example', { keys: [RSA] });
    await sync(store, [domain]);
    const md = await readMd(store, 'domains', 'a.example');
    assert.ok(md);
    assert.equal(md.privkey, undefined);
    const changed = { ...md, ca: { ...md.ca, account: 'ACME-ca-0000' }, future: { thing: 1 } };
    await store.save('domains', 'a.example', 'md.json', JSON.stringify(changed));
    await sync(store, [{ ...domain, contacts: ['mailto:b@example.org'] }]);
    const after: unknown = await readMd(store, 'domains', 'a.example');
    assert.partialDeepStrictEqual(after, {
      ca: { account: 'ACME-ca-0000' },
      future: { thing: 1 },
      contacts: ['mailto:b@example.org'],
    });
  });

  test('gives a fallback certificate with the right names until there is a real one', async () => {
    const store = new MemoryStore();
    const names = ['a.example', '*.a.example'];
    const domain = settings('a.example', { domains: names });
    await sync(store, [domain]);
    const pem = await store.load('domains', 'a.example', 'fallback-pubcert.p-256.pem');
    const key = await loadPrivateKey(store, 'domains', 'a.example', 'fallback-privkey.p-256.pem');
    const [leaf] = parseChain(pem?.toString() ?? '');
    assert.ok(leaf && key);
    assert.deepEqual(leaf.names, names);
    assert.ok(leaf.x509.checkPrivateKey(key));
    const other = settings('b.example');
    await put(store, 'domains', 'b.example', { names: ['b.example'] });
    await sync(store, [other]);
    assert.deepEqual(await store.aspects('domains', 'b.example'), [
      'md.json',
      'privkey.p-256.pem',
      'pubcert.p-256.pem',
    ]);
  });

  test('writes nothing where nothing changed', async () => {
    const store = new MemoryStore();
    const domains = [settings('a.example'), settings('b.example', { keys: [RSA, P256] })];
    await put(store, 'domains', 'b.example', { names: ['b.example'] });
    const { writes } = counting(store);
    await sync(store, domains);
    assert.deepEqual(writes.sort(), [
      'domains/a.example/fallback-privkey.p-256.pem',
      'domains/a.example/fallback-pubcert.p-256.pem',
      'domains/a.example/md.json',
      'domains/b.example/md.json',
    ]);
    writes.length = 0;
    await sync(store, domains);
    assert.deepEqual(writes, []);
  });

  test('renews a fallback certificate before it expires, or when names were added', async () => {
    const store = new MemoryStore();
    const clock = new TestClock();
    const domain = settings('a.example');
    await sync(store, [domain], clock);
    const { writes } = counting(store);
    clock.jump(clock.now() + 10 * DAY);
    await sync(store, [domain], clock);
    assert.equal(writes.length, 2);
    await sync(store, [{ ...domain, domains: ['a.example', 'b.example'] }], clock);
    assert.equal(writes.length, 5);
  });

  test('knows the state: complete, incomplete, key of another certificate', async () => {
    const store = new MemoryStore();
    await put(store, 'domains', 'good.example', { names: ['good.example', 'more.example'] });
    await put(store, 'domains', 'names.example', { names: ['names.example'] });
    await put(store, 'domains', 'key.example', { names: ['key.example'] });
    const other = await store.load('domains', 'good.example', 'privkey.p-256.pem');
    await store.save('domains', 'key.example', 'privkey.p-256.pem', other ?? '');
    await store.save('domains', 'garbage.example', 'pubcert.p-256.pem', 'garbage');
    await store.save('domains', 'garbage.example', 'md.json', 'garbage');
    await sync(store, [
      settings('good.example'),
      settings('names.example', { domains: ['names.example', 'new.example'] }),
      settings('key.example'),
      settings('garbage.example'),
    ]);
    const describe = async (name: string) => {
      const md = await readMd(store, 'domains', name);
      return [md?.state, md?.['state-descr']];
    };
    assert.deepEqual(await describe('good.example'), [2, undefined]);
    assert.deepEqual(await describe('names.example'), [1, 'the certificate does not cover new.example']);
    assert.deepEqual(await describe('key.example'), [
      1,
      'privkey.p-256.pem is not the key of the certificate in pubcert.p-256.pem',
    ]);
    const [state, description] = await describe('garbage.example');
    assert.equal(state, 1);
    assert.match(String(description), /^pubcert\.p-256\.pem or its key can't be used/);
    assert.ok(await store.load('domains', 'garbage.example', 'fallback-pubcert.p-256.pem'));
  });

  test('lets a renamed domain, and one that names moved to, keep their certificates', async () => {
    const store = new MemoryStore();
    const old = settings('old.example', { domains: ['old.example', 'a.example', 'b.example'] });
    const pem = await put(store, 'domains', 'old.example', { names: old.domains });
    await put(store, 'domains', 'less.example', { names: ['a.example', 'less.example'] });
    const less = settings('less.example', { domains: ['a.example', 'less.example'] });
    await sync(store, [old, less]);
    await sync(store, [settings('a.example', { domains: ['a.example', 'b.example', 'new.example'] })]);
    assert.equal((await store.load('domains', 'a.example', 'pubcert.p-256.pem'))?.toString(), pem);
    assert.ok(await loadPrivateKey(store, 'domains', 'a.example', 'privkey.p-256.pem'));
    const md = await readMd(store, 'domains', 'a.example');
    assert.equal(md?.['state-descr'], 'the certificate does not cover new.example');
    // What is configured no more stays where it is.
    assert.ok(await store.load('domains', 'old.example', 'pubcert.p-256.pem'));
  });

  test('passes over garbage in folders that it does not know', async () => {
    const store = new MemoryStore();
    await store.save('domains', 'stray', 'md.json', '{"name":');
    await store.save('domains', 'stray', 'notes.txt', 'mine');
    await sync(store, [settings('a.example')]);
    assert.equal((await store.load('domains', 'stray', 'md.json'))?.toString(), '{"name":');
  });

  test('finds its way through thousands of domains, writing nothing twice', async () => {
    const store = new MemoryStore();
    const pem = await put(store, 'domains', 'd0.example', { names: ['*.example'] });
    const key = await store.load('domains', 'd0.example', 'privkey.p-256.pem');
    const domains = Array.from({ length: 3000 }, (_, n) => settings(`d${n}.example`));
    for (const { name } of domains) {
      await store.save('domains', name, 'pubcert.p-256.pem', pem);
      await store.save('domains', name, 'privkey.p-256.pem', key ?? '');
    }
    await sync(store, domains);
    const { writes } = counting(store);
    await sync(store, domains);
    assert.deepEqual(writes, []);
  });
});
