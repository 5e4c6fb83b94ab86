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
  // Not timers/promises: each sleep that is given up there makes an error with a stack.
  sleep(ms, options) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const signal = options?.signal;
    const end = performance.now() + ms;
    let timer: NodeJS.Timeout | undefined;
    const give = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const step = () => {
      const left = end - performance.now();
      if (left > 0) {
        timer = setTimeout(step, Math.min(left, LONGEST_TIMER));
        return;
      }
      signal?.removeEventListener('abort', give);
      resolve();
    };
    if (signal?.aborted) give();
    else {
      signal?.addEventListener('abort', give, { once: true });
      step();
    }
    return promise;
  },
};
