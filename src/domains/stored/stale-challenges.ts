import { readOrder } from '../../store/documents.ts';
import type { Store } from '../../store/store.ts';
import { undamaged } from './held.ts';

/** Removes what a crash left in `challenges`: nobody asks for it any more, except for orders that go on. */
export async function removeStaleChallenges(store: Store): Promise<void> {
  const present = await store.list('challenges');
  if (present.length === 0) return;
  const needed = new Set<string>();
  for (const name of await store.list('staging')) {
    const order = await undamaged(readOrder(store, 'staging', name));
    for (const label of order?.['challenge-setups'] ?? []) needed.add(label.slice(label.indexOf(':') + 1));
  }
  for (const name of present.filter((name) => !needed.has(name))) await store.purge('challenges', name);
}
