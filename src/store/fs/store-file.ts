import { join } from 'node:path';
import * as v from 'valibot';
import { StoreKey } from '../storekey.ts';
import { StoreError } from '../store.ts';
import { readBounded, writeInPlace } from './disk.ts';
import type { Tree } from './tree.ts';

/** md_store.json: the version of the layout and the key of the store. */
export interface StoreFile {
  readonly version: number;
  readonly key: StoreKey;
}

/** The layout that this code writes; older ones are migrated. */
export const currentVersion = 3;

const document = v.looseObject({
  store: v.optional(v.looseObject({ version: v.optional(v.number()) })),
  key: v.string(),
});

export function storeFilePath(dir: string): string {
  return join(dir, 'md_store.json');
}

/**
 * Reads md_store.json, undefined where there is none. StoreError `garbage` where it can't be understood,
 * `unreadable` where it can't be read: without the key no account of the store can be used, so guessing is out.
 */
export async function readStoreFile({ disk, dir }: Tree): Promise<StoreFile | undefined> {
  const path = storeFilePath(dir);
  const text = await readBounded(disk, path, { links: true }).catch((cause: unknown) => {
    throw new StoreError('unreadable', `${path} can't be read: ${remedy}`, { cause });
  });
  return text && parse(path, text.toString());
}

/** Writes md_store.json in the current version. */
export async function writeStoreFile(tree: Tree, key: StoreKey): Promise<void> {
  // The version is a JSON real in mod_md's eyes; JSON.stringify would write an integer.
  const text = `{\n  "store": {\n    "version": ${currentVersion}.0\n  },\n  "key": "${key.encode()}"\n}`;
  await writeInPlace(tree.disk, {
    target: storeFilePath(tree.dir),
    temporary: tree.scratch(),
    value: text,
    mode: 0o600,
  });
}

const remedy =
  'restore it from a backup, or empty the folder (or name another one by MDStoreDir) so that a new store is made';

function parse(path: string, text: string): StoreFile {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), document), text);
  if (!result.success) throw new StoreError('garbage', `${path} is not a store's description: ${remedy}`);
  const key = StoreKey.parse(result.output.key);
  if (!key) throw new StoreError('garbage', `${path} holds no usable key: ${remedy}`);
  // mod_md's first stores had no version.
  const version = result.output.store?.version || 1;
  if (version <= currentVersion) return { version, key };
  throw new StoreError(
    'garbage',
    `${path} is of version ${version}, which is newer than ${currentVersion}.0: use a newer Latchkey`,
  );
}
