/**
 * What stands beside a shared table: whose folder it is, and `table.json`, which says what the files are. It is
 * a file of its own because LMDB must not be let near a file that isn't LMDB's or was torn by a power cut.
 */
import { randomUUID } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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
 * user: private keys go into it, and its parent may be writable to everybody. Throws LatchkeyError
 * `table-unusable`.
 */
export function claimFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    // What is in the way is looked at below.
    if (systemCode(cause) !== 'EEXIST') {
      throw new LatchkeyError('table-unusable', `The folder ${dir} cannot be made`, { cause });
    }
  }
  if (!isOurs(dir, [])) {
    throw new LatchkeyError(
      'table-unusable',
      `${dir} is not a folder of the user who runs this: remove it, or find out who made it`,
    );
  }
  chmodSync(dir, 0o700);
}

/** Whether the folder and the plain files in it, no links, belong to this process's user. */
export function isOurs(dir: string, files: readonly string[]): boolean {
  try {
    const folder = lstatSync(dir);
    return (
      folder.isDirectory() &&
      belongs(folder.uid) &&
      files.map((file) => lstatSync(file)).every((file) => file.isFile() && belongs(file.uid))
    );
  } catch {
    return false;
  }
}

function belongs(uid: number): boolean {
  return process.geteuid === undefined || uid === process.geteuid();
}
