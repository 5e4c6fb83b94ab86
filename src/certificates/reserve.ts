/**
 * Keeps LMDB from ever meeting a full filesystem: lmdb-js (3.5.6) corrupts its heap when a page cannot be
 * written, and the process is lost some writes later. So the space a transaction may need is taken beforehand, by
 * writing zeros behind the last page of LMDB's file, which LMDB then overwrites. What cannot be taken is an error
 * code here and not there.
 */
import { closeSync, fstatSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import type { Database } from 'lmdb';
import * as v from 'valibot';
import { systemCode } from '../base/errors.ts';

const PAGE = 4096;
/** What is taken at a time, in bytes, where there is so much. */
const STEP = 2 ** 20;
const ZEROS = Buffer.alloc(16 * PAGE);

/** What a transaction takes beyond its records, in pages: the free list, the roots. */
const BASE = 32;
/**
 * Kept free by what adds, in pages, so that replacing and removing go on when the table is full: while a reader
 * looks at an older state, they cannot use the pages they free. Where so many pages were freed by removing that
 * there are enough in any case, adding begins again.
 */
const HEADROOM = 64;
const ENOUGH_FREE = 2 * HEADROOM;

const Tree = { treeBranchPageCount: v.number(), treeLeafPageCount: v.number(), overflowPages: v.number() };
const Stats = v.object({
  ...Tree,
  treeDepth: v.number(),
  lastPageNumber: v.number(),
  free: v.object(Tree),
});
type PageCounts = v.InferOutput<typeof Stats>['free'];

/** What a transaction is about to write, at most. */
export interface Demand {
  readonly records: number;
  readonly bytes: number;
  /** False where it replaces or removes. */
  readonly adds: boolean;
}

export class Reserve implements Disposable {
  readonly #file: number;
  readonly #database: Database;

  constructor(path: string, database: Database) {
    this.#file = openSync(path, 'r+');
    this.#database = database;
  }

  /** Whether a transaction may begin. Takes the space for it; false where there is not enough. */
  take(demand: Demand): boolean {
    const stats = v.parse(Stats, this.#database.getStats());
    this.#database.resetReadTxn();
    const used = pages(stats) + pages(stats.free);
    const free = Math.max(0, stats.lastPageNumber - 1 - used);
    // Every record may copy and split its whole path; the free list is rewritten, 8 bytes for each free page.
    const records = demand.records * 2 * (stats.treeDepth + 1) + Math.ceil(demand.bytes / PAGE);
    const needed = BASE + records + 2 * Math.ceil((free * 8) / PAGE);
    const beyond = stats.lastPageNumber + 1 + needed;
    const headroom = demand.adds && free < ENOUGH_FREE ? HEADROOM : 0;
    return this.#extendTo((beyond + headroom) * PAGE);
  }

  #extendTo(end: number): boolean {
    let size = fstatSync(this.#file).size;
    if (size >= end) return true;
    try {
      const goal = Math.max(end, size + STEP);
      while (size < goal) size += writeSync(this.#file, ZEROS, 0, Math.min(ZEROS.length, goal - size), size);
    } catch (error) {
      if (!isFull(error)) throw error;
    }
    return size >= end;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

/** Throws the system's error (ENOSPC, …) where a new database would not find room. */
export function makeRoom(path: string): void {
  // Readers get their slots in the lock file by writing to its map: a page that isn't there yet would be a
  // SIGBUS on a full filesystem. This is room for a thousand.
  writeFileSync(`${path}-lock`, ZEROS, { mode: 0o600 });
  try {
    writeFileSync(path, Buffer.alloc(4 * BASE * PAGE), { mode: 0o600 });
  } finally {
    // LMDB wants an empty file to begin with.
    rmSync(path, { force: true });
  }
}

function pages(counts: PageCounts): number {
  return counts.treeBranchPageCount + counts.treeLeafPageCount + counts.overflowPages;
}

function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(systemCode(error) ?? '');
}
