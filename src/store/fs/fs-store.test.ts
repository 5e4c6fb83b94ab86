import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, writeFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { inspect } from 'node:util';
import { contents, set, storeConformance } from '../conformance.testing.ts';
import { StoreKey } from '../storekey.ts';
import { FlakyDisk } from './flaky-disk.testing.ts';
import { FsStore } from './fs-store.ts';
import { temporaryFolder } from './temporary.testing.ts';

storeConformance('fs', async (t) => FsStore.open({ dir: `${await temporaryFolder(t)}/md` }));

const notRoot = process.geteuid?.() !== 0 && 'only root can give files to others';
const notLinux = process.platform !== 'linux' && 'this needs Linux';

async function place(t: TestContext): Promise<string> {
  return join(await temporaryFolder(t), 'md');
}

test('a store is made on first open, and is the same store ever after', async (t) => {
  const dir = await place(t);
  const first = await FsStore.open({ dir });
  const description = await readFile(join(dir, 'md_store.json'), 'utf8');
  assert.match(
    description,
    /^\{\n {2}"store": \{\n {4}"version": 3\.0\n {2}\},\n {2}"key": "[\w-]{64}"\n\}$/,
  );
  for (const again of [await FsStore.open({ dir }), await FsStore.attach({ dir })]) {
    assert.deepEqual(again.key.passphrase(), first.key.passphrase());
  }
  assert.equal(await readFile(join(dir, 'md_store.json'), 'utf8'), description);
});

test('what is left of a purged name is removed when whoever opened the store wants it, or by the next start', async (t) => {
  const dir = await place(t);
  const removals: (() => Promise<void>)[] = [];
  const store = await FsStore.open({ dir, later: (remove) => void removals.push(remove) });
  for (const name of ['a.example', 'b.example']) {
    await store.save('staging', name, 'job.json', '{}');
    await store.purge('staging', name);
    assert.equal(await store.load('staging', name, 'job.json'), undefined);
  }
  assert.deepEqual(await store.list('staging'), []);
  const left = async () => (await readdir(join(dir, 'tmp'))).filter((name) => name !== '.ready');
  assert.equal((await left()).length, 2);
  await removals[0]?.();
  assert.equal((await left()).length, 1);
  await FsStore.open({ dir });
  assert.deepEqual(await left(), []);
  await removals[1]?.();
});

test('where there is no store, attaching and reading only say so and make none', async (t) => {
  const dir = await place(t);
  await assert.rejects(FsStore.attach({ dir }), { code: 'store-missing' });
  await assert.rejects(FsStore.open({ dir, readOnly: true }), { code: 'store-missing' });
  await assert.rejects(stat(dir), { code: 'ENOENT' });
});

test('garbage in md_store.json keeps the store shut, untouched, and names file and remedy', async (t) => {
  const dir = await place(t);
  await FsStore.open({ dir });
  const path = join(dir, 'md_store.json');
  const good = JSON.parse(await readFile(path, 'utf8'));
  const garbage = [
    '',
    '{',
    '[]',
    'null',
    '{"store":{"version":3.0}}',
    '{"store":{"version":"3"},"key":"x"}',
    JSON.stringify({ ...good, key: good.key.slice(1) }),
    JSON.stringify({ ...good, key: 5 }),
    JSON.stringify({ ...good, store: { version: 4 } }),
  ];
  for (const text of garbage) {
    await writeFile(path, text);
    for (const open of [() => FsStore.open({ dir }), () => FsStore.attach({ dir })]) {
      await assert.rejects(open, (error: Error & { code?: string }) => {
        assert.equal(error.code, 'store-garbage');
        assert.ok(error.message.startsWith(path));
        assert.match(error.message, /restore it|newer Latchkey/);
        assert.ok(!error.message.includes(good.key.slice(1)));
        return true;
      });
    }
    assert.equal(await readFile(path, 'utf8'), text);
  }
});

test('the key of a store prints nowhere', async (t) => {
  const store = await FsStore.open({ dir: await place(t) });
  const secrets = [store.key.encode(), store.key.passphrase().toString('hex').slice(0, 20)];
  for (const text of [
    inspect(store, { depth: 9, showHidden: true }),
    JSON.stringify(store),
    String(store.key),
  ]) {
    for (const secret of secrets) assert.ok(!text.includes(secret));
  }
  assert.deepEqual(StoreKey.parse(store.key.encode())?.passphrase(), store.key.passphrase());
});

test('start duties: challenges are purged when asked, and tmp is cleared', async (t) => {
  const dir = await place(t);
  const store = await FsStore.open({ dir });
  await store.save('challenges', 'a.example', 'acme-http-01.txt', 'token');
  await mkdir(join(dir, 'tmp/b.example/deep/er'), { recursive: true });
  await writeFile(join(dir, 'tmp/b.example/job.json'), '{}');
  await writeFile(join(dir, 'challenges/README'), 'stray');
  await FsStore.attach({ dir });
  assert.deepEqual(await store.list('challenges'), ['a.example']);
  await FsStore.open({ dir });
  assert.deepEqual(await store.list('challenges'), ['a.example']);
  assert.deepEqual(await store.list('tmp'), []);
  await FsStore.open({ dir, purgeChallenges: true });
  assert.deepEqual(await readdir(join(dir, 'challenges')), ['README']);
});

test('stray files are left alone and left out; folders where files should be are unreadable', async (t) => {
  const dir = await place(t);
  const store = await FsStore.open({ dir });
  await writeFile(join(dir, 'domains/NOTES'), '');
  await mkdir(join(dir, 'domains/a.example/backup'), { recursive: true });
  await writeFile(join(dir, 'domains/a.example/.hidden'), '');
  await writeFile(join(dir, 'domains/a.example/large.pem'), Buffer.alloc(2 ** 20 + 1));
  assert.deepEqual(await store.list('domains'), ['a.example']);
  assert.deepEqual(await store.aspects('domains', 'a.example'), ['large.pem']);
  assert.deepEqual(await store.aspects('domains', 'NOTES'), []);
  for (const aspect of ['backup', 'large.pem']) {
    await assert.rejects(store.load('domains', 'a.example', aspect), { code: 'store-unreadable' });
  }
});

test('a FIFO in the place of a file blocks nobody', { skip: notLinux }, async (t) => {
  const dir = await place(t);
  const store = await FsStore.open({ dir });
  await store.save('staging', 'a.example', 'md.json', '');
  execFileSync('mkfifo', [join(dir, 'staging/a.example/job.json')]);
  await assert.rejects(store.load('staging', 'a.example', 'job.json'), { code: 'store-unreadable' });
});

test('a store that vanished is missing, not empty', async (t) => {
  const dir = await place(t);
  const store = await FsStore.open({ dir });
  await store.activate('a.example', set(1));
  await rename(dir, `${dir}.unmounted`);
  await assert.rejects(store.load('domains', 'a.example', 'md.json'), { code: 'store-missing' });
  await assert.rejects(store.list('domains'), { code: 'store-missing' });
  await rename(`${dir}.unmounted`, dir);
  await rm(join(dir, 'staging'), { recursive: true });
  assert.deepEqual(await store.list('staging'), []);
  await store.save('staging', 'a.example', 'md.json', 'again');
  assert.equal(await store.load('staging', 'a.example', 'md.json').then(String), 'again');
});

test('a store for reading only changes nothing and is no start', async (t) => {
  const dir = await place(t);
  await (await FsStore.open({ dir })).save('tmp', 'a.example', 'md.json', 'under way');
  const store = await FsStore.open({ dir, readOnly: true });
  const denied = { code: 'store-denied' };
  await assert.rejects(store.save('domains', 'a.example', 'md.json', ''), denied);
  await assert.rejects(store.activate('a.example', set(1)), denied);
  await assert.rejects(store.purge('tmp', 'a.example'), denied);
  await assert.rejects(store.remove('tmp', 'a.example', 'md.json'), denied);
  await assert.rejects(store.saveServedProtocols({ http: true, https: true }), denied);
  assert.equal(String(await store.load('tmp', 'a.example', 'md.json')), 'under way');
});

test('httpd.json is remembered, and garbage in it forgotten', async (t) => {
  const dir = await place(t);
  const store = await FsStore.open({ dir });
  assert.equal(await store.servedProtocols(), undefined);
  for (const garbage of ['{', '[]', '{"proto":{"http":1}}']) {
    await writeFile(join(dir, 'httpd.json'), garbage);
    assert.equal(await store.servedProtocols(), undefined);
  }
  await store.saveServedProtocols({ http: true, https: true });
  assert.deepEqual(await store.servedProtocols(), { http: true, https: true });
  const text = '{\n  "proto": {\n    "http": true,\n    "https": true\n  }\n}';
  assert.equal(await readFile(join(dir, 'httpd.json'), 'utf8'), text);
});

test('a save that fails keeps the old value and leaves nothing behind', { skip: notLinux }, async (t) => {
  const root = await temporaryFolder(t);
  const dir = join(root, 'md');
  const limbo = join(root, 'limbo');
  const plain = await FsStore.open({ dir });
  for (let at = 0, done = false; !done; at += 1) {
    await rm(limbo, { recursive: true, force: true });
    await mkdir(limbo);
    await plain.save('staging', 'a.example', 'md.json', 'old');
    await using flaky = new FlakyDisk(limbo, at, { kind: 'error', code: 'ENOSPC' });
    const store = await FsStore.attach({ dir, disk: flaky.disk });
    const saving = store.save('staging', 'a.example', 'md.json', 'new');
    done = await saving.then(
      () => true,
      (error: unknown) => {
        assert.equal((error as { code?: string }).code, 'store-full');
        return false;
      },
    );
    assert.match(
      String(await store.load('staging', 'a.example', 'md.json')),
      done ? /^new$/ : /^(?:old|new)$/,
    );
    assert.deepEqual(await readdir(join(dir, 'staging/a.example')), ['md.json']);
  }
});

test(
  'a full disk: the old value stays, what is there can be read and removed',
  { skip: notRoot || notLinux },
  async (t) => {
    const dir = await place(t);
    await mkdir(dir);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir], { stdio: 'pipe' });
    } catch {
      t.skip('mounting a small tmpfs is not allowed here');
      return;
    }
    using _ = { [Symbol.dispose]: () => execFileSync('umount', [dir]) };
    const store = await FsStore.open({ dir });
    const large = (letter: string) => letter.repeat(70_000);
    await store.activate('a.example', new Map([['md.json', large('a')]]));
    await store.save('staging', 'a.example', 'md.json', large('s'));
    const full = { code: 'store-full' };
    const more = large('b').repeat(3);
    await assert.rejects(store.save('staging', 'a.example', 'md.json', more), full);
    await assert.rejects(store.save('domains', 'a.example', 'md.json', more), full);
    await assert.rejects(store.activate('a.example', new Map([['md.json', more]])), full);
    assert.equal(String(await store.load('domains', 'a.example', 'md.json')), large('a'));
    assert.equal(String(await store.load('staging', 'a.example', 'md.json')), large('s'));
    assert.deepEqual(await readdir(join(dir, 'tmp')), ['.ready']);
    assert.deepEqual(await readdir(join(dir, 'staging/a.example')), ['md.json']);
    await store.purge('staging', 'a.example');
    await store.activate('a.example', new Map([['md.json', large('c')]]));
    assert.deepEqual(await contents(store, 'archive', 'a.example.1'), new Map([['md.json', large('a')]]));
  },
);
