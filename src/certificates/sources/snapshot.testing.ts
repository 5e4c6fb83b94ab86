import { wildcardOf } from '../source.ts';
import type { Kept } from './earlier.ts';
import type { SnapshotEntry } from './snapshot.ts';

/** A snapshot of these entries, without a file. */
export function kept(entries: readonly SnapshotEntry[]): Kept {
  return {
    find: async (store, name) =>
      entries.find(
        (entry) =>
          entry.store === store && entry.names.some((known) => known === name || known === wildcardOf(name)),
      ),
    async *entries() {
      yield* entries;
    },
  };
}

export async function collect(entries: AsyncIterable<SnapshotEntry>): Promise<SnapshotEntry[]> {
  const all: SnapshotEntry[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}
