/** How obtaining many certificates gets on: for the status, and for a line in the log every so often. */
import type { Clock } from '../../base/clock.ts';

/** Times remembered for the rate. */
const REMEMBERED = 100;

/** ms between two lines of the log. */
const LINE_INTERVAL = 30_000;

/** Fewer domains are seen at a glance without any counting. */
const MANY = 10;

export interface Obtaining {
  readonly total: number;
  /** Have their certificates. */
  readonly obtained: number;
  /** Lack them, and their last run failed. */
  readonly failing: number;
  /** ms until the rest, the failing left out, will have theirs at the rate of late; undefined where there is none. */
  readonly left: number | undefined;
}

export class ObtainingMeter {
  readonly #clock: Clock;
  readonly #times: number[] = [];
  #said: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A certificate was obtained. True where a line is to be written. */
  note(): boolean {
    const now = this.#clock.now();
    this.#times.push(now);
    if (this.#times.length > REMEMBERED) this.#times.shift();
    this.#said ??= now;
    if (Math.abs(now - this.#said) < LINE_INTERVAL) return false;
    this.#said = now;
    return true;
  }

  of(states: readonly { readonly complete: boolean; readonly failing: boolean }[]): Obtaining {
    const obtained = states.filter(({ complete }) => complete).length;
    const failing = states.filter((state) => !state.complete && state.failing).length;
    const total = states.length;
    return { total, obtained, failing, left: this.#left(total - obtained - failing) };
  }

  #left(pending: number): number | undefined {
    const [first, second] = this.#times;
    if (pending <= 0 || first === undefined || second === undefined) return undefined;
    const spent = Math.max(this.#clock.now() - first, 0);
    return Math.round((spent * pending) / this.#times.length);
  }
}

/** Whether there are so many, and some still to come, that it is worth saying. */
export function isWorthSaying({ total, obtained }: Obtaining): boolean {
  return total >= MANY && obtained < total;
}

/** `412 of 1000 certificates obtained, 3 failing, about 12 min left` */
export function describeObtaining({ total, obtained, failing, left }: Obtaining): string {
  const parts = [`${obtained} of ${total} certificates obtained`];
  if (failing > 0) parts.push(`${failing} failing`);
  if (left !== undefined) parts.push(`about ${roughly(left)} left`);
  return parts.join(', ');
}

function roughly(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 1) return `${Math.max(Math.round(ms / 1000), 1)} s`;
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
