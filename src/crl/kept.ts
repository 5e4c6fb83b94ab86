/** `crl/ID/`: a revocation list as it was fetched (list.der), and when and from where that was (list.json). */
import * as v from 'valibot';
import { maxValue, type Store } from '../store/store.ts';
import type { Validators } from './transport.ts';

/** What is known of the version of a list that was fetched last. Times are ms since the epoch. */
export interface Fetch extends Validators {
  readonly url: string;
  /** Nobody asks for it again before this. */
  readonly next: number;
  /** When it was last confirmed. */
  readonly at: number;
}

const Document = v.object({
  url: v.string(),
  at: v.number(),
  next: v.number(),
  etag: v.optional(v.string()),
  lastModified: v.optional(v.string()),
});

export interface KeptList {
  readonly fetch: Fetch;
  /** undefined where it was too large to be kept. */
  readonly der: Buffer | undefined;
}

/** undefined where there is none that can be read. Rejects where the store does. */
export async function loadList(store: Store, id: string): Promise<KeptList | undefined> {
  const text = await store.load('crl', id, 'list.json');
  const document = v.safeParse(v.pipe(v.string(), v.parseJson(), Document), text?.toString());
  if (!document.success) return undefined;
  return { fetch: document.output, der: await store.load('crl', id, 'list.der') };
}

/** `der`: undefined where it is as it was. A list that is too large for the store is fetched anew when it is needed. */
export async function saveList(
  store: Store,
  id: string,
  fetch: Fetch,
  der: Buffer | undefined,
): Promise<void> {
  if (der && der.length > maxValue) await store.remove('crl', id, 'list.der');
  else if (der) await store.save('crl', id, 'list.der', der);
  await store.save('crl', id, 'list.json', JSON.stringify(fetch, undefined, 2));
}

/** Removes lists that nobody has asked about since `before` (ms since the epoch), and what is no list. */
export async function removeOldLists(store: Store, before: number): Promise<void> {
  for (const id of await store.list('crl')) {
    const kept = await loadList(store, id);
    if (!kept || kept.fetch.at < before) await store.purge('crl', id);
  }
}
