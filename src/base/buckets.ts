/**
 * Token buckets, as CAs have them: `count` at once, refilled evenly over `period`. Pure: time is given. What is
 * kept is what was used, so that a bucket nobody ever used needs no place anywhere.
 */

export interface Limit {
  /** At least 1. */
  readonly count: number;
  /** ms in which an empty bucket fills. */
  readonly period: number;
}

export interface Bucket {
  /** Tokens missing at `at`; may be more than there are, where a CA counts otherwise than we do. */
  readonly used: number;
  /** ms since the epoch. */
  readonly at: number;
}

/** Sums of fractions miss whole numbers by less than this. */
const NEARLY = 1e-6;

const UNUSED = { used: 0, at: 0 };

/** The bucket as of `now`. A clock that was put back refills nothing and takes nothing. */
export function refilled(bucket: Bucket | undefined, { count, period }: Limit, now: number): Bucket {
  const { used, at } = bucket ?? UNUSED;
  const back = (Math.max(now - at, 0) * count) / period;
  return { used: Math.max(used - back, 0), at: now };
}

export function taken(bucket: Bucket | undefined, limit: Limit, now: number, tokens = 1): Bucket {
  const { used } = refilled(bucket, limit, now);
  return { used: used + tokens, at: now };
}

export function givenBack(bucket: Bucket | undefined, limit: Limit, now: number, tokens: number): Bucket {
  const { used } = refilled(bucket, limit, now);
  return { used: Math.max(used - tokens, 0), at: now };
}

/**
 * When `tokens` are there (ms since the epoch), `now` if they are. More than the bucket holds counts on: the time
 * when so many will have come, others having used the first ones.
 */
export function availableAt(bucket: Bucket | undefined, limit: Limit, now: number, tokens = 1): number {
  const { used } = refilled(bucket, limit, now);
  const lacking = used + tokens - limit.count;
  return lacking <= NEARLY ? now : Math.ceil(now + (lacking * limit.period) / limit.count);
}

/** Whether it is full again, and nothing has to be remembered of it. */
export function isFull(bucket: Bucket, limit: Limit, now: number): boolean {
  return refilled(bucket, limit, now).used <= NEARLY;
}
