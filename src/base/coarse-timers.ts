/**
 * Deadlines that hardly ever come: a connection that is done in milliseconds has one of a minute. Starting and ending
 * one costs an entry in a Set; all share one timer of the system, which looks once a second.
 */
export class CoarseTimers {
  readonly #running = new Set<CoarseTimer>();
  #ticks = false;

  /** Calls back once, `ms` milliseconds from now or up to two seconds later, unless disposed before. */
  start(callback: () => void, ms: number): Disposable {
    const timer = new CoarseTimer(callback, ms, this.#running);
    if (!this.#ticks) this.#next();
    return timer;
  }

  #next(): void {
    this.#ticks = this.#running.size > 0;
    // What has a deadline keeps the process itself; one that is done would end a second late.
    if (this.#ticks) setTimeout(() => this.#tick(), TICK).unref();
  }

  #tick(): void {
    for (const timer of this.#running) timer.tick();
    this.#next();
  }
}

/** Milliseconds. */
const TICK = 1000;

class CoarseTimer implements Disposable {
  readonly #callback: () => void;
  readonly #running: Set<CoarseTimer>;
  #left: number;

  constructor(callback: () => void, ms: number, running: Set<CoarseTimer>) {
    this.#callback = callback;
    this.#left = ms;
    this.#running = running.add(this);
  }

  /** The first may come at once: it doesn't count. */
  tick(): void {
    if (this.#left > 0) this.#left -= TICK;
    else {
      this[Symbol.dispose]();
      this.#callback();
    }
  }

  [Symbol.dispose](): void {
    this.#running.delete(this);
  }
}
