/**
 * What the store has to remove at leisure. Removing is no part of what anybody waits for, and some filesystems (ext4
 * without a journal) have whoever makes a file search past every inode that was freed in the last minute: a server that
 * obtains its first thousand certificates frees seven for each.
 */
import type { Clock } from '../../base/clock.ts';

/** How long (ms) it waits at most. */
const PATIENCE = 60_000;

type Removal = () => Promise<void>;

export class Litter implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  #waiting: Removal[] = [];
  #sweeping: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Once closed, it is removed at once. What can't be removed is left to the next start. */
  add(removal: Removal): void {
    this.#waiting.push(removal);
    if (this.#waiting.length > 1) return;
    const { signal } = this.#closed;
    const before = this.#sweeping;
    this.#sweeping = this.#clock
      .sleep(PATIENCE, { signal })
      .catch(() => {})
      .then(() => before)
      .then(() => this.#sweep());
  }

  /** Removes what waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const remove of waiting) await remove().catch(() => {});
  }
}
