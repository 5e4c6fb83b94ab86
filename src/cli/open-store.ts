/** A store opened by a command: as it is, whether or not a server runs on it; where there is none, or an old one, made. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FsStore } from '../store/fs/fs-store.ts';

/** @throws StoreError */
export async function openStore(dir: string): Promise<FsStore> {
  const owner = await ownerOf(dir);
  const opening = await FsStore.needsOpening({ dir });
  return opening ? FsStore.open({ dir, owner }) : FsStore.attach({ dir, owner });
}

/** Whom the server on this store has its challenges and staging belong to. */
async function ownerOf(dir: string): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const { uid, gid } = await stat(join(dir, 'challenges'));
    return { uid, gid };
  } catch {
    return undefined;
  }
}
