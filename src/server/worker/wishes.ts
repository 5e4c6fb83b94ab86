/**
 * What this worker has asked the engine for. However many clients come for a certificate that the table lacks,
 * the other processes are asked once, and again only when the answer is some time old.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../base/clock.ts';
import type { Wanted } from '../calls.ts';

/** How long an answer counts, ms: that there is no certificate, and one that the table has no room for. */
const PROBLEM_LIFE = 1000;
const SET_LIFE = 10_000;

const MOST = 1000;

interface Wish {
  readonly answer: Promise<Wanted>;
  since: number;
  life: number;
}

export class Wishes {
  readonly #want: (setId: string) => Promise<Wanted>;
  readonly #clock: Clock;
  readonly #made = new LRUCache<string, Wish>({ max: MOST });

  constructor(want: (setId: string) => Promise<Wanted>, clock: Clock) {
    this.#want = want;
    this.#clock = clock;
  }

  /** Rejects as `want` does. */
  ask(setId: string): Promise<Wanted> {
    const known = this.#made.get(setId);
    if (known && this.#counts(known)) return known.answer;
    const wish: Wish = { answer: this.#want(setId), since: this.#clock.now(), life: Infinity };
    this.#made.set(setId, wish);
    wish.answer.then(
      (wanted) => this.#date(wish, 'problem' in wanted ? PROBLEM_LIFE : SET_LIFE),
      () => this.#date(wish, PROBLEM_LIFE),
    );
    return wish.answer;
  }

  forget(setId: string): void {
    this.#made.delete(setId);
  }

  #date(wish: Wish, life: number): void {
    wish.since = this.#clock.now();
    wish.life = life;
  }

  /** A clock that was put back makes nothing last longer. */
  #counts({ since, life }: Wish): boolean {
    const age = this.#clock.now() - since;
    return age >= 0 && age < life;
  }
}
