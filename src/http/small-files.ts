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

interface Kept {
  readonly tag: string;
  readonly content: Buffer;
}

export class SmallFiles {
  readonly #kept = new LRUCache<string, Kept>({
    maxSize: SPACE,
    sizeCalculation: ({ content }, filename) => content.length + filename.length + 200,
  });

  /**
   * The content of a file that looks like `stats` now; undefined for larger ones, and where the file changed
   * while it was read. Rejects with the system's error.
   */
  async read(filename: string, stats: BigIntStats): Promise<Buffer | undefined> {
    if (stats.size > LARGEST) return undefined;
    const tag = `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
    const kept = this.#kept.get(filename);
    if (kept?.tag === tag) return kept.content;
    const content = await readFile(filename);
    if (BigInt(content.length) !== stats.size) return undefined;
    this.#kept.set(filename, { tag, content });
    return content;
  }
}
