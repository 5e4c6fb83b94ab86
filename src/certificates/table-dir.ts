import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { explain } from '../base/errors.ts';
import { claimFolder } from './table-record.ts';

export interface TableDirOptions {
  /** Absolute; where the table goes if there is no room in memory. */
  readonly serverRoot: string;
  /** What tells servers apart, those of one ServerRoot too: the PidFile. */
  readonly server: string;
  /** Bytes that the table will take: about 3.2 KB for each set with one P-256 key, 4.5 KB with RSA. */
  readonly need: number;
  /** Who will write and read the table, where root chooses for somebody else. Default: this process's user. */
  readonly owner?: number;
  /** Memory-backed space to look into first. Default /dev/shm. */
  readonly memory?: string;
}

export interface TableDir {
  /** Made, mode 0700, of `owner`. */
  readonly dir: string;
  /** Set where the table had to go to disk: why, for the log. */
  readonly warning: string | undefined;
}

/**
 * Finds the place for the certificate table: memory, where there is room, or else the disk under ServerRoot.
 * To be called by the user who will write the table, or by root. Throws LatchkeyError `table-unusable` where neither works.
 */
export function chooseTableDir(options: TableDirOptions): TableDir {
  const { serverRoot, server, need, owner = process.geteuid?.() ?? 0, memory = '/dev/shm' } = options;
  const id = createHash('sha256').update(`${serverRoot}\n${server}`).digest('hex').slice(0, 16);
  const dir = join(memory, `latchkey-${owner}-${id}`);
  const reason = tryMemory(memory, dir, need, owner);
  if (reason === undefined) return { dir, warning: undefined };
  const disk = join(serverRoot, `latchkey-table-${id}`);
  claimFolder(disk, owner);
  return { dir: disk, warning: `The certificate table is kept on disk in ${disk}, not in memory: ${reason}` };
}

/** Makes the folder, or says why it can't be there. */
function tryMemory(memory: string, dir: string, need: number, owner: number): string | undefined {
  try {
    const space = statfsSync(memory);
    if (!MEMORY.has(space.type)) return `${memory} is not memory-backed`;
    const free = space.bavail * space.bsize;
    claimFolder(dir, owner);
    if (free + sizeOf(dir) >= need) return undefined;
    return `${memory} has ${mebibytes(free)} MiB free, ${mebibytes(need)} MiB are needed`;
  } catch (error) {
    return explain(error);
  }
}

/** Linux: tmpfs and ramfs. */
const MEMORY = new Set([0x01021994, 0x858458f6]);

/** What is there already takes no further space. It is User's: Node's own way through it would follow links, in circles too. */
function sizeOf(dir: string): number {
  return readdirSync(dir, { withFileTypes: true })
    .map((entry) => [entry, join(dir, entry.name)] as const)
    .map(([entry, path]) => (entry.isDirectory() ? sizeOf(path) : lstatSync(path).blocks * 512))
    .reduce((sum, size) => sum + size, 0);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
