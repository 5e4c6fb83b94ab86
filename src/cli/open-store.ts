/** A store opened by a command: as it is, whether or not a server runs on it; made where there is none. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FsStore } from '../store/fs/fs-store.ts';
import { StoreError } from '../store/store.ts';

/** @throws StoreError */
export async function openStore(dir: string): Promise<FsStore> {
  const owner = await ownerOf(dir);
  try {
    return await FsStore.attach({ dir, owner });
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'store-missing') throw error;
    return FsStore.open({ dir, owner });
  }
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
