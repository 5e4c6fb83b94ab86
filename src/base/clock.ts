import { setTimeout as delay } from 'node:timers/promises';

/**
 * The one source of time. Nothing in Latchkey calls Date.now() or setTimeout() to decide something about
 * certificates: it asks a Clock, so that tests move time instead of waiting for it (see clock.testing.ts).
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms` milliseconds (any length; at once when negative). Rejects with the signal's reason. */
  sleep(ms: number, options?: { signal?: AbortSignal | undefined }): Promise<void>;
}

/** setTimeout() fires at once beyond this (2^31-1 ms, 24.8 days), so longer sleeps go in steps. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, options) {
    const signal = options?.signal;
    const end = performance.now() + ms;
    for (let left = ms; left > 0; left = end - performance.now()) {
      // Aborted, it rejects with an AbortError of its own; the reason is the caller's.
      await delay(Math.min(left, LONGEST_TIMER), undefined, signal ? { signal } : {}).catch(() => {});
      signal?.throwIfAborted();
    }
    signal?.throwIfAborted();
  },
};
