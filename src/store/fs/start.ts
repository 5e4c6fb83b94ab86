/** What is done once when a store is opened, before anybody works with it. */
import { join } from 'node:path';
import { isName } from '../names.ts';
import { groups } from '../store.ts';
import type { Leases } from '../leases.ts';
import type { Store } from '../store.ts';
import { finish, interrupted, needReady, readyFolder } from './activation.ts';
import { discard, ignoring } from './disk.ts';
import { owned } from './tree.ts';
import type { Tree } from './tree.ts';

/** Makes the groups' folders and gives everybody what is theirs. */
export async function prepareFolders(tree: Tree): Promise<void> {
  await tree.disk.mkdir(tree.dir, { mode: 0o777, recursive: true });
  for (const group of owned) await adopt(tree, group);
  for (const group of groups) await tree.ensureGroup(group);
  await needReady(tree);
}

/**
 * Gives the contents of an owned group to its owner, where the group's folder is not: a store that was copied,
 * or used without `User` before. Told by the folder alone, since a look at every file would cost each start.
 */
async function adopt(tree: Tree, group: (typeof owned)[number]): Promise<void> {
  const { disk } = tree;
  const owner = tree.ownerOf(group);
  const stat = await ignoring(['ENOENT'], disk.stat(tree.path(group)));
  if (!owner || !stat || stat.uid === owner.uid) return;
  for (const entry of await disk.readdir(tree.path(group))) {
    if (!entry.isDirectory()) continue;
    await tree.within(group, entry.name, async (folder) => {
      for (const { name: aspect } of await disk.readdir(folder)) {
        const path = join(folder, aspect);
        // A second name of a file that is elsewhere is not to be given away with it.
        const { nlink } = await disk.lstat(path);
        if (nlink === 1) await disk.lchown(path, owner.uid, owner.gid);
      }
    });
    await disk.lchown(tree.path(group, entry.name), owner.uid, owner.gid);
  }
}

/** What others may still work with in `tmp` is younger than this, ms. */
const LITTER_AGE = 60 * 60_000;

/** Finishes interrupted activations and removes what else was left in `tmp`; of other live servers, neither. */
export async function recover(tree: Tree, leases: Leases | undefined): Promise<void> {
  const { disk } = tree;
  for (const name of await interrupted(tree)) {
    await using lease = await leases?.take(name);
    if (leases && !lease) continue;
    // Without space for it the old set goes on being used; a later start tries again.
    if (isName(name)) await ignoring(['ENOSPC', 'EDQUOT'], finish(tree, name));
  }
  for (const { name } of await disk.readdir(tree.path('tmp'))) {
    if (tree.path('tmp', name) === readyFolder(tree)) continue;
    const age = leases && (await ignoring(['ENOENT'], disk.lstat(tree.path('tmp', name))));
    if (age && Date.now() - age.mtimeMs < LITTER_AGE) continue;
    await discard(disk, tree.path('tmp', name), () => tree.scratch());
  }
}

/**
 * From the layouts 1.0 and 2.0: `pkey.pem` becomes `privkey.pem`, and `pubcert.pem` is made of `cert.pem` and
 * `chain.pem`, which stay. Interrupted, it is begun anew: md_store.json gets its new version afterwards.
 */
export async function migrate(store: Store): Promise<void> {
  for (const group of ['domains', 'archive', 'staging'] as const) {
    for (const name of await store.list(group)) {
      const load = (aspect: string) => store.load(group, name, aspect);
      const [pkey, privkey] = [await load('pkey.pem'), await load('privkey.pem')];
      if (pkey && !privkey) await store.save(group, name, 'privkey.pem', pkey);
      if (pkey) await store.remove(group, name, 'pkey.pem');
      const [cert, pubcert] = [await load('cert.pem'), await load('pubcert.pem')];
      if (!cert || pubcert) continue;
      const chain = (await load('chain.pem')) ?? Buffer.alloc(0);
      await store.save(group, name, 'pubcert.pem', `${cert.toString().trimEnd()}\n${chain.toString()}`);
    }
  }
}
