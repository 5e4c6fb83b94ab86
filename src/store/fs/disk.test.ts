import assert from 'node:assert/strict';
import { mkdir, readdir, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { discard, writeInPlace } from './disk.ts';
import { type Disk, systemDisk } from './system-disk.ts';
import { temporaryFolder } from './temporary.testing.ts';

/** A disk that notes each path it is given. */
function noting(paths: string[]): Disk {
  return new Proxy(systemDisk, {
    get: (disk, name) => {
      const operation = Reflect.get(disk, name) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        paths.push(...args.filter((argument) => typeof argument === 'string'));
        return operation(...args);
      };
    },
  });
}

test('what is discarded is never gone through by a path of more than one of its folders', async (t) => {
  const top = await temporaryFolder(t);
  const outside = await temporaryFolder(t);
  await writeFile(join(outside, 'kept'), '');
  await mkdir(join(top, 'set/a/b/c'), { recursive: true });
  await writeFile(join(top, 'set/a/b/file'), '');
  await symlink(outside, join(top, 'set/a/link'));
  const paths: string[] = [];
  let number = 0;
  await discard(noting(paths), join(top, 'set'), () => join(top, `aside${number++}`));
  assert.deepEqual(await readdir(top), []);
  assert.deepEqual(await readdir(outside), ['kept']);
  const deep = paths.filter((path) => relative(top, path).split('/').length > 2);
  assert.deepEqual(deep, []);
});

test('what another server discards at the same time is as well as discarded', async (t) => {
  const top = await temporaryFolder(t);
  const set = join(top, 'set');
  for (const turn of ['lstat', 'readdir', 'unlink', 'rename', 'rmdir'] as const) {
    await mkdir(join(set, 'folder'), { recursive: true });
    await writeFile(join(set, 'file'), '');
    const disk = new Proxy(systemDisk, {
      get: (target, name) => {
        const operation = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
        return async (...args: unknown[]) => {
          if (name === turn) await rm(set, { recursive: true, force: true });
          return operation(...args);
        };
      },
    });
    await discard(disk, set, () => join(top, 'aside'));
    assert.deepEqual(await readdir(top), [], turn);
  }
  const file = join(top, 'file');
  await writeFile(file, '');
  const quicker: Disk = {
    ...systemDisk,
    async unlink(path) {
      await systemDisk.unlink(path);
      await systemDisk.unlink(path);
    },
  };
  await discard(quicker, file, () => join(top, 'aside'));
});

test('what another server has cleared away is written once more', async (t) => {
  const dir = await temporaryFolder(t);
  let cleared = false;
  const disk: Disk = {
    ...systemDisk,
    async rename(from, to) {
      if (!cleared) await unlink(from);
      cleared = true;
      await systemDisk.rename(from, to);
    },
  };
  await writeInPlace(disk, { target: join(dir, 'a'), temporary: join(dir, 'b'), value: 'x', mode: 0o600 });
  assert.deepEqual(await readdir(dir), ['a']);
});
