/** Orders with their authorizations and challenges (RFC 8555 section 7.1): one document, one file. */
import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { Collection } from '../collection.ts';
import { baseName, isWildcard } from '../identifiers.ts';
import type { Identifier } from '../identifiers.ts';
import { profileNames } from '../profiles.ts';
import type { ProfileName } from '../profiles.ts';
import { challengeTypes } from '../validation/validate.ts';
import type { ChallengeType } from '../validation/validate.ts';
import { AcmeProblem, compound } from './problem.ts';
import type { ProblemDocument } from './problem.ts';

const HOUR = 3_600_000;
/** How long a client has, from the order to the certificate. */
const LIFETIME = 24 * HOUR;
/** How long a finished order can still be asked for. */
const KEEP_FINISHED = HOUR;
const MOST_ORDERS = 20_000;
const MOST_OPEN_PER_ACCOUNT = 2_000;

const identifier = v.object({ type: v.picklist(['dns', 'ip']), value: v.string() });
const problem: v.GenericSchema<unknown, ProblemDocument> = v.looseObject({
  type: v.string(),
  detail: v.string(),
  status: v.optional(v.number()),
  identifier: v.optional(identifier),
  subproblems: v.optional(v.array(v.lazy(() => problem))),
});
const challenge = v.object({
  type: v.picklist(challengeTypes),
  token: v.string(),
  status: v.picklist(['pending', 'processing', 'valid', 'invalid']),
  validated: v.optional(v.number()),
  error: v.optional(problem),
});
const authorization = v.object({
  /** Without `*.`. */
  identifier,
  wildcard: v.boolean(),
  status: v.picklist(['pending', 'valid', 'invalid', 'deactivated']),
  challenges: v.array(challenge),
});
const schema = v.object({
  id: v.string(),
  account: v.string(),
  created: v.number(),
  /** When it is forgotten. */
  expires: v.number(),
  identifiers: v.array(identifier),
  authorizations: v.array(authorization),
  profile: v.optional(v.picklist(profileNames), 'default'),
  /** Which certificate it replaces (RFC 9773 section 4.1). */
  replaces: v.optional(v.string()),
  /** Serial number; the order is valid. */
  certificate: v.optional(v.string()),
});
export type Order = v.InferOutput<typeof schema>;
export type Authorization = Order['authorizations'][number];
export type Challenge = Authorization['challenges'][number];

export type OrderStatus = 'pending' | 'ready' | 'valid' | 'invalid';

/** A status follows from what is there: none is kept that could contradict it. */
export function orderStatus({ certificate, authorizations }: Order): OrderStatus {
  if (certificate !== undefined) return 'valid';
  const statuses = authorizations.map(({ status }) => status);
  if (statuses.some((status) => status === 'invalid' || status === 'deactivated')) return 'invalid';
  return statuses.every((status) => status === 'valid') ? 'ready' : 'pending';
}

/** Why an order is invalid: the errors of its challenges. */
export function orderError({ authorizations }: Order): ProblemDocument | undefined {
  const problems = authorizations.flatMap((one) =>
    one.challenges.flatMap(({ error }) => (error ? [{ ...error, identifier: asked(one) }] : [])),
  );
  return compound(problems);
}

function asked({ identifier: { type, value }, wildcard }: Authorization): Identifier {
  return { type, value: wildcard ? `*.${value}` : value };
}

export class Orders {
  readonly #kept: Collection<Order>;
  readonly #clock: Clock;
  /** How many orders of an account are open; one that has expired counts until it is swept. */
  readonly #open = new Map<string, number>();

  private constructor(kept: Collection<Order>, clock: Clock) {
    this.#kept = kept;
    this.#clock = clock;
    for (const order of kept.values()) this.#count(undefined, order);
    kept.onChange = (before, after) => this.#count(before, after);
  }

  static async open(dir: string, clock: Clock, logger: Logger): Promise<Orders> {
    return new Orders(await Collection.open(dir, schema, logger), clock);
  }

  /** undefined for one that has expired, too. */
  get(id: string): Order | undefined {
    const order = this.#kept.get(id);
    return order && order.expires > this.#clock.now() ? order : undefined;
  }

  /** An account's orders, oldest first, without invalid ones (section 7.1.2.1). */
  ofAccount(account: string): Order[] {
    return [...this.#kept.values()]
      .filter((order) => order.account === account && this.get(order.id) && orderStatus(order) !== 'invalid')
      .sort((a, b) => a.created - b.created);
  }

  /** Challenges that were being validated when the last process ended. */
  *interrupted(): Iterable<ChallengePlace> {
    for (const order of this.#kept.values()) {
      for (const [index, { challenges }] of order.authorizations.entries()) {
        for (const { type, status } of challenges) {
          if (status === 'processing') yield { order: order.id, index, type };
        }
      }
    }
  }

  /** Throws AcmeProblem `rateLimited`. */
  async create(account: string, { identifiers, profile, replaces }: NewOrder): Promise<Order> {
    await this.#makeRoom(account);
    const now = this.#clock.now();
    return this.#kept.put({
      id: randomBytes(16).toString('base64url'),
      account,
      created: now,
      expires: now + LIFETIME,
      identifiers: identifiers.map(({ type, value }) => ({ type, value })),
      authorizations: identifiers.map(newAuthorization),
      profile,
      ...(replaces !== undefined && { replaces }),
    });
  }

  /** Changes one authorization while it is pending; later, the order stays as it is. */
  decide(
    { order, index }: { order: string; index: number },
    change: (authorization: Authorization) => Authorization,
  ): Promise<Order | undefined> {
    return this.#kept.update(order, (current) => {
      const authorizations = current.authorizations.map((one, at) =>
        at === index && one.status === 'pending' ? change(one) : one,
      );
      return this.#settled({ ...current, authorizations });
    });
  }

  /** An authorization is given up (section 7.5.2), pending or valid. */
  deactivate(order: string, index: number): Promise<Order | undefined> {
    return this.#kept.update(order, (current) => {
      const authorizations = current.authorizations.map((one, at) =>
        at === index && one.status !== 'invalid' ? { ...one, status: 'deactivated' as const } : one,
      );
      return this.#settled({ ...current, authorizations });
    });
  }

  complete(order: string, certificate: string): Promise<Order | undefined> {
    return this.#kept.update(order, (current) => this.#settled({ ...current, certificate }));
  }

  async removeOfAccount(account: string): Promise<void> {
    const theirs = [...this.#kept.values()].filter((order) => order.account === account && isOpen(order));
    for (const { id } of theirs) await this.#kept.remove(id);
  }

  /** Forgets what has expired. */
  async sweep(): Promise<void> {
    for (const { id } of [...this.#kept.values()].filter((order) => !this.get(order.id))) {
      await this.#kept.remove(id);
    }
  }

  #settled(order: Order): Order {
    if (isOpen(order)) return order;
    return { ...order, expires: Math.min(order.expires, this.#clock.now() + KEEP_FINISHED) };
  }

  async #makeRoom(account: string): Promise<void> {
    const own = this.#open.get(account) ?? 0;
    if (own >= MOST_OPEN_PER_ACCOUNT) throw tooMany(`${own} orders of the account are open`);
    if (this.#kept.size < MOST_ORDERS) return;
    for (const order of this.#kept.values()) {
      if (!isOpen(order) || !this.get(order.id)) return this.#kept.remove(order.id);
    }
    throw tooMany('there are too many open orders');
  }

  #count(before: Order | undefined, after: Order | undefined): void {
    const add = (account: string, change: number) => {
      const open = (this.#open.get(account) ?? 0) + change;
      if (open > 0) this.#open.set(account, open);
      else this.#open.delete(account);
    };
    if (before && isOpen(before)) add(before.account, -1);
    if (after && isOpen(after)) add(after.account, 1);
  }
}

export interface NewOrder {
  readonly identifiers: readonly Identifier[];
  readonly profile: ProfileName;
  readonly replaces?: string | undefined;
}

/** Where a challenge is: authorizations are counted from 0. */
export interface ChallengePlace {
  readonly order: string;
  readonly index: number;
  readonly type: ChallengeType;
}

function isOpen(order: Order): boolean {
  const status = orderStatus(order);
  return status === 'pending' || status === 'ready';
}

function newAuthorization(asking: Identifier): Authorization {
  return {
    identifier: { type: asking.type, value: baseName(asking) },
    wildcard: isWildcard(asking),
    status: 'pending',
    challenges: challengeTypes
      .filter((type) => isPossible(type, asking))
      .map((type) => ({ type, token: randomBytes(32).toString('base64url'), status: 'pending' })),
  };
}

/** Wildcards are proved by DNS alone (RFC 8555, 7.1.3), addresses never (RFC 8738, 7). */
function isPossible(type: ChallengeType, asking: Identifier): boolean {
  if (type === 'dns-01') return asking.type === 'dns';
  return !isWildcard(asking);
}

function tooMany(detail: string): AcmeProblem {
  return new AcmeProblem('rateLimited', detail, { headers: { 'retry-after': '60' } });
}
