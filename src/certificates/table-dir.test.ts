import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { openTableForWriting } from './lmdb-table.ts';
import { chooseTableDir } from './table-dir.ts';

function temporary(parent = tmpdir()): Disposable & { dir: string } {
  const dir = mkdtempSync(join(parent, 'latchkey-table-dir-'));
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

suite('The place of the certificate table', () => {
  const shared = statSync('/dev/shm', { throwIfNoEntry: false }) ? false : 'there is no /dev/shm';

  test('is memory, a folder of its own for each user, ServerRoot and server', { skip: shared }, () => {
    using memory = temporary('/dev/shm');
    using root = temporary();
    const options = { serverRoot: root.dir, server: 'logs/httpd.pid', need: 2 ** 20, memory: memory.dir };
    const { dir, warning } = chooseTableDir(options);
    assert.equal(warning, undefined);
    assert.match(dir, new RegExp(`^${memory.dir}/latchkey-${process.geteuid?.()}-[0-9a-f]{16}$`));
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    assert.equal(chooseTableDir(options).dir, dir);
    assert.notEqual(chooseTableDir({ ...options, serverRoot: '/elsewhere' }).dir, dir);
    assert.notEqual(chooseTableDir({ ...options, server: 'logs/second.pid' }).dir, dir);
    using table = openTableForWriting({ dir });
    assert.deepEqual([...table.ids()], []);
  });

  const rootOnly = shared || (process.geteuid?.() !== 0 && 'only root may give files away');

  const onDisk = (options: { memory: string; need?: number }, root: string) => {
    const place = chooseTableDir({ need: 1, serverRoot: root, server: 'one', ...options });
    const another = chooseTableDir({ need: 1, serverRoot: root, server: 'two', ...options });
    assert.match(place.dir, new RegExp(`^${root}/latchkey-table-[0-9a-f]{16}$`));
    assert.notEqual(another.dir, place.dir);
    assert.equal(statSync(place.dir).mode & 0o777, 0o700);
    return place.warning ?? '';
  };

  test('is the disk where memory is short, which is said with figures', { skip: shared }, () => {
    using memory = temporary('/dev/shm');
    using root = temporary();
    assert.match(onDisk({ memory: memory.dir, need: 2 ** 50 }, root.dir), /has \d+ MiB free, 1073741824 MiB/);
  });

  test('is the disk where there is no memory-backed space', () => {
    using root = temporary();
    assert.match(onDisk({ memory: join(root.dir, 'nothing') }, root.dir), /ENOENT/);
  });

  const taken: Record<string, (dir: string) => void> = {
    'a link': (dir) => symlinkSync('/tmp', dir),
    "another user's folder": (dir) => {
      mkdirSync(dir);
      chownSync(dir, 65_534, 65_534);
    },
  };
  for (const [what, take] of Object.entries(taken)) {
    test(`is the disk where ${what} is in the way`, { skip: rootOnly }, () => {
      using memory = temporary('/dev/shm');
      using root = temporary();
      const { dir } = chooseTableDir({
        serverRoot: root.dir,
        server: 'one',
        need: 1,
        memory: memory.dir,
      });
      rmSync(dir, { recursive: true });
      take(dir);
      assert.match(onDisk({ memory: memory.dir }, root.dir), /is not a folder|belongs to another user/);
    });
  }

  test('is measured without following links of who serves', { skip: shared }, () => {
    using memory = temporary('/dev/shm');
    using root = temporary();
    const options = { serverRoot: root.dir, server: 'one', need: 1, memory: memory.dir };
    const { dir } = chooseTableDir(options);
    // Two to the folder itself would make more ways through it than can be gone; this one lists what isn't there.
    symlinkSync('/proc/self/fdinfo', join(dir, 'out'));
    assert.deepEqual(chooseTableDir(options), { dir, warning: undefined });
  });

  test('that lets others in is closed to them', { skip: shared }, () => {
    using memory = temporary('/dev/shm');
    const options = { serverRoot: '/root', server: 'one', need: 1, memory: memory.dir };
    chmodSync(chooseTableDir(options).dir, 0o777);
    assert.equal(statSync(chooseTableDir(options).dir).mode & 0o777, 0o700);
  });

  test('is made over to who serves, and found again, where root chooses', { skip: rootOnly }, () => {
    using memory = temporary('/dev/shm');
    const options = { serverRoot: '/srv', server: 'one', need: 1, memory: memory.dir, owner: 65_534 };
    const { dir } = chooseTableDir(options);
    assert.equal(statSync(dir).uid, 65_534);
    assert.equal(statSync(dir).mode & 0o777, 0o700);
    assert.deepEqual(chooseTableDir(options), { dir, warning: undefined });
  });
});
