/**
 * `balancer://`: which member a request goes to. Each worker process balances and watches for itself, and a reload
 * begins anew.
 */
import type { Clock } from '../../base/clock.ts';
import type { BalancerSettings, ProxyParameters, ProxyWorker } from '../../config/settings.ts';
import { duration } from './plan.ts';

/** ms that a member which failed is left alone (`retry=`). */
const RETRY = 60_000;

export interface Member {
  readonly url: string;
  readonly parameters: ProxyParameters;
  readonly route: string | undefined;
}

class MemberState implements Member {
  readonly url: string;
  readonly parameters: ProxyParameters;
  readonly route: string | undefined;
  readonly factor: number;
  readonly set: number;
  /** Letters of `status=`, upper case. */
  readonly status: ReadonlySet<string>;
  readonly retry: number;
  /** Requests under way. */
  busy = 0;
  /** byrequests' account: who has most of it is next. */
  credit = 0;
  /** When it may be tried again; ms since the epoch. */
  failedUntil = 0;

  constructor({ url, parameters }: ProxyWorker) {
    this.url = url;
    this.parameters = parameters;
    this.route = parameters.route;
    this.factor = Number(parameters.loadfactor ?? 1);
    this.set = Number(parameters.lbset ?? 0);
    this.status = statusOf(parameters.status);
    this.retry = parameters.retry === undefined ? RETRY : (duration(parameters.retry) ?? 0);
  }
}

/** `+H`, `D-I`: what is set in the end. */
function statusOf(text: string | undefined): ReadonlySet<string> {
  const letters = new Set<string>();
  for (const [, sign, letter = ''] of (text ?? '').toUpperCase().matchAll(/([+-]?)([A-Z])/g)) {
    if (sign === '-') letters.delete(letter);
    else letters.add(letter);
  }
  return letters;
}

export class Balancer {
  readonly name: string;
  readonly #members: readonly MemberState[];
  readonly #byBusyness: boolean;
  readonly #clock: Clock;
  /** Names of the cookie and of the parameter in the URL that name a route. */
  readonly #sticky: readonly string[];
  readonly #noFailover: boolean;
  readonly #failOn: ReadonlySet<number>;
  /** Members that one request may be tried with. */
  readonly mostAttempts: number;

  constructor({ name, members, parameters }: BalancerSettings, clock: Clock) {
    this.name = name;
    this.#members = members.map((member) => new MemberState(member));
    this.#clock = clock;
    this.#byBusyness = parameters.lbmethod?.toLowerCase() === 'bybusyness';
    this.#sticky = parameters.stickysession?.split('|') ?? [];
    this.#noFailover = /^on$/i.test(parameters.nofailover ?? '');
    this.#failOn = new Set(parameters.failonstatus?.split(',').map(Number));
    this.mostAttempts =
      parameters.maxattempts === undefined ? members.length : Number(parameters.maxattempts) + 1;
  }

  /**
   * The member for a request, which counts as busy until it is released. `route`: of its session; `tried`: those that
   * failed it. undefined: there is none, or the session's is down and must not be left.
   */
  choose(route: string | undefined, tried: ReadonlySet<Member>): Member | undefined {
    const now = this.#clock.now();
    const left = this.#members.filter((member) => isOn(member) && !tried.has(member));
    const well = left.filter(({ failedUntil }) => failedUntil <= now);
    const own = route === undefined ? undefined : this.#members.find((member) => member.route === route);
    if (own && well.includes(own)) return take(own);
    if (own && this.#noFailover) return undefined;
    // Where all have failed, waiting helps nobody (httpd's forcerecovery).
    const candidates = candidatesOf(well.length > 0 ? well : left);
    const chosen = this.#byBusyness ? leastBusy(candidates) : mostCredit(candidates);
    return chosen && take(chosen);
  }

  /** `failed`: it could not be connected to. `status`: of its answer, if there was one. */
  release(member: Member, failed: boolean, status?: number): void {
    const state = this.#members.find((one) => one === member);
    if (!state) return;
    state.busy--;
    const down = failed || (status !== undefined && this.#failOn.has(status));
    if (down && !state.status.has('I')) state.failedUntil = this.#clock.now() + state.retry;
    else if (!down) state.failedUntil = 0;
  }

  /** What the request's cookie, else its URL, says after the last dot. */
  routeOf(cookie: string | undefined, url: string): string | undefined {
    const [inCookie, inUrl = inCookie] = this.#sticky;
    if (inCookie === undefined || inUrl === undefined) return undefined;
    const session = valueOf(cookie, inCookie, /;\s*/) ?? valueOf(url, inUrl, /[?&;]/);
    const at = session?.lastIndexOf('.') ?? -1;
    return at === -1 ? undefined : session?.slice(at + 1);
  }
}

function take(member: MemberState): Member {
  member.busy++;
  return member;
}

function valueOf(text: string | undefined, name: string, separator: RegExp): string | undefined {
  const pair = text?.split(separator).find((part) => part.startsWith(`${name}=`));
  return pair?.slice(name.length + 1);
}

/** Not switched off by the configuration. */
function isOn({ status }: MemberState): boolean {
  return !status.has('D') && !status.has('S') && !status.has('E');
}

/** Of the lowest `lbset`; hot spares (R) if there are no others, hot standbys (H) last of all. */
function candidatesOf(members: readonly MemberState[]): MemberState[] {
  const open = members.filter(({ status }) => !status.has('N'));
  const lowest = Math.min(...open.map(({ set }) => set));
  const ofSet = open.filter(({ set }) => set === lowest);
  const rank = ({ status }: MemberState) => (status.has('H') ? 2 : status.has('R') ? 1 : 0);
  const best = Math.min(...ofSet.map(rank));
  return ofSet.filter((member) => rank(member) === best);
}

function mostCredit(candidates: readonly MemberState[]): MemberState | undefined {
  let total = 0;
  let chosen: MemberState | undefined;
  for (const member of candidates) {
    total += member.factor;
    member.credit += member.factor;
    if (!chosen || member.credit > chosen.credit) chosen = member;
  }
  if (chosen) chosen.credit -= total;
  return chosen;
}

function leastBusy(candidates: readonly MemberState[]): MemberState | undefined {
  const load = ({ busy, factor }: MemberState) => busy / factor;
  const least = Math.min(...candidates.map(load));
  return mostCredit(candidates.filter((member) => load(member) === least));
}
