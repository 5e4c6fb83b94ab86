/**
 * What is known of one responder: when it may be asked next. Its certificates are asked about one after the other
 * at an even pace, however many they are, and while it is ill it is asked by one at a time, ever more rarely.
 */

/** ms between the starts of two requests to one responder. */
const PACE = 100;

/** The longest that an ill responder is left alone, ms, unless it wants more. */
const LONGEST_PAUSE = 15 * 60_000;

/** What a Retry-After is believed up to, ms. */
const LONGEST_RETRY_AFTER = 24 * 60 * 60 * 1000;

export interface RetryOptions {
  /** ms before the first retry, doubled with each failure. */
  readonly retryDelay: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

export class Responder {
  readonly url: string;
  /** How many it is asked about. */
  certificates = 0;
  /** Requests under way. */
  asked = 0;
  /** In a row. */
  failures = 0;
  /** It does not take GET. */
  posts = false;
  /** It has to be asked with a nonce. */
  nonces = false;
  #next = -Infinity;
  #paused = -Infinity;

  constructor(url: string) {
    this.url = url;
  }

  /** When a request may start, ms since the epoch; the place in the line is taken by asking. */
  place(now: number): number {
    // Beyond that only if the clock was put back since.
    const line = this.#next - now > LONGEST_RETRY_AFTER * 2 ? now : this.#next;
    const place = Math.max(now, line, this.pausedUntil(now) ?? now);
    this.#next = place + PACE;
    return place;
  }

  /** Ill as it was, it is being tried with one request. */
  get tried(): boolean {
    return this.failures > 0 && this.asked > 0;
  }

  /** undefined where it may be asked. */
  pausedUntil(now: number): number | undefined {
    const left = this.#paused - now;
    return left > 0 && left <= LONGEST_RETRY_AFTER * 2 ? this.#paused : undefined;
  }

  answered(): void {
    this.failures = 0;
  }

  /** Failures of requests that were under way together count as one. */
  failed(now: number, retryAfter: number | undefined, options: RetryOptions): void {
    if (this.pausedUntil(now) !== undefined) return;
    this.failures += 1;
    const pause = backoff(this.failures, LONGEST_PAUSE, options);
    this.#paused = now + Math.max(pause, Math.min(retryAfter ?? 0, LONGEST_RETRY_AFTER));
    // The line begins anew behind the pause.
    this.#next = this.#paused;
  }
}

/** Doubled with each failure in a row up to `longest`; up to a quarter is added, so that not all come back at once. */
export function backoff(failures: number, longest: number, { retryDelay, random }: RetryOptions): number {
  const delay = Math.min(retryDelay * 2 ** (failures - 1), longest);
  return Math.round(delay + (delay / 4) * random());
}
