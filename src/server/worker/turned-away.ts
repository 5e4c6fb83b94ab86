/**
 * Connections that are turned away before anything is done for them: counted, and told of in the log with a line
 * when it begins, one for each minute that it goes on, and one when it is over.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Refusals } from '../../status/document.ts';

/** Between two lines of one reason, ms. */
const PAUSE = 60_000;

/** Why; the client is the last one that it happened to. */
const REASONS: Readonly<Record<keyof Refusals, (client: string) => string>> = {
  overload: () => 'more handshakes wait for their turn than can be done in time, this worker is overloaded',
  connections: (client) => `${client} has as many open in this worker as ClientConnections allows`,
  handshakes: (client) => `${client} begins more handshakes in this worker than ClientHandshakes allows`,
};

export class TurnedAway implements Disposable {
  /** Since this process began. */
  readonly counts: { -readonly [Reason in keyof Refusals]: number } = {
    overload: 0,
    connections: 0,
    handshakes: 0,
  };
  /** When the last one was, ms since the epoch. */
  last: number | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Of reasons that are being told of: the last client. */
  readonly #told = new Map<keyof Refusals, string>();
  readonly #end = new AbortController();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  note(reason: keyof Refusals, client = ''): void {
    this.counts[reason]++;
    this.last = this.#clock.now();
    const known = this.#told.has(reason);
    this.#told.set(reason, client);
    if (!known && !this.#end.signal.aborted) void this.#tell(reason);
  }

  /** Says how many there were of what is being told of. What comes after is counted only. */
  [Symbol.dispose](): void {
    this.#end.abort();
  }

  async #tell(reason: keyof Refusals): Promise<void> {
    const before = this.counts[reason] - 1;
    const why = () => REASONS[reason](this.#told.get(reason) ?? '');
    this.#logger.warn(`connections are refused: ${why()}`);
    const { signal } = this.#end;
    for (;;) {
      const last = this.counts[reason];
      await this.#clock.sleep(PAUSE, { signal }).catch(() => {});
      const more = this.counts[reason] - last;
      if (more === 0 || signal.aborted) break;
      this.#logger.warn(`${more} connections were refused within a minute: ${why()}`);
    }
    this.#told.delete(reason);
    this.#logger.notice(`connections are refused no more, ${this.counts[reason] - before} were`);
  }
}
