/**
 * The keys of session tickets that all workers share, replaced as time goes by: who gets hold of today's opens no
 * connection of last week (of TLS 1.2, where the ticket alone is enough for that).
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import type { Settings } from '../../config/settings.ts';
import { TICKET_KEY_SIZE } from '../../tls/ticket-keys.ts';

/** Between two changes at least, ms. */
const LEAST_PERIOD = 3_600_000;

export class TicketKeys {
  #current = newKey();
  #next = newKey();
  #previous = newKey();

  /**
   * The first encrypts, all open tickets. The next one is among them before its time, so that a worker that is told
   * later than another opens the other's tickets all the same.
   */
  get all(): readonly Uint8Array[] {
    return [this.#current, this.#next, this.#previous];
  }

  /** Changes them after every period, and tells; until the signal ends that. */
  async rotate(options: RotationOptions): Promise<void> {
    const { clock, signal } = options;
    while (!signal.aborted) {
      await clock.sleep(periodOf(options.settings()), { signal }).catch(() => {});
      if (signal.aborted) return;
      [this.#previous, this.#current, this.#next] = [this.#current, this.#next, newKey()];
      options.tell(this.all);
    }
  }
}

export interface RotationOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly settings: () => Settings;
  readonly tell: (keys: readonly Uint8Array[]) => void;
}

/** As long as the longest session: a key opens tickets for one more period after it has encrypted its last. */
function periodOf({ base, hosts }: Settings): number {
  const timeouts = [base, ...hosts].map(({ tls }) => tls.sessions.timeout * 1000);
  return Math.max(LEAST_PERIOD, ...new Set(timeouts));
}

function newKey(): Uint8Array {
  return randomBytes(TICKET_KEY_SIZE);
}
