import { randomBytes } from 'node:crypto';
import { link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemCode } from './errors.ts';

/** What a file being written is called until it is complete: `.NAME.RANDOM.part`. */
const PART = /^\..+\.[0-9a-f]{12}\.part$/;

/** Whether `name` is what a write that was cut short left behind: it may be removed at start. */
export function isPart(name: string): boolean {
  return PART.test(name);
}

/**
 * Writes a file atomically and durably: a reader sees the old content or the new one, and once the promise is
 * fulfilled the new one survives a power cut. Rejects with the system's error (`ENOSPC`, `EACCES`, …); the old
 * content stays then. `mode` is the file's from its first byte on (default 0644).
 */
export async function writeDurable(
  path: string,
  data: string | Uint8Array,
  options: { mode?: number } = {},
): Promise<void> {
  const part = await writePart(path, data, options.mode);
  try {
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** As writeDurable(), for a file that must not exist yet: false (and nothing changed) where it does. */
export async function createDurable(
  path: string,
  data: string | Uint8Array,
  options: { mode?: number } = {},
): Promise<boolean> {
  const part = await writePart(path, data, options.mode);
  try {
    await link(part, path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(part, { force: true });
  }
  await syncFolder(dirname(path));
  return true;
}

async function writePart(path: string, data: string | Uint8Array, mode = 0o644): Promise<string> {
  const part = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`);
  const file = await open(part, 'wx', mode);
  try {
    await file.writeFile(data);
    await file.sync();
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return part;
}

/** Makes renames and removals in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
