/** What the contract in store.ts promises, tried on an implementation. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import * as fc from 'fast-check';
import { loadPrivateKey, savePrivateKey } from './keys.ts';
import { groups, maxValue } from './store.ts';
import type { Group, Store } from './store.ts';

/** Names that every store has to refuse. */
export const hostileNames: readonly string[] = [
  '',
  '.',
  '..',
  '.hidden',
  '../domains',
  'a/b',
  '/etc/passwd',
  'a/../../b',
  'a\\b',
  'a\0b',
  'a b',
  'a\nb',
  'ä.example',
  '\u{d800}',
  'x'.repeat(256),
];

const names = fc
  .string({
    unit: fc.constantFrom('a', 'b', 'z', '0', '9', '-', '_', '.', '*', '[', ']', ':', '~'),
    minLength: 1,
    maxLength: 60,
  })
  .filter((name) => !name.startsWith('.'));

/** Registers the suite for one implementation. `make` gives an empty store; it is called for each test. */
export function storeConformance(implementation: string, make: (t: TestContext) => Promise<Store>): void {
  const promise = (what: string, body: (store: Store) => Promise<void>): void => {
    test(`${implementation}: ${what}`, async (t) => body(await make(t)));
  };

  promise('what was never saved is undefined, and lists are empty', async (store) => {
    for (const group of groups) {
      assert.equal(await store.load(group, 'a.example', 'md.json'), undefined);
      assert.equal(await store.modified(group, 'a.example', 'md.json'), undefined);
      assert.deepEqual(await store.list(group), []);
      assert.deepEqual(await store.aspects(group, 'a.example'), []);
    }
  });

  promise('any bytes saved under any good name are loaded again', async (store) => {
    const property = fc.asyncProperty(
      fc.constantFrom(...groups),
      names,
      names,
      fc.uint8Array(),
      async (group, name, aspect, bytes) => {
        await store.save(group, name, aspect, Buffer.from(bytes));
        assert.deepEqual(await store.load(group, name, aspect), Buffer.from(bytes));
        assert.ok((await store.list(group)).includes(name));
        assert.ok((await store.aspects(group, name)).includes(aspect));
      },
    );
    await fc.assert(property, { numRuns: 40 });
  });

  promise('a value saved again is replaced, shorter or longer', async (store) => {
    for (const value of ['one', 'a longer one', 'x', '']) {
      await store.save('domains', 'a.example', 'md.json', value);
      assert.equal(String(await store.load('domains', 'a.example', 'md.json')), value);
    }
  });

  promise('wildcard names and names of full length are names like others', async (store) => {
    for (const name of ['*.a.example', 'x'.repeat(255), 'ACME-127.0.0.1-0000']) {
      await store.save('staging', name, 'md.json', name);
      assert.equal(String(await store.load('staging', name, 'md.json')), name);
    }
    assert.deepEqual(await store.list('staging'), ['*.a.example', 'ACME-127.0.0.1-0000', 'x'.repeat(255)]);
  });

  promise('names that reach outside are refused by every method', async (store) => {
    const refused = { code: 'store-bad-name' };
    for (const bad of hostileNames) {
      await assert.rejects(store.load('domains', bad, 'md.json'), refused);
      await assert.rejects(store.load('domains', 'a.example', bad), refused);
      await assert.rejects(store.save('domains', bad, 'md.json', ''), refused);
      await assert.rejects(store.save('domains', 'a.example', bad, ''), refused);
      await assert.rejects(store.remove('domains', bad, 'md.json'), refused);
      await assert.rejects(store.remove('domains', 'a.example', bad), refused);
      await assert.rejects(store.purge('domains', bad), refused);
      await assert.rejects(store.aspects('domains', bad), refused);
      await assert.rejects(store.modified('domains', bad, 'md.json'), refused);
      await assert.rejects(store.modified('domains', 'a.example', bad), refused);
      await assert.rejects(store.activate(bad, new Map()), refused);
      await assert.rejects(store.activate('a.example', new Map([[bad, '']])), refused);
    }
    for (const group of groups) assert.deepEqual(await store.list(group), []);
  });

  promise('lists are sorted and know nothing of other groups', async (store) => {
    for (const name of ['c.example', 'a.example', 'b.example']) {
      await store.save('staging', name, 'pubcert.pem', '');
      await store.save('staging', name, 'md.json', '');
    }
    assert.deepEqual(await store.list('staging'), ['a.example', 'b.example', 'c.example']);
    assert.deepEqual(await store.aspects('staging', 'a.example'), ['md.json', 'pubcert.pem']);
    assert.deepEqual(await store.list('domains'), []);
  });

  promise(
    'removing takes away one aspect, purging all, and neither minds that nothing is there',
    async (store) => {
      for (const aspect of ['a', 'b', 'c']) await store.save('challenges', 'a.example', aspect, aspect);
      await store.remove('challenges', 'a.example', 'b');
      await store.remove('challenges', 'a.example', 'b');
      assert.deepEqual(await store.aspects('challenges', 'a.example'), ['a', 'c']);
      await store.purge('challenges', 'a.example');
      await store.purge('challenges', 'a.example');
      assert.deepEqual(await store.list('challenges'), []);
      assert.equal(await store.load('challenges', 'a.example', 'a'), undefined);
    },
  );

  promise('modified is the time of the last save', async (store) => {
    await store.save('domains', 'a.example', 'md.json', '1');
    const first = await store.modified('domains', 'a.example', 'md.json');
    await store.save('domains', 'a.example', 'md.json', '2');
    const second = await store.modified('domains', 'a.example', 'md.json');
    assert.ok(first !== undefined && second !== undefined && second >= first);
    assert.ok(first > Date.parse('2020-01-01'));
  });

  promise('what was given or got may be changed without changing the store', async (store) => {
    const given = Buffer.from('value');
    await store.save('domains', 'a.example', 'md.json', given);
    given.fill(0);
    (await store.load('domains', 'a.example', 'md.json'))?.fill(0);
    assert.equal(String(await store.load('domains', 'a.example', 'md.json')), 'value');
  });

  promise('a value of 1 MiB is kept, a larger one refused, and the old one stays', async (store) => {
    const largest = Buffer.alloc(maxValue, 'x');
    await store.save('domains', 'a.example', 'md.json', largest);
    const tooLarge = { code: 'store-too-large' };
    await assert.rejects(store.save('domains', 'a.example', 'md.json', Buffer.alloc(maxValue + 1)), tooLarge);
    await assert.rejects(
      store.activate('a.example', new Map([['md.json', 'ä'.repeat(maxValue / 2 + 1)]])),
      tooLarge,
    );
    assert.deepEqual(await store.load('domains', 'a.example', 'md.json'), largest);
  });

  promise('activating gives a first set, and archives each that it replaces as a whole', async (store) => {
    assert.equal(await store.activate('a.example', set(1)), undefined);
    assert.deepEqual(await contents(store, 'domains', 'a.example'), set(1));
    await store.save('domains', 'a.example', 'job.json', 'of the first');
    assert.equal(await store.activate('a.example', set(2)), 1);
    assert.deepEqual(await contents(store, 'domains', 'a.example'), set(2));
    const archived = new Map([...set(1), ['job.json', 'of the first']]);
    assert.deepEqual(await contents(store, 'archive', 'a.example.1'), archived);
    assert.equal(await store.activate('a.example', set(3)), 2);
    await store.purge('archive', 'a.example.1');
    assert.equal(await store.activate('a.example', set(4)), 1);
    assert.deepEqual(await store.list('archive'), ['a.example.1', 'a.example.2']);
    assert.deepEqual(await store.list('domains'), ['a.example']);
    assert.deepEqual(await store.list('tmp'), []);
  });

  promise('a name too long for its archive is refused, and its set stays', async (store) => {
    const name = 'x'.repeat(254);
    await store.activate(name, set(1));
    await assert.rejects(store.activate(name, set(2)), { code: 'store-bad-name' });
    assert.deepEqual(await contents(store, 'domains', name), set(1));
  });

  promise('an aborted operation gives the reason and changes nothing', async (store) => {
    const reason = new Error('enough');
    const options = { signal: AbortSignal.abort(reason) };
    await store.activate('a.example', set(1));
    await assert.rejects(store.save('domains', 'a.example', 'md.json', 'new', options), reason);
    await assert.rejects(store.activate('a.example', set(2), options), reason);
    await assert.rejects(store.remove('domains', 'a.example', 'md.json', options), reason);
    await assert.rejects(store.purge('domains', 'a.example', options), reason);
    await assert.rejects(store.load('domains', 'a.example', 'md.json', options), reason);
    await assert.rejects(store.list('domains', options), reason);
    assert.deepEqual(await contents(store, 'domains', 'a.example'), set(1));
  });

  promise('whoever reads while others write sees one whole value', async (store) => {
    const values = Array.from({ length: 8 }, (_, i) => String(i).repeat(20_000 + i));
    await store.save('domains', 'a.example', 'md.json', 'first');
    const writes = Promise.all(values.map((value) => store.save('domains', 'a.example', 'md.json', value)));
    const known = new Set(['first', ...values]);
    await during(writes, async () => {
      const value = await store.load('domains', 'a.example', 'md.json');
      assert.ok(known.has(String(value)));
    });
  });

  promise(
    'a domain is never seen missing while its set is replaced, and every set is archived',
    async (store) => {
      await store.activate('a.example', set(0));
      const numbers = Promise.all([1, 2, 3, 4, 5].map((n) => store.activate('a.example', set(n))));
      await during(numbers, async () => {
        assert.notEqual(await store.load('domains', 'a.example', 'md.json'), undefined);
        assert.deepEqual(await store.list('domains'), ['a.example']);
      });
      assert.deepEqual(await numbers, [1, 2, 3, 4, 5]);
      assert.deepEqual(await contents(store, 'domains', 'a.example'), set(5));
      assert.equal(String(await store.load('archive', 'a.example.1', 'md.json')), 'md 0');
    },
  );

  promise('private keys are encrypted where others may read, and load from everywhere', async (store) => {
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (const group of groups) {
      await savePrivateKey(store, group, 'a.example', 'privkey.pem', key);
      const pem = String(await store.load(group, 'a.example', 'privkey.pem'));
      const kind = group === 'staging' || group === 'accounts' ? 'ENCRYPTED PRIVATE KEY' : 'PRIVATE KEY';
      assert.ok(pem.startsWith(`-----BEGIN ${kind}-----\n`), group);
      assert.ok((await loadPrivateKey(store, group, 'a.example', 'privkey.pem'))?.equals(key));
    }
    assert.equal(await loadPrivateKey(store, 'domains', 'b.example', 'privkey.pem'), undefined);
  });
}

/** A set of files as activate() takes it. */
export function set(n: number): Map<string, string> {
  return new Map([
    ['md.json', `md ${n}`],
    ['privkey.pem', `key ${n}`],
    ['pubcert.pem', `certificate ${n}`],
  ]);
}

/** All aspects of a name with their values. */
export async function contents(store: Store, group: Group, name: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const aspect of await store.aspects(group, name)) {
    found.set(aspect, String(await store.load(group, name, aspect)));
  }
  return found;
}

async function during(work: Promise<unknown>, look: () => Promise<void>): Promise<void> {
  const state = { ended: false };
  const end = work.finally(() => (state.ended = true));
  do await look();
  while (!state.ended);
  await end;
}
