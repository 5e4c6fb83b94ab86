/**
 * Checks: every MDCheckInterval a domain is looked at for which nothing is due. Files may have changed, and
 * certificates expire.
 */
import { explain } from '../base/errors.ts';
import { Schedule } from '../base/schedule.ts';
import type { Entry } from './entry.ts';
import { nextWarning, warnOfExpiry } from './hooks/expiry.ts';
import type { Plan } from './renewal/plan.ts';
import type { RenewalContext } from './renewal/renewal.ts';

/** A warning waits for this long at a time while a renewal is tried, ms. */
const WARNING_DELAY = 60_000;

/** Domains checked at once. */
const PARALLEL = 4;

const HOUR = 60 * 60 * 1000;

export interface ChecksParts {
  /** Now in force. */
  readonly context: () => RenewalContext;
  readonly entry: (name: string) => Entry | undefined;
  /** When domains are renewed. */
  readonly renewals: Schedule;
  readonly look: (entry: Entry) => Promise<Plan>;
  readonly waitUntil: (entry: Entry, plan: Extract<Plan, { kind: 'wait' }>) => number | undefined;
}

export class Checks {
  readonly #parts: ChecksParts;
  readonly #schedule: Schedule;

  constructor(parts: ChecksParts) {
    this.#parts = parts;
    this.#schedule = new Schedule({
      clock: parts.context().clock,
      parallel: PARALLEL,
      work: (name, signal) => this.#check(name, signal),
      lane: () => ({ key: '', priority: 0 }),
    });
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#schedule.run(signal);
  }

  /** At `at` for the next time, ms since the epoch. */
  set(name: string, at: number): void {
    this.#schedule.set(name, at);
  }

  remove(name: string): void {
    this.#schedule.remove(name);
  }

  /** Looks whether what holds for a domain has changed, and warns of a certificate that expires. */
  async #check(name: string, signal: AbortSignal): Promise<number | undefined> {
    const entry = this.#parts.entry(name);
    if (!entry) return undefined;
    const { clock } = this.#parts.context();
    if (this.#isBusy(name)) return clock.now() + WARNING_DELAY;
    try {
      const next = await this.#parts.look(entry);
      const at = next.kind === 'wait' ? this.#parts.waitUntil(entry, next) : clock.now();
      const floor = Math.min(entry.floor, clock.now() + HOUR);
      if (at !== undefined && !this.#isBusy(name)) this.#parts.renewals.set(name, Math.max(at, floor));
      const { state, job, domain } = entry;
      if (!state || !job || nextWarning(domain, state, job, clock.now()) > clock.now()) {
        return this.next(entry);
      }
      // What waits to be activated is no reason to warn.
      if (!job.finished) await warnOfExpiry(this.#parts.context(), state, job, { signal });
    } catch (error) {
      if (signal.aborted) return undefined;
      this.#parts.context().logger.error(`AH10056: processing ${name}: ${explain(error)}`);
    }
    return this.#regularCheck();
  }

  /** Whether a renewal runs, or is about to. */
  #isBusy(name: string): boolean {
    const due = this.#parts.renewals.due(name);
    return (
      this.#parts.renewals.runs(name) ||
      (due !== undefined && due <= this.#parts.context().clock.now() + WARNING_DELAY)
    );
  }

  /** By MDCheckInterval, sooner where a certificate is to be warned of. */
  next({ domain, state, job }: Entry): number {
    const regular = this.#regularCheck();
    if (!state || !job) return regular;
    return Math.min(regular, nextWarning(domain, state, job, this.#parts.context().clock.now()));
  }

  #regularCheck(): number {
    const { clock, checkInterval, random } = this.#parts.context();
    return clock.now() + Math.round(checkInterval * (0.5 + random()));
  }
}
