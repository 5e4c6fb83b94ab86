/** Waiting for a CA: orders and authorizations are asked for again until they are what is waited for. */
import type { Clock } from '../base/clock.ts';
import type { AccountRef, AcmeClient } from './client.ts';
import type { Authorization, Order } from './documents.ts';
import { AcmeError } from './errors.ts';
import type { Abortable } from './transport.ts';

export interface PollOptions<Thing> extends Abortable {
  /** When to stop. It sees every state, failed ones too: what is to be done about them is the caller's to say. */
  readonly until: (thing: Thing) => boolean;
  readonly clock: Clock;
  /** ms of waiting; default 5 minutes. A pause that would exceed it is not begun. */
  readonly timeout?: number | undefined;
  /** ms before it is asked for the first time: what the CA needs in any case. Default 0. */
  readonly headStart?: number | undefined;
}

const FIRST_WAIT = 100;
const LONGEST_WAIT = 10_000;
/** What a CA asks for in less can't be meant. */
const SHORTEST_RETRY = 1000;

/**
 * Polls an order, at the CA's pace (Retry-After), else after 100 ms and then less often, down to every 10 s.
 * @throws AcmeError `acme-pending` when time is up, with the `retryAfter` that was due; and those of the client
 */
export function pollOrder(
  client: Pick<AcmeClient, 'order'>,
  account: AccountRef,
  url: string,
  options: PollOptions<Order>,
): Promise<Order> {
  return poll(() => client.order(account, url, options), `The order ${url}`, options);
}

/** Polls an authorization; as pollOrder(). */
export function pollAuthorization(
  client: Pick<AcmeClient, 'authorization'>,
  account: AccountRef,
  url: string,
  options: PollOptions<Authorization>,
): Promise<Authorization> {
  return poll(() => client.authorization(account, url, options), `The authorization ${url}`, options);
}

interface Pollable {
  readonly status: string;
  readonly retryAfter?: number | undefined;
}

async function poll<Thing extends Pollable>(
  ask: () => Promise<Thing>,
  what: string,
  { until, clock, signal, timeout = 5 * 60_000, headStart = 0 }: PollOptions<Thing>,
): Promise<Thing> {
  if (headStart > 0) await clock.sleep(headStart, { signal });
  let left = timeout;
  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    const thing = await ask();
    if (until(thing)) return thing;
    const pause = thing.retryAfter === undefined ? wait : Math.max(thing.retryAfter, SHORTEST_RETRY);
    left -= pause;
    if (left < 0) {
      const message = `${what} is still ${thing.status}; the CA may need longer, it can be asked again later`;
      throw new AcmeError('acme-pending', message, { retryAfter: pause });
    }
    await clock.sleep(pause, { signal });
  }
}
