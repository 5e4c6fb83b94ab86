import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { set } from '../conformance.testing.ts';
import { FsStore } from './fs-store.ts';
import { temporaryFolder } from './temporary.testing.ts';

const notRoot = process.geteuid?.() !== 0 && 'only root can give files to others';
const notLinux = process.platform !== 'linux' && 'this needs Linux';

/** Mode and owner: `700 0:0`. */
async function access(path: string): Promise<string> {
  const { mode, uid, gid } = await stat(path);
  return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
}

test('modes are what they should be, whatever the umask', async (t) => {
  const dir = join(await temporaryFolder(t), 'md');
  const umask = process.umask(0o027);
  t.after(() => process.umask(umask));
  const store = await FsStore.open({ dir });
  await store.saveServedProtocols({ http: true, https: false });
  await store.activate('a.example', set(1));
  await store.activate('a.example', set(2));
  await store.save('domains', 'a.example', 'job.json', '');
  for (const group of ['accounts', 'staging', 'challenges', 'ocsp'] as const) {
    await store.save(group, 'a.example', 'file', '');
  }
  await store.save('challenges', 'a.example', 'acme-tls-alpn-01-privkey.secp384r1.pem', '');
  const me = `${process.geteuid?.()}:${process.getegid?.()}`;
  const secretDirs = ['domains', 'domains/a.example', 'archive', 'archive/a.example.1', 'tmp'];
  const secretFiles = [
    'md_store.json',
    'httpd.json',
    'domains/a.example/privkey.pem',
    'domains/a.example/job.json',
    'archive/a.example.1/md.json',
    'challenges/a.example/acme-tls-alpn-01-privkey.secp384r1.pem',
  ];
  for (const path of secretDirs) assert.equal(await access(join(dir, path)), `700 ${me}`, path);
  for (const path of secretFiles) assert.equal(await access(join(dir, path)), `600 ${me}`, path);
  for (const group of ['accounts', 'staging', 'challenges', 'ocsp']) {
    assert.equal(await access(join(dir, group)), `755 ${me}`, group);
    assert.equal(await access(join(dir, group, 'a.example')), `755 ${me}`, group);
    assert.equal(await access(join(dir, group, 'a.example/file')), `644 ${me}`, group);
  }
});

const owner = { uid: 65_534, gid: 65_534 };

test(
  'root gives challenges, staging and ocsp to the owner, and nothing else',
  { skip: notRoot },
  async (t) => {
    const dir = join(await temporaryFolder(t), 'md');
    const store = await FsStore.open({ dir, owner });
    await store.activate('a.example', set(1));
    for (const group of ['accounts', 'staging', 'challenges', 'ocsp'] as const) {
      await store.save(group, 'a.example', 'file', '');
      const whose = group === 'accounts' ? '0:0' : '65534:65534';
      assert.equal(await access(join(dir, group)), `755 ${whose}`);
      assert.equal(await access(join(dir, group, 'a.example')), `755 ${whose}`);
      assert.equal(await access(join(dir, group, 'a.example/file')), `644 ${whose}`);
    }
    for (const path of ['domains', 'domains/a.example', 'archive', 'tmp']) {
      assert.equal(await access(join(dir, path)), '700 0:0');
    }
  },
);

test('a store that was copied as root is given to its owners again', { skip: notRoot }, async (t) => {
  const dir = join(await temporaryFolder(t), 'md');
  const plain = await FsStore.open({ dir });
  await plain.save('staging', 'a.example', 'job.json', '{}');
  await chmod(join(dir, 'accounts'), 0o750);
  await FsStore.open({ dir, owner });
  for (const path of ['staging', 'staging/a.example']) {
    assert.equal(await access(join(dir, path)), '755 65534:65534');
  }
  assert.equal(await access(join(dir, 'staging/a.example/job.json')), '644 65534:65534');
  assert.equal(await access(join(dir, 'accounts')), '755 0:0');
});

test(
  'root is not guided elsewhere by links in folders of the owner',
  { skip: notRoot || notLinux },
  async (t) => {
    const dir = join(await temporaryFolder(t), 'md');
    const store = await FsStore.open({ dir, owner });
    const elsewhere = join(dir, '../elsewhere');
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, 'job.json'), 'precious');
    await store.save('staging', 'b.example', 'md.json', '');
    await symlink(elsewhere, join(dir, 'staging/a.example'));
    await symlink(join(elsewhere, 'job.json'), join(dir, 'staging/b.example/job.json'));
    await symlink(elsewhere, join(dir, 'challenges/a.example'));
    await assert.rejects(store.save('staging', 'a.example', 'job.json', 'x'));
    await assert.rejects(store.remove('staging', 'c.example/..', 'job.json'));
    await store.remove('staging', 'a.example', 'job.json').catch(() => {});
    for (const name of ['a.example', 'b.example']) {
      const value = await store.load('staging', name, 'job.json').catch(() => undefined);
      assert.equal(value, undefined);
      await store.purge('staging', name);
    }
    await chown(join(dir, 'staging'), 0, 0);
    await symlink(elsewhere, join(dir, 'staging/a.example'));
    await FsStore.open({ dir, owner, purgeChallenges: true });
    assert.equal(await readFile(join(elsewhere, 'job.json'), 'utf8'), 'precious');
    assert.equal(await access(elsewhere), '755 0:0');
    assert.equal(await access(join(elsewhere, 'job.json')), '644 0:0');
  },
);

test('the engine, as the owner, uses its groups and none else', { skip: notRoot }, async (t) => {
  const dir = join(await temporaryFolder(t), 'md');
  await chmod(join(dir, '..'), 0o755);
  const store = await FsStore.open({ dir, owner });
  await store.activate('a.example', set(1));
  await store.save('staging', 'b.example', 'md.json', 'by root');
  process.setegid?.(owner.gid);
  process.seteuid?.(owner.uid);
  try {
    await assert.rejects(FsStore.attach({ dir }), { code: 'store-unreadable' });
    const engine = await FsStore.attach({ dir, key: store.key.passphrase(), owner });
    await assert.rejects(engine.load('domains', 'a.example', 'md.json'), { code: 'store-unreadable' });
    await assert.rejects(engine.save('domains', 'a.example', 'md.json', ''), { code: 'store-denied' });
    for (const group of ['staging', 'challenges', 'ocsp'] as const) {
      await engine.save(group, 'c.example', 'md.json', 'by the engine');
      assert.equal(String(await engine.load(group, 'c.example', 'md.json')), 'by the engine');
      await engine.purge(group, 'c.example');
      assert.equal(await engine.load(group, 'c.example', 'md.json'), undefined);
    }
    await engine.save('staging', 'b.example', 'md.json', 'by the engine');
    await engine.remove('staging', 'b.example', 'md.json');
    await engine.purge('staging', 'b.example');
    assert.deepEqual(await engine.list('staging'), []);
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
});
