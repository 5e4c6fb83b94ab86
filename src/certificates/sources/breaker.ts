/**
 * A circuit breaker: after so many failures in a row nobody asks any more; some time later a single probe may,
 * and its outcome decides (DynSSLCircuitBreaker, DynSSLCircuitReset).
 */
import type { Clock } from '../../base/clock.ts';

export interface BreakerOptions {
  /** Consecutive failures that open it, from 1 on. */
  readonly failures: number;
  /** ms from opening to the probe. */
  readonly reset: number;
  readonly clock: Clock;
  readonly changed?: (state: BreakerState) => void;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** The right to ask once; its outcome is to be told. */
export interface Admission {
  settle(outcome: 'success' | 'failure' | 'neither'): void;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #state: BreakerState = 'closed';
  #failures = 0;
  #opened = 0;
  /** Counts changes of state: what was asked before one says nothing after it. */
  #era = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** In a row, by now. */
  get failures(): number {
    return this.#failures;
  }

  /** Undefined while it is open, or its probe is under way. */
  admit(): Admission | undefined {
    if (this.#state === 'half-open') return undefined;
    if (this.#state === 'open') {
      const age = this.#options.clock.now() - this.#opened;
      // A clock that was put back must not keep it open for longer.
      if (age >= 0 && age < this.#options.reset) return undefined;
      this.#become('half-open');
    }
    const era = this.#era;
    return {
      settle: (outcome) => {
        if (era === this.#era) this.#settle(outcome);
      },
    };
  }

  #settle(outcome: 'success' | 'failure' | 'neither'): void {
    if (outcome === 'success') {
      this.#failures = 0;
      if (this.#state !== 'closed') this.#become('closed');
      return;
    }
    if (outcome === 'failure') this.#failures++;
    if (this.#state === 'half-open' || this.#failures >= this.#options.failures) this.#open();
  }

  #open(): void {
    this.#opened = this.#options.clock.now();
    this.#become('open');
  }

  #become(state: BreakerState): void {
    this.#state = state;
    this.#era++;
    this.#options.changed?.(state);
  }
}
