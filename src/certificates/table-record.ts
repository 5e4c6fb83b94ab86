/**
 * What stands beside a shared table: whose folder it is, and `table.json`, which says what the files are. It is
 * a file of its own because LMDB must not be let near a file that isn't LMDB's or was torn by a power cut.
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
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
 * Makes the folder (0700; its parent must be there), or makes sure that the one there is a folder, not a link to
 * one, of `owner`: private keys go into it, and its parent may be writable to everybody. Run by root for another
 * user, it is given to that user; what is done is done to the folder that was looked at, whatever its name has
 * come to mean meanwhile. Throws LatchkeyError `table-unusable`.
 */
export function claimFolder(dir: string, owner: number = ownUid()): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (cause) {
    // What is in the way is looked at below.
    if (systemCode(cause) !== 'EEXIST') throw unusable(`The folder ${dir} cannot be made`, { cause });
  }
  let folder: number;
  try {
    folder = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (cause) {
    throw unusable(`${dir} is not a folder: remove it`, { cause });
  }
  try {
    const { uid, mode } = fstatSync(folder);
    // Root's own is one that was made and not yet given away.
    if (uid !== owner && uid !== ownUid()) {
      throw unusable(`${dir} belongs to another user: remove it, or find out who made it`);
    }
    if ((mode & 0o777) !== 0o700) fchmodSync(folder, 0o700);
    if (uid !== owner) fchownSync(folder, owner, -1);
  } finally {
    closeSync(folder);
  }
}

/** Whether the folder and the plain files in it, no links, belong to this process's user. */
export function isOurs(dir: string, files: readonly string[]): boolean {
  try {
    const folder = lstatSync(dir);
    return (
      folder.isDirectory() &&
      folder.uid === ownUid() &&
      files.map((file) => lstatSync(file)).every((file) => file.isFile() && file.uid === ownUid())
    );
  } catch {
    return false;
  }
}

function ownUid(): number {
  return process.geteuid?.() ?? 0;
}

function unusable(message: string, options?: ErrorOptions): LatchkeyError<'table-unusable'> {
  return new LatchkeyError('table-unusable', message, options);
}
