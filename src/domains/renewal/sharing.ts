/**
 * Several servers on one store (MDStoreLocks): a domain is renewed by one of them at a time, and what one has
 * obtained is served by all within seconds.
 */
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Lease, Leases } from '../../store/leases.ts';

export interface SharedStore {
  readonly leases: Leases;
  /** The set of a domain has changed in `domains`: has it served. */
  readonly adopt: (name: string) => Promise<void>;
  /** Another server has had a lease that is no domain's (`%…`). */
  readonly noticed?: ((lease: string) => void) | undefined;
}

export interface SharingOptions extends SharedStore {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** ms between two looks at what others have done, and before a domain that another works on is tried again. */
export const LOOK_INTERVAL = 5000;

export class Sharing {
  readonly #options: SharingOptions;
  /** Serials, by domain, as this server has them. */
  readonly #served = new Map<string, string>();

  constructor(options: SharingOptions) {
    this.#options = options;
  }

  take(name: string): Promise<Lease | undefined> {
    return this.#options.leases.take(name);
  }

  /** This server has these now. */
  serves(name: string, serials: readonly string[]): void {
    this.#served.set(name, serials.join());
  }

  /** To be told what the store has at each look: what is new comes from another server. */
  async found(name: string, serials: readonly string[]): Promise<void> {
    const before = this.#served.get(name);
    this.serves(name, serials);
    if (before === undefined || before === serials.join() || serials.length === 0) return;
    try {
      await this.#options.adopt(name);
    } catch (error) {
      // The next look finds it new again.
      this.#served.set(name, before);
      throw error;
    }
    this.#options.logger.notice(
      `AH10059: The Managed Domain ${name} was renewed by another server on this store.`,
    );
  }

  /** Names whose domains others have worked on, until aborted. */
  async watch(changed: (name: string) => void, signal: AbortSignal): Promise<void> {
    const { clock, leases, logger, noticed } = this.#options;
    let primed = false;
    while (!signal.aborted) {
      try {
        const names = await leases.changed();
        for (const name of primed ? names : []) (name.startsWith('%') ? noticed : changed)?.(name);
        primed = true;
      } catch (error) {
        logger.warn(`the locks of the store can't be read: ${explain(error)}`);
      }
      await clock.sleep(LOOK_INTERVAL, { signal }).catch(() => {});
    }
  }
}
