/** Handshakes that fail, as events. Anybody can have as many as they like: most of a flood are counted only. */
import { availableAt, type Bucket, type Limit, taken } from '../base/buckets.ts';
import type { Clock } from '../base/clock.ts';

/** A client that came for TLS and got none. */
export interface FailedHandshake {
  /** Of the client; empty where it was gone already. */
  readonly address: string;
  /** What it asked for by SNI, as it is; undefined where it named none, or hadn't got that far. */
  readonly name: string | undefined;
  readonly reason: string;
  /** How many have failed since the last event without one of their own. */
  readonly omitted: number;
}

/** So many events at once, and as many in each period (ms). */
const LIMIT: Limit = { count: 20, period: 2000 };

export class FailedHandshakes {
  readonly #clock: Clock;
  readonly #tell: (failed: FailedHandshake) => void;
  #bucket: Bucket | undefined;
  #omitted = 0;

  constructor(clock: Clock, tell: (failed: FailedHandshake) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Tells of it later, as whoever is told may throw. */
  note(failed: Omit<FailedHandshake, 'omitted'>): void {
    const now = this.#clock.now();
    if (availableAt(this.#bucket, LIMIT, now) > now) {
      this.#omitted++;
      return;
    }
    this.#bucket = taken(this.#bucket, LIMIT, now);
    const omitted = this.#omitted;
    this.#omitted = 0;
    setImmediate(this.#tell, { ...failed, omitted });
  }
}
