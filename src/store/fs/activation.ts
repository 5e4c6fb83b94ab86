import { join } from 'node:path';
import { checkNames } from '../names.ts';
import { discard, ignoring, makeFolder, syncFolder, writeSynced } from './disk.ts';
import type { Tree } from './tree.ts';

/**
 * How `domains/NAME` is replaced as a whole:
 * 1. the new set is written and synced at a scratch path in `tmp`;
 * 2. that is renamed to `tmp/.ready/NAME`: from here on it will be activated, come what may;
 * 3. `domains/NAME` becomes `archive/NAME.N`;
 * 4. `tmp/.ready/NAME` becomes `domains/NAME`.
 * A crash before 2 leaves litter in `tmp`; after it, finishActivations() does what is left.
 */
export async function prepare(
  tree: Tree,
  name: string,
  files: ReadonlyMap<string, Buffer | string>,
  signal?: AbortSignal,
): Promise<void> {
  const { disk } = tree;
  if (await ignoring(['ENOENT'], disk.lstat(ready(tree, name)))) await finish(tree, name);
  for (const group of ['tmp', 'archive', 'domains'] as const) await tree.need(group);
  // What can't be archived must not become ready: no start could finish it.
  await archiveNumber(tree, name);
  const set = tree.scratch();
  try {
    await makeFolder(disk, set, tree.folderAccess('domains'));
    for (const [aspect, value] of files) {
      await writeSynced(disk, join(set, aspect), value, tree.fileAccess('domains', aspect));
    }
    await syncFolder(disk, set);
    await needReady(tree);
    signal?.throwIfAborted();
    await disk.rename(set, ready(tree, name));
  } catch (error) {
    await discard(disk, set, () => tree.scratch()).catch(() => {});
    throw error;
  }
  await syncFolder(disk, readyFolder(tree));
}

/** Steps 3 and 4. If one fails, the old set is where it was and the new one stays ready. */
export async function finish(tree: Tree, name: string): Promise<number | undefined> {
  const { disk } = tree;
  const domain = tree.path('domains', name);
  const number = await archiveNumber(tree, name);
  const archived = tree.path('archive', `${name}.${number}`);
  try {
    if (number !== undefined) {
      await disk.rename(domain, archived);
      await syncFolder(disk, tree.path('archive'));
    }
    await disk.rename(ready(tree, name), domain);
  } catch (error) {
    if (number !== undefined) await disk.rename(archived, domain).catch(() => {});
    throw error;
  }
  await syncFolder(disk, tree.path('domains'));
  await syncFolder(disk, readyFolder(tree));
  return number;
}

/** Takes back what prepare() made ready. */
export async function abandon(tree: Tree, name: string): Promise<void> {
  const set = tree.scratch();
  await ignoring(['ENOENT'], tree.disk.rename(ready(tree, name), set));
  await discard(tree.disk, set, () => tree.scratch());
}

/** Names of the domains whose activation was interrupted after step 2. */
export async function interrupted(tree: Tree): Promise<string[]> {
  const found = (await ignoring(['ENOENT'], tree.disk.readdir(readyFolder(tree)))) ?? [];
  return found.map(({ name }) => name);
}

/** Makes the folder of step 2 where there is none: it is for the store's life. */
export async function needReady(tree: Tree): Promise<void> {
  const folder = readyFolder(tree);
  if (await ignoring(['ENOENT'], tree.disk.lstat(folder))) return;
  await makeFolder(tree.disk, folder, tree.folderAccess('tmp'));
  await syncFolder(tree.disk, tree.path('tmp'));
}

/** The first free N of `archive/NAME.N`; undefined where there is no old set. */
async function archiveNumber(tree: Tree, name: string): Promise<number | undefined> {
  const exists = (path: string) => ignoring(['ENOENT'], tree.disk.lstat(path));
  if (!(await exists(tree.path('domains', name)))) return undefined;
  for (let number = 1; ; number += 1) {
    checkNames(`${name}.${number}`);
    if (!(await exists(tree.path('archive', `${name}.${number}`)))) return number;
  }
}

export function readyFolder(tree: Tree): string {
  return tree.path('tmp', '.ready');
}

function ready(tree: Tree, name: string): string {
  return join(readyFolder(tree), name);
}
