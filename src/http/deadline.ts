/**
 * Time limits of reading (RequestReadTimeout), counted in ticks instead of by the wall clock: a clock set
 * forward must not end every connection.
 */
import type { Clock } from '../base/clock.ts';
import type { ReadTimeout } from '../config/settings.ts';

/** One stretch of reading. */
export class ReadDeadline {
  readonly #limit: ReadTimeout;
  #elapsed = 0;

  constructor(limit: ReadTimeout) {
    this.#limit = limit;
  }

  /** `ms` more have gone by, `bytes` have arrived since the beginning: whether the time is over. */
  tick(ms: number, bytes: number): boolean {
    const { initial, max, minRate } = this.#limit;
    if (initial === 0) return false;
    this.#elapsed += ms;
    const extended = minRate > 0 ? initial + (bytes / minRate) * 1000 : initial;
    return this.#elapsed > (max > 0 ? Math.min(extended, max) : extended);
  }
}

/** Something that looks at itself once a second. */
export interface Watched {
  tick(ms: number): void;
}

/** Ticks for all that is watched, with one timer; none while nothing is. */
export class Watch {
  readonly #clock: Clock;
  readonly #watched = new Set<Watched>();
  #running = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(watched: Watched): void {
    this.#watched.add(watched);
    if (!this.#running) void this.#run();
  }

  remove(watched: Watched): void {
    this.#watched.delete(watched);
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#watched.size > 0) {
      await this.#clock.sleep(tickLength);
      for (const watched of this.#watched) watched.tick(tickLength);
    }
    this.#running = false;
  }
}

const tickLength = 1000;
