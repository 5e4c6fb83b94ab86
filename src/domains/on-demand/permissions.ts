/**
 * Who may have a certificate on demand: decided by the program that has the library, or asked of the administrator's
 * service (MDOnDemandAsk), as Caddy asks its `ask` endpoint. `GET URL?domain=NAME&client=ADDRESS`; 2xx is yes, 4xx is
 * no, anything else is no answer. Each name is asked for once at a time; answers are remembered, and a yes stays one
 * while the service is down.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { Agent } from 'undici';
import { normalizeAddress } from '../../base/addresses.ts';
import { askAgainIfCutOff, sharedLookup, unlessAborted } from '../../base/asking.ts';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { OnDemandDecision, OnDemandSettings } from '../settings.ts';

export type Permission =
  | { readonly kind: 'yes' | 'no' }
  /** What is wrong with the service. */
  | { readonly kind: 'unknown'; readonly problem: string };

export interface PermissionsParts {
  /** An http or https URL, whose query stays; or who decides in this process. */
  readonly ask: OnDemandSettings['ask'];
  readonly clock: Clock;
  /** ms for a question, answer included; default 5 s. */
  readonly timeout?: number | undefined;
}

/** ms that an answer counts. */
const YES_LIFE = 600_000;
const NO_LIFE = 60_000;
const FAILURE_LIFE = 5000;
/** ms that a yes outlives its time while no new answer is to be had. */
const STALE_LIFE = 7 * 86_400_000;
const TIME = 5000;
/** Questions at a time, and how many more may wait: scanners fill both, so neither is large. */
const MOST_ASKED = 16;
const MOST_WAITING = 200;
const MOST_REMEMBERED = 20_000;
/** Bytes of an answer that are read, only to keep its connection. */
const MOST_READ = 16_384;

interface Memory {
  readonly permission: Permission;
  readonly since: number;
}

export class Permissions implements AsyncDisposable {
  readonly #asked: OnDemandSettings['ask'];
  readonly #clock: Clock;
  readonly #timeout: number;
  // Time is bounded for the whole of a question, below.
  readonly #agent = new Agent({
    connections: MOST_ASKED,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { lookup: sharedLookup() },
  });
  /** Connections made so far. */
  #connections = 0;
  readonly #queue = new PQueue({ concurrency: MOST_ASKED });
  readonly #underWay = new Map<string, Promise<Permission>>();
  /** Apart, so that no number of invented names drives out what was permitted. */
  readonly #permitted = new LRUCache<string, number>({ max: MOST_REMEMBERED });
  readonly #others = new LRUCache<string, Memory>({ max: MOST_REMEMBERED });

  constructor({ ask, clock, timeout = TIME }: PermissionsParts) {
    this.#asked = ask;
    this.#timeout = timeout;
    this.#clock = clock;
    this.#agent.on('connect', () => this.#connections++);
  }

  /** Never rejects. `client`: the address of who wants to know, where somebody does. */
  async of(name: string, client?: string): Promise<Permission> {
    const known = this.#remembered(name);
    if (known) return known;
    const waiting = this.#underWay.get(name);
    if (waiting) return waiting;
    if (this.#queue.size >= MOST_WAITING) return { kind: 'unknown', problem: 'too many names are asked for' };
    const asked = this.#queue.add(() => this.#ask(name, client)).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, asked);
    return asked;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  #remembered(name: string): Permission | undefined {
    const other = this.#others.get(name);
    const life = other?.permission.kind === 'no' ? NO_LIFE : FAILURE_LIFE;
    if (other && this.#isYoung(other.since, life)) return other.permission;
    return this.#isYoung(this.#permitted.get(name), YES_LIFE) ? { kind: 'yes' } : undefined;
  }

  /** A clock that was put back makes nothing last longer. */
  #isYoung(since: number | undefined, life: number): boolean {
    const age = this.#clock.now() - (since ?? -Infinity);
    return age >= 0 && age < life;
  }

  async #ask(name: string, client: string | undefined): Promise<Permission> {
    const answer = await this.#answer(name, client);
    const now = this.#clock.now();
    if (answer.kind === 'yes') {
      this.#permitted.set(name, now);
      this.#others.delete(name);
      return answer;
    }
    const stale = answer.kind === 'unknown' && this.#isYoung(this.#permitted.get(name), STALE_LIFE);
    const permission = stale ? ({ kind: 'yes' } as const) : answer;
    if (answer.kind === 'no') this.#permitted.delete(name);
    this.#others.set(name, { permission, since: now });
    return permission;
  }

  async #answer(name: string, client: string | undefined): Promise<Permission> {
    const address = client === undefined ? undefined : normalizeAddress(client);
    const ask = this.#asked;
    return typeof ask === 'string' ? this.#request(ask, name, address) : this.#decide(ask, name, address);
  }

  async #decide(decide: OnDemandDecision, name: string, address: string | undefined): Promise<Permission> {
    const done = new AbortController();
    const late = delay(this.#timeout, undefined, { signal: done.signal }).then(() => {
      throw new Error(`no answer within ${this.#timeout} ms`);
    });
    try {
      // Whatever the program's types say: nothing but true is a yes.
      const permitted: unknown = await Promise.race([decide(name, address), late]);
      return { kind: permitted === true ? 'yes' : 'no' };
    } catch (error) {
      return { kind: 'unknown', problem: explain(error) };
    } finally {
      done.abort();
      late.catch(() => {});
    }
  }

  async #request(service: string, name: string, address: string | undefined): Promise<Permission> {
    const url = new URL(service);
    url.searchParams.set('domain', name);
    if (address !== undefined) url.searchParams.set('client', address);
    const signal = AbortSignal.timeout(this.#timeout);
    try {
      const path = `${url.pathname}${url.search}`;
      const ask = () => this.#agent.request({ origin: url.origin, path, method: 'GET', signal });
      const asked = askAgainIfCutOff(ask, () => this.#connections);
      const { statusCode, body } = await unlessAborted(asked, signal);
      await body.dump({ limit: MOST_READ, signal }).catch(() => {});
      return judge(statusCode);
    } catch (error) {
      const late = signal.aborted ? `it does not answer within ${this.#timeout} ms` : explain(error);
      return { kind: 'unknown', problem: late };
    }
  }
}

function judge(status: number): Permission {
  if (status >= 200 && status <= 299) return { kind: 'yes' };
  // Asked too much, it has not said no.
  if (status >= 400 && status <= 499 && status !== 429) return { kind: 'no' };
  const remedy = status >= 300 && status <= 399 ? ' (a redirect is not followed)' : '';
  return { kind: 'unknown', problem: `it answers with status ${status}${remedy}` };
}
