/** What an earlier server has kept of certificates by name, until all of it is taken in. */
import type { SnapshotEntry } from './snapshot.ts';

/** A snapshot, as it is read. */
export interface Kept {
  /** What `name` leads to, or the wildcard over it. Never rejects. */
  find(store: string, name: string): Promise<SnapshotEntry | undefined>;
  entries(): AsyncIterable<SnapshotEntry>;
}

export class Earlier {
  readonly #kept: Kept;
  readonly #given = new Set<string>();

  constructor(kept: Kept) {
    this.#kept = kept;
  }

  /** Gives each entry once: what is gone afterwards was dropped for a reason. */
  async find(store: string, name: string): Promise<SnapshotEntry | undefined> {
    const found = await this.#kept.find(store, name);
    if (!found || this.#given.has(keyOf(found))) return undefined;
    this.#given.add(keyOf(found));
    return found;
  }

  /** All that find() has not given. */
  async *rest(): AsyncGenerator<SnapshotEntry> {
    for await (const entry of this.#kept.entries()) if (!this.#given.has(keyOf(entry))) yield entry;
  }
}

function keyOf({ store, asked }: SnapshotEntry): string {
  return `${store} ${asked}`;
}
