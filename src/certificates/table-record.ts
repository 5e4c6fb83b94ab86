/**
 * What stands beside a shared table: whose folder it is, and `table.json`, which says what the files are. It is
 * a file of its own because LMDB must not be let near a file that isn't LMDB's or was torn by a power cut.
 */
import { randomUUID } from 'node:crypto';
import { chmodSync, lchownSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { LatchkeyError, systemCode } from '../base/errors.ts';

const FORMAT = 1;

const Record = v.object({
  format: v.literal(FORMAT),
  boot: v.string(),
  generation: v.string(),
});
export type TableRecord = v.InferOutput<typeof Record>;

export function newRecord(): TableRecord {
  return { format: FORMAT, boot: bootId() ?? '', generation: randomUUID() };
}

/** The record of a table that may be used: of this format and this boot; undefined for any other. */
export function readRecord(dir: string): TableRecord | undefined {
  let text: string;
  try {
    text = readFileSync(join(dir, 'table.json'), 'utf8');
  } catch {
    return undefined;
  }
  const record = v.safeParse(v.pipe(v.string(), v.parseJson(), Record), text);
  return record.success && record.output.boot === (bootId() ?? '') ? record.output : undefined;
}

export function writeRecord(dir: string, record: TableRecord): void {
  writeFileSync(join(dir, 'table.json'), JSON.stringify(record), { mode: 0o600, flag: 'wx' });
}

/** Linux's id of this boot; undefined elsewhere. */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

/**
 * Makes the table's folder (0700), or makes sure that the one there is a folder, not a link to one, of this
 * user: private keys go into it, and its parent may be writable to everybody. With an `owner` (who serves, where
 * root makes the folder) it is made over to that user, and one that is that user's already is right. Throws
 * LatchkeyError `table-unusable`.
 */
export function claimFolder(dir: string, owner = process.geteuid?.()): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    // What is in the way is looked at below.
    if (systemCode(cause) !== 'EEXIST') {
      throw new LatchkeyError('table-unusable', `The folder ${dir} cannot be made`, { cause });
    }
  }
  // As long as it is this process's own, nobody else can have put a link in its place.
  if (isOurs(dir, [])) {
    chmodSync(dir, 0o700);
    if (owner !== undefined && owner !== process.geteuid?.()) lchownSync(dir, owner, -1);
  }
  if (!isOurs(dir, [], owner)) {
    throw new LatchkeyError(
      'table-unusable',
      `${dir} is not a folder of the user who runs this: remove it, or find out who made it`,
    );
  }
}

/** Whether the folder and the plain files in it, no links, belong to `owner`: this process's user, if not given. */
export function isOurs(dir: string, files: readonly string[], owner = process.geteuid?.()): boolean {
  try {
    const folder = lstatSync(dir);
    return (
      folder.isDirectory() &&
      belongs(folder.uid, owner) &&
      files.map((file) => lstatSync(file)).every((file) => file.isFile() && belongs(file.uid, owner))
    );
  } catch {
    return false;
  }
}

function belongs(uid: number, owner: number | undefined): boolean {
  return owner === undefined || uid === owner;
}
