/**
 * Small files, kept in memory: what is asked for most is sent in one write and without opening the file. Each
 * request still looks at the file's size and time of change, so that an edited file is seen at once.
 */
import { readFile } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { LRUCache } from 'lru-cache';

/** Files up to this many bytes are kept. */
const LARGEST = 64 * 1024;
const SPACE = 32 * 1024 * 1024;

export interface SmallFile {
  readonly content: Buffer;
  readonly tag: string;
  /** As Last-Modified has it. */
  readonly modified: string;
}

interface Kept extends SmallFile {
  readonly stats: BigIntStats;
}

export class SmallFiles {
  readonly #kept = new LRUCache<string, Kept>({
    maxSize: SPACE,
    sizeCalculation: ({ content }, filename) => content.length + filename.length + 1000,
  });

  /** The content of a file that looks like `stats` now, if it was read before. */
  kept(filename: string, stats: BigIntStats): SmallFile | undefined {
    const kept = this.#kept.get(filename);
    return kept && isSame(kept.stats, stats) ? kept : undefined;
  }

  /**
   * As kept(), and keeps it; undefined for larger ones, and where the file changed while it was read. Rejects with the
   * system's error.
   */
  async read(filename: string, stats: BigIntStats): Promise<SmallFile | undefined> {
    if (stats.size > LARGEST) return undefined;
    const content = await readFile(filename);
    if (BigInt(content.length) !== stats.size) return undefined;
    const made = { stats, content, tag: entityTag(stats), modified: modified(stats) };
    this.#kept.set(filename, made);
    return made;
  }
}

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return (
    one.mtimeNs === other.mtimeNs &&
    one.ctimeNs === other.ctimeNs &&
    one.size === other.size &&
    one.ino === other.ino &&
    one.dev === other.dev
  );
}

function modified({ mtimeMs }: BigIntStats): string {
  return new Date(Number(mtimeMs)).toUTCString();
}

/** httpd's: size and time of change. */
export function entityTag({ size, mtimeNs }: BigIntStats): string {
  return `"${size.toString(16)}-${(mtimeNs / 1000n).toString(16)}"`;
}
