/** `ocsp/NAME/ocsp-ID.json`: a response as mod_md keeps it, so that either goes on with the other's. */
import * as v from 'valibot';
import type { RevocationStatus } from '../pki/ocsp-response.ts';
import { toArrayBuffer } from '../pki/sign.ts';
import { formatDate, parseDate } from '../store/formats.ts';
import type { Abortable, Store } from '../store/store.ts';

/** The folder of certificates that are no managed domain's. */
export const OTHERS = 'other';

/** What is kept of a response. Times are ms since the epoch. */
export interface KeptResponse {
  readonly der: Buffer;
  readonly status: RevocationStatus;
  readonly from: number;
  readonly until: number;
}

const Document = v.object({
  response: v.pipe(v.string(), v.regex(/^[\w-]{1,90000}$/)),
  status: v.picklist(['good', 'revoked', 'unknown']),
  valid: v.object({ from: v.string(), until: v.string() }),
});

/** `id`: the SHA-1 of the certificate, lower-case hex. */
export function responseFile(id: string): string {
  return `ocsp-${id}.json`;
}

export function isResponseFile(aspect: string): boolean {
  return /^ocsp-[\da-f]+\.json$/.test(aspect);
}

/** undefined where there is none that can be read. Rejects where the store does. */
export async function loadResponse(
  store: Store,
  folder: string,
  aspect: string,
  options?: Abortable,
): Promise<KeptResponse | undefined> {
  const text = await store.load('ocsp', folder, aspect, options);
  const document = v.safeParse(v.pipe(v.string(), v.parseJson(), Document), text?.toString());
  if (!document.success) return undefined;
  const { response, status, valid } = document.output;
  const [from, until] = [parseDate(valid.from), parseDate(valid.until)];
  if (from === undefined || until === undefined) return undefined;
  // It stays for days, and would keep what else is in Node's pool of small buffers.
  const der = Buffer.from(toArrayBuffer(Buffer.from(response, 'base64url')));
  return { der, status, from, until };
}

export async function saveResponse(
  store: Store,
  folder: string,
  id: string,
  { der, status, from, until }: KeptResponse,
): Promise<void> {
  const document = {
    response: der.toString('base64url'),
    status,
    valid: { from: formatDate(from), until: formatDate(until) },
  };
  await store.save('ocsp', folder, responseFile(id), JSON.stringify(document, undefined, 2));
}

/**
 * Removes responses that were written longer ago than `keep` (ms, MDStaplingKeepResponse) and are over, and what is
 * no response but is called like one. Gives how many.
 */
export async function removeOldResponses(store: Store, keep: number, now: number): Promise<number> {
  let removed = 0;
  for (const folder of await store.list('ocsp')) {
    for (const aspect of (await store.aspects('ocsp', folder)).filter(isResponseFile)) {
      const written = await store.modified('ocsp', folder, aspect);
      if (written === undefined || written > now - keep) continue;
      const kept = await loadResponse(store, folder, aspect).catch(() => undefined);
      if (kept && kept.until > now) continue;
      await store.remove('ocsp', folder, aspect);
      removed += 1;
    }
  }
  return removed;
}
