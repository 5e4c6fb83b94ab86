/** So much for each key (a client, a registered domain), refilled evenly. In memory: what is forgotten is full. */
import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.ts';
import { availableAt, type Bucket, type Limit, taken } from './buckets.ts';

const MOST_KEYS = 10_000;

export class Allowance {
  readonly #limit: Limit;
  readonly #clock: Clock;
  readonly #buckets = new LRUCache<string, Bucket>({ max: MOST_KEYS });

  constructor(limit: Limit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Whether there is one left. */
  has(key: string): boolean {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key);
    // Of a clock that was put back: it would fill only once that time has come again.
    if (bucket && bucket.at > now) this.#buckets.set(key, { ...bucket, at: now });
    return availableAt(bucket, this.#limit, now) <= now;
  }

  take(key: string): void {
    this.#buckets.set(key, taken(this.#buckets.get(key), this.#limit, this.#clock.now()));
  }
}
