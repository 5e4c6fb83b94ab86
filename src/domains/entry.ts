/** What the renewal engine knows of one domain, and who waits for what comes of it. */
import type { BudgetRequest } from './budgets/budget-limits.ts';
import type { Hold } from './budgets/budget-book.ts';
import type { RenewNowOptions } from './engine-options.ts';
import type { Progress } from './issuer.ts';
import { authorityAfter, type Job } from './renewal/job.ts';
import type { Outcome } from './renewal/renewal.ts';
import type { ManagedDomainSettings } from './settings.ts';
import type { DomainState } from './state.ts';

interface Waiter {
  readonly progress: (progress: Progress) => void;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

export class Entry {
  domain: ManagedDomainSettings;
  /** As of the last look at it. */
  state: DomainState | undefined;
  job: Job | undefined;
  /** Somebody asked for a renewal and none has been concluded since. */
  forced = false;
  /** Times in a row that the store could not be used for it. */
  failures = 0;
  /** What keeps it from asking its CA now. */
  hold: Hold | undefined;
  /** No check has it looked at again before, ms since the epoch. */
  floor = -Infinity;
  readonly #waiters = new Set<Waiter>();

  constructor(domain: ManagedDomainSettings) {
    this.domain = domain;
  }

  /** What comes of the run that is under way, or of the next one. An abort ends the waiting only. */
  async outcome({ signal, progress = () => {} }: RenewNowOptions): Promise<Outcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const waiter: Waiter = { progress, resolve, reject };
    const abort = () => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiters.add(waiter);
    try {
      return await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** To those who wait. */
  tell(progress: Progress): void {
    for (const waiter of this.#waiters) waiter.progress(progress);
  }

  settle(outcome: Outcome): void {
    for (const waiter of this.#waiters) waiter.resolve(outcome);
  }

  fail(error: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(error);
  }

  /** What it would ask of a CA's budget now. */
  request(retryFailover: number): BudgetRequest {
    const { domain, state, job } = this;
    const errors = job?.errors ?? 0;
    return {
      name: domain.name,
      names: domain.domains,
      authority: authorityAfter(domain.authorities, errors, retryFailover) ?? '',
      account: domain.externalAccount?.kid,
      priority: urgency(state),
      retrying: errors > 0,
    };
  }
}

/** Expired before expiring before new before what needs no renewal yet. */
function urgency(state: DomainState | undefined): number {
  if (!state || state.reasons.length === 0) return 0;
  if (state.expired) return 3;
  return state.certificates.length > 0 ? 2 : 1;
}
