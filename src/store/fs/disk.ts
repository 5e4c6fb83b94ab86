import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import { maxValue, StoreError } from '../store.ts';
import type { Disk } from './system-disk.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Modes that hold whatever the umask, and an owner to give it to. */
export interface Access {
  readonly mode: number;
  readonly owner?: Owner | undefined;
}

/** Makes what happened in a folder (files added, renamed, removed) survive a power cut. */
export async function syncFolder(disk: Disk, folder: string): Promise<void> {
  await using handle = await disk.open(folder, 'r');
  await handle.sync();
}

/**
 * Puts a file in place atomically: written as `temporary` (same filesystem, must not exist), synced where it is to
 * last, renamed. If it fails before the rename, the old file stays and `temporary` is gone.
 */
export async function writeInPlace(disk: Disk, file: NewFile, signal?: AbortSignal): Promise<void> {
  try {
    await writeAndRename(disk, file, signal);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    // Another server that starts on the same store takes what it finds in `tmp` for litter: once more.
    await writeAndRename(disk, file, signal);
  }
  if (file.durable ?? true) await syncFolder(disk, dirname(file.target));
}

interface NewFile extends Access {
  readonly target: string;
  readonly temporary: string;
  readonly value: Buffer | string;
  /** Default true. */
  readonly durable?: boolean;
}

async function writeAndRename(disk: Disk, file: NewFile, signal: AbortSignal | undefined): Promise<void> {
  try {
    await writeNew(disk, file.temporary, file.value, file, file.durable ?? true);
    signal?.throwIfAborted();
    await disk.rename(file.temporary, file.target);
  } catch (error) {
    await ignoring(['ENOENT'], disk.unlink(file.temporary)).catch(() => {});
    throw error;
  }
}

/** Creates a file and syncs its content; its name is durable when its folder is synced. */
export async function writeSynced(
  disk: Disk,
  path: string,
  value: Buffer | string,
  access: Access,
): Promise<void> {
  await writeNew(disk, path, value, access, true);
}

async function writeNew(
  disk: Disk,
  path: string,
  value: Buffer | string,
  access: Access,
  durable: boolean,
): Promise<void> {
  await using handle = await disk.open(path, 'wx', access.mode);
  const { mode } = await handle.stat();
  if ((mode & 0o7777) !== access.mode) await handle.chmod(access.mode);
  if (access.owner) await handle.chown(access.owner.uid, access.owner.gid);
  await handle.writeFile(value);
  if (durable) await handle.sync();
}

/** Makes a folder with exactly that access; false (and nothing changed) where there is something already. */
export async function makeFolder(disk: Disk, path: string, access: Access): Promise<boolean> {
  try {
    await disk.mkdir(path, { mode: access.mode });
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
  await setAccess(disk, path, access);
  return true;
}

/** Brings a folder's mode and owner to what they should be. */
export async function setAccess(disk: Disk, path: string, { mode, owner }: Access): Promise<void> {
  await using handle = await disk.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  const now = await handle.stat();
  if ((now.mode & 0o7777) !== mode) await handle.chmod(mode);
  if (owner && (now.uid !== owner.uid || now.gid !== owner.gid)) await handle.chown(owner.uid, owner.gid);
}

/**
 * A regular file's content, undefined where there is no such file. With `links: false` a symbolic link is
 * refused. StoreError `unreadable` for what is no regular file or too large.
 */
export async function readBounded(
  disk: Disk,
  path: string,
  { links }: { readonly links: boolean },
): Promise<Buffer | undefined> {
  // A FIFO in the place of a file would block the open for ever.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (links ? 0 : constants.O_NOFOLLOW);
  const handle = await ignoring(['ENOENT', 'ENOTDIR'], disk.open(path, flags));
  if (!handle) return undefined;
  try {
    const { size, isFile } = await handle.stat().then((s) => ({ size: s.size, isFile: s.isFile() }));
    if (!isFile) throw new StoreError('unreadable', 'it is not a regular file');
    if (size > maxValue) throw new StoreError('unreadable', `it is larger than ${maxValue} bytes`);
    const buffer = Buffer.alloc(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await handle.read(buffer, filled, size - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } finally {
    await handle.close();
  }
}

/**
 * Removes what stands at `path`, a place where nobody else can write. What is inside may belong to someone
 * hostile who swaps folders for links meanwhile, so no path ever leads through a folder of theirs but the
 * one at `path`: folders inside are first moved to `aside()`, a fresh path beside it. Another server may remove
 * the same: what is gone already is well.
 */
export async function discard(disk: Disk, path: string, aside: () => string): Promise<void> {
  await ignoring(['ENOENT'], discardPresent(disk, path, aside));
}

async function discardPresent(disk: Disk, path: string, aside: () => string): Promise<void> {
  const stat = await disk.lstat(path);
  if (!stat.isDirectory()) return disk.unlink(path);
  for (const entry of await disk.readdir(path)) {
    const inner = `${path}/${entry.name}`;
    if (!entry.isDirectory()) {
      await ignoring(['ENOENT'], disk.unlink(inner));
      continue;
    }
    const moved = aside();
    await ignoring(['ENOENT'], disk.rename(inner, moved));
    await discard(disk, moved, aside);
  }
  await disk.rmdir(path);
}

/** Waits for an operation, giving undefined where it fails with one of these system codes. */
export async function ignoring<T>(codes: readonly string[], operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (codes.includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
