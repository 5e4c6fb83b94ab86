/** The order under way, as `staging/NAME/order.json` remembers it: what resumption starts from. */
import { AcmeError } from '../../acme/errors.ts';
import type { AccountRef, Order } from '../../acme/client.ts';
import { canonicalName } from '../../pki/names.ts';
import { type OrderDocument, readOrder, writeOrder } from '../../store/documents.ts';
import { RenewalError } from '../issuer.ts';
import { removeChallenges } from './challenges.ts';
import type { Run } from './run.ts';

/** An order that can't become a certificate any more: it is dropped, and with it what was set up for it. */
export class DeadOrderError extends RenewalError {}

/** It died just now, as a name could not be validated: another order would not do better at once. */
export class ValidationError extends DeadOrderError {}

/**
 * Remembers `order` before anything is done with it; challenge set-ups already remembered stay. What comes of it
 * later the CA is asked for: its URL is what counts.
 */
export async function saveOrder(
  run: Run,
  order: Order,
  { setups, durable }: { readonly setups?: readonly string[]; readonly durable: boolean },
): Promise<void> {
  // A new one has none: what was there before it is taken down.
  const before = setups && (await loadDocument(run));
  const kept = before?.url === order.url ? before['challenge-setups'] : [];
  await writeOrder(
    run.store,
    'staging',
    run.domain.name,
    {
      url: order.url,
      status: order.status,
      authorizations: order.authorizations,
      'challenge-setups': [...new Set([...kept, ...(setups ?? [])])],
      finalize: order.finalize,
      certificate: order.certificate,
      account: run.account.url,
    },
    { signal: run.options.signal, durable },
  );
}

/**
 * The remembered order as the CA has it now; undefined where there is none that is any good. An order for other
 * names, one that has died and one that the CA doesn't know are dropped.
 */
export async function resumeOrder(run: Run): Promise<Order | undefined> {
  const document = await loadDocument(run);
  if (!document) return undefined;
  const order = await askFor(run, document.url);
  if (order && isUsable(run, order)) return order;
  run.options.progress({ step: 'order', detail: `The order ${document.url} can't be used any more` });
  await dropOrder(run);
  return undefined;
}

async function askFor(run: Run, url: string): Promise<Order | undefined> {
  try {
    return await run.client.order(run.account, url, run.options);
  } catch (error) {
    if (isRefusal(error) || isNotThere(error)) return undefined;
    throw error;
  }
}

/** In whatever words: a CA that has moved leaves the page of some web server where the order was. */
function isNotThere(error: unknown): boolean {
  return error instanceof AcmeError && (error.httpStatus === 404 || error.httpStatus === 410);
}

function isUsable({ domain, clock }: Run, order: Order): boolean {
  if (order.status === 'invalid') return false;
  if (order.status !== 'valid' && order.expires !== undefined && order.expires <= clock.now()) return false;
  const names = new Set(order.identifiers.map(({ value }) => canonicalName(value)));
  return names.size === domain.domains.length && domain.domains.every((name) => names.has(name));
}

/** Takes down the challenges of the remembered order, then forgets it. */
export async function dropOrder(run: Pick<Run, 'store' | 'domain' | 'clock' | 'options'>): Promise<void> {
  const { store, domain, options } = run;
  const document = await readOrder(store, 'staging', domain.name, options);
  if (!document) return;
  await removeChallenges(run, document['challenge-setups']);
  // Come back after a power cut, it turns out to be done.
  await store.remove('staging', domain.name, 'order.json', { durable: false });
}

/** An order of another account is of no use with this one. */
export async function dropOrderOfOthers(
  run: Pick<Run, 'store' | 'domain' | 'clock' | 'options'>,
  account: AccountRef,
): Promise<void> {
  const document = await readOrder(run.store, 'staging', run.domain.name, run.options);
  if (document && document.account !== account.url) await dropOrder(run);
}

/**
 * Drops an order that came to nothing, and gives up what of it the CA still waits for: pending authorizations count
 * against the account. That the CA won't hear of it is no matter.
 */
export async function abandonOrder(run: Run): Promise<void> {
  const { client, account, options } = run;
  const document = await loadDocument(run);
  await dropOrder(run);
  for (const url of document?.authorizations ?? []) {
    try {
      const { status } = await client.authorization(account, url, options);
      if (status === 'pending') await client.deactivateAuthorization(account, url, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      // Ill or gone, it would be so for the next one, too.
      if (!isRefusal(error)) return;
    }
  }
}

function loadDocument({ store, domain, options }: Run): Promise<OrderDocument | undefined> {
  return readOrder(store, 'staging', domain.name, options);
}

/** Whether the CA said no to the request itself (unknown, not ours, not now), not that it is ill or busy. */
export function isRefusal(error: unknown): error is AcmeError {
  return error instanceof AcmeError && error.code === 'acme-problem' && (error.httpStatus ?? 0) < 500;
}
