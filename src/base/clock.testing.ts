import type { Clock } from './clock.ts';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test moves it. */
export class TestClock implements Clock {
  #now: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(start: number | string = '2026-11-22T06:00:00Z') {
    this.#now = typeof start === 'number' ? start : Date.parse(start);
  }

  now(): number {
    return this.#now;
  }

  /** How many sleeps are under way. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  async sleep(ms: number, options?: { signal?: AbortSignal | undefined }): Promise<void> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (ms <= 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper: Sleeper = { at: this.#now + ms, wake: resolve };
    const abort = () => reject(signal?.reason);
    this.#sleepers.add(sleeper);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener('abort', abort);
    }
  }

  /**
   * Moves time forward by `ms`, waking sleepers in the order of their times, and lets what they continue run
   * before going on (each wake-up is followed by a turn of the event loop).
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await turn();
    for (;;) {
      const next = [...this.#sleepers].filter((s) => s.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      this.#sleepers.delete(next);
      next.wake();
      await turn();
    }
    this.#now = end;
    await turn();
  }

  /** Sets the wall clock without waking anybody: what an administrator's `date -s` does. */
  jump(to: number): void {
    this.#now = to;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
