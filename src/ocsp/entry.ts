/** One certificate's state: the response it has, and when another one is wanted. */
import { SKEW } from '../pki/ocsp-response.ts';
import type { Span } from '../store/formats.ts';
import type { Responder } from './responder.ts';
import type { KeptResponse } from './response-file.ts';
import type { Subject } from './subject.ts';

const MINUTE = 60_000;

/** ms after which a place in a line is lost: what a process that stood still has missed is not caught up with. */
const LATE = 300;

export interface Problem {
  /** The error's code. */
  readonly type: string;
  readonly detail: string;
}

export class Entry {
  subject: Subject;
  /** Whose certificate it is: sets that show it. */
  readonly owners = new Set<string>();
  /** Of the store; until then nothing is known. */
  loading: Promise<void> | undefined;
  /** The latest that says good or revoked. */
  response: KeptResponse | undefined;
  /** The next request is to have a nonce (RFC 9654), since the answer to the last one was of no use without. */
  nonce = false;
  /** The responder's last answer was that it does not know the certificate. */
  unknown = false;
  /** Whether its owners have been given the response to staple. */
  stapled = false;
  /** In a row. */
  errors = 0;
  problem: Problem | undefined;
  /** ms since the epoch. */
  lastRun: number | undefined;
  asking = false;
  #responder: Responder | undefined;
  /** Its place in the responder's line. */
  #place: number | undefined;
  #held: { readonly since: number; readonly until: number } | undefined;

  constructor(subject: Subject) {
    this.subject = subject;
  }

  /** undefined where nobody can be asked. */
  get responder(): Responder | undefined {
    return this.#responder;
  }

  /** Has another responder asked about it, or none any more. */
  ask(responder: Responder | undefined): void {
    if (this.#responder) this.#responder.certificates -= 1;
    if (responder) responder.certificates += 1;
    this.#responder = responder;
  }

  /** The response to staple now, if any. */
  staple(now: number): Buffer | undefined {
    const { response } = this;
    return response?.status === 'good' && now < response.until ? response.der : undefined;
  }

  /** Not to be asked about before `until`. */
  hold(now: number, until: number): void {
    this.#held = { since: now, until };
  }

  /** When the next response is wanted; not in the future: now. */
  wantedAt(now: number, window: Span): number {
    const held = this.#held && this.#held.since <= now ? this.#held.until : -Infinity;
    const { response } = this;
    // From the future it is only if the clock was wrong when it came, or is now.
    if (!response || response.from > now + SKEW) return held;
    return Math.max(this.#renewAt(response, window), held);
  }

  /** What was taken counts, however soon the same may be had again. */
  accept(now: number, response: KeptResponse, fresh: number, window: Span): void {
    this.response = response;
    const { until } = response;
    const start = windowStart(response, window);
    // Caches are respected as long as enough of the window is left to get another one.
    let asked = Math.min(now + fresh, until - (until - start) / 4);
    if (this.#renewAt(response, window) <= now)
      asked = Math.max(asked, now + MINUTE, now + (until - now) / 4);
    this.hold(now, asked);
  }

  /** Its place in the line of its responder: taken now unless it has one. After a pause there is a new line. */
  placeIn(responder: Responder, now: number): number {
    const lost = this.#place !== undefined && !this.#isNear(this.#place, now);
    if (this.#place === undefined || lost || responder.pausedUntil(now) !== undefined) {
      this.#place = responder.place(now);
    }
    const place = this.#place;
    if (place <= now) this.#place = undefined;
    return place;
  }

  /** A place further away than any line is long was given before the clock was put back. */
  #isNear(place: number, now: number): boolean {
    return place - now < 7 * 24 * 60 * MINUTE && now - place <= LATE;
  }

  /**
   * In the first half of the window, at a point that is the certificate's own: those that have come together are not
   * asked about together again.
   */
  #renewAt(response: KeptResponse, window: Span): number {
    const start = windowStart(response, window);
    const share = Number.parseInt(this.subject.id.slice(0, 8), 16) / 2 ** 32;
    return start + ((response.until - start) / 2) * share;
  }
}

/** When MDStaplingRenewWindow begins; a length of time is cut to half of the response's life. */
function windowStart({ from, until }: KeptResponse, window: Span): number {
  const life = Math.max(until - from, 0);
  return until - ('ms' in window ? Math.min(window.ms, life / 2) : (life * window.percent) / 100);
}
