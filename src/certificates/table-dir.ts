import { createHash } from 'node:crypto';
import { existsSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { explain } from '../base/errors.ts';
import { claimFolder } from './table-record.ts';

export interface TableDirOptions {
  /** Absolute; tables of different ServerRoots are apart. */
  readonly serverRoot: string;
  /** Bytes that the table will take: about 3.2 KB for each set with one P-256 key, 4.5 KB with RSA. */
  readonly need: number;
  /** Who will write and read the table, where root chooses for somebody else. Default: this process's user. */
  readonly owner?: number;
  /** Memory-backed space to look into first. Default /dev/shm. */
  readonly memory?: string;
}

export interface TableDir {
  /** Made, mode 0700, of its owner. */
  readonly dir: string;
  /** Set where the table had to go to disk: why, for the log. */
  readonly warning: string | undefined;
}

/**
 * Finds the place for the certificate table: memory, where there is room, or else the disk under ServerRoot.
 * To be called by the user who will write the table, or by root. Throws LatchkeyError `table-unusable` where neither works.
 */
export function chooseTableDir(options: TableDirOptions): TableDir {
  const memory = options.memory ?? '/dev/shm';
  const root = createHash('sha256').update(options.serverRoot).digest('hex').slice(0, 16);
  const dir = join(memory, `latchkey-${process.geteuid?.() ?? 0}-${root}`);
  const reason = whyNot(memory, dir, options);
  if (reason === undefined) return { dir, warning: undefined };
  const disk = join(options.serverRoot, 'latchkey-table');
  claimFolder(disk, options.owner);
  return { dir: disk, warning: `The certificate table is kept on disk in ${disk}, not in memory: ${reason}` };
}

function whyNot(memory: string, dir: string, { need, owner }: TableDirOptions): string | undefined {
  try {
    const space = statfsSync(memory);
    if (!MEMORY.has(space.type)) return `${memory} is not memory-backed`;
    const free = space.bavail * space.bsize + size(dir);
    if (free < need) return `${memory} has ${mebibytes(free)} MiB free, ${mebibytes(need)} MiB are needed`;
    claimFolder(dir, owner);
    return undefined;
  } catch (error) {
    return explain(error);
  }
}

/** Linux: tmpfs and ramfs. */
const MEMORY = new Set([0x01021994, 0x858458f6]);

/** What a table that is already there takes: it will be used again. */
function size(dir: string): number {
  const file = join(dir, 'certificates.mdb');
  return existsSync(file) ? statSync(file).blocks * 512 : 0;
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
