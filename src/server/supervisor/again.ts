import type { Clock } from '../../base/clock.ts';
import { LatchkeyError } from '../../base/errors.ts';

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 10_000;

/** There is no new process whose end would bring another one. */
export class ForkError extends LatchkeyError<'fork'> {
  constructor(cause: unknown) {
    super('fork', 'no process could be made', { cause });
  }
}

/** What `make` gives. Throws ForkError. */
export function forked<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ForkError(error);
  }
}

export interface Again {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Of its kind in a row: none, and there is no pause; else up to 10 s. */
  readonly failures: number;
  readonly start: () => Promise<void>;
  /** Told of each start that failed. */
  readonly failed: (error: unknown) => void;
}

/** Starts a process in the place of one that ended. Fulfilled when there is one, begun or not, or at the abort. */
export async function startAgain({ clock, signal, failures, start, failed }: Again): Promise<void> {
  for (let count = failures; !signal.aborted; count++) {
    const pause = count === 0 ? 0 : Math.min(FIRST_PAUSE * 2 ** count, LONGEST_PAUSE);
    try {
      await clock.sleep(pause, { signal });
      return await start();
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
      // Of one that began badly its own end brings the next.
      if (!(error instanceof ForkError)) return;
    }
  }
}
