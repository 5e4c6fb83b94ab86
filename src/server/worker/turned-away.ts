/**
 * Connections that are turned away before anything is done for them: counted, and told of in the log with a line
 * when it begins, one for each minute that it goes on, and one when it is over.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';

/** Between two lines of one reason, ms. */
const PAUSE = 60_000;

const REASONS = {
  overload: 'more handshakes wait for their turn than can be done in time, this worker is overloaded',
} as const;

export type TurnedAwayFor = keyof typeof REASONS;

export class TurnedAway {
  /** Since this process began. */
  readonly counts: Record<TurnedAwayFor, number> = { overload: 0 };
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #told = new Set<TurnedAwayFor>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  note(reason: TurnedAwayFor): void {
    this.counts[reason]++;
    if (!this.#told.has(reason)) void this.#tell(reason);
  }

  async #tell(reason: TurnedAwayFor): Promise<void> {
    const before = this.counts[reason] - 1;
    this.#told.add(reason);
    this.#logger.warn(`connections are refused: ${REASONS[reason]}`);
    for (;;) {
      const last = this.counts[reason];
      await this.#clock.sleep(PAUSE);
      const more = this.counts[reason] - last;
      if (more === 0) break;
      this.#logger.warn(`${more} connections were refused within a minute: ${REASONS[reason]}`);
    }
    this.#told.delete(reason);
    this.#logger.notice(`connections are refused no more, ${this.counts[reason] - before} were`);
  }
}
