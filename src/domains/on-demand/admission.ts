/**
 * Whether a name may have a certificate: the guards, the administrator's service, budgets, DNS. What must not have
 * one costs nothing but memory that is bounded.
 */
import { LRUCache } from 'lru-cache';
import { networkOf } from '../../base/addresses.ts';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Abortable } from '../../store/store.ts';
import { registeredDomains } from '../budgets/budget-limits.ts';
import type { OnDemandSettings } from '../settings.ts';
import { Allowance } from '../../base/allowance.ts';
import { refusalOf } from './guards.ts';
import { type Permission, Permissions } from './permissions.ts';

export interface AdmissionParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether the configuration has a managed domain for a name. */
  readonly isConfigured: (name: string) => boolean;
  /** Why a name doesn't lead here; see leads-here.ts. */
  readonly straying: (
    name: string,
    settings: OnDemandSettings,
    options: Abortable,
  ) => Promise<string | undefined>;
}

const HOUR = 3_600_000;
/** New names that one client (an IPv4 address, a /64) may bring, and those below one registered domain. */
const CLIENT_LIMIT = { count: 20, period: HOUR };
const DOMAIN_LIMIT = { count: 20, period: HOUR };
/** ms that it counts where a name leads to, and for looking. */
const DNS_LIFE = 60_000;
const DNS_TIME = 10_000;
const MOST_REMEMBERED = 10_000;

interface Look {
  readonly since: number;
  readonly straying: Promise<string | undefined>;
}

export class Admission implements AsyncDisposable {
  readonly #parts: AdmissionParts;
  readonly #looks = new LRUCache<string, Look>({ max: MOST_REMEMBERED });
  readonly #clients: Allowance;
  readonly #registered: Allowance;
  readonly #stop = new AbortController();
  readonly #permissions = new Map<OnDemandSettings['ask'], Permissions>();
  /** What is wrong with the service, as last said in the log. */
  #trouble: string | undefined;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    this.#clients = new Allowance(CLIENT_LIMIT, parts.clock);
    this.#registered = new Allowance(DOMAIN_LIMIT, parts.clock);
  }

  /**
   * Why there is no certificate for a new name; undefined where there may be one. `client`: the address of who calls.
   * Never rejects.
   */
  async refusal(
    settings: OnDemandSettings,
    name: string,
    client: string | undefined,
  ): Promise<string | undefined> {
    const wrong = refusalOf(name);
    if (wrong !== undefined) return wrong;
    if (this.#parts.isConfigured(name)) return 'it is a name of a managed domain';
    const network = networkOf(client ?? '');
    const [registered = name] = registeredDomains([name]);
    const spent = () => this.#spent(network, registered);
    const early = spent();
    if (early !== undefined) return early;
    const permission = await this.#permission(settings, name, client);
    if (permission.kind === 'no') return 'MDOnDemandAsk does not permit it';
    if (permission.kind === 'unknown') return `MDOnDemandAsk: ${permission.problem}`;
    const straying = await this.#straying(settings, name);
    if (straying !== undefined) return straying;
    // Others have come meanwhile.
    const late = spent();
    if (late !== undefined) return late;
    this.#clients.take(network);
    this.#registered.take(registered);
    return undefined;
  }

  #spent(network: string, registered: string): string | undefined {
    if (!this.#clients.has(network)) return `too many new names are called for from ${network}`;
    if (!this.#registered.has(registered)) return `there are too many new names below ${registered}`;
    return undefined;
  }

  /**
   * Of a name that was admitted earlier, before each order: `forbidden` where it is permitted no more, else why it
   * can't be ordered now. Who doesn't answer has not withdrawn what was permitted.
   */
  async objection(
    settings: OnDemandSettings,
    name: string,
  ): Promise<'forbidden' | { readonly detail: string } | undefined> {
    const { kind } = await this.#permission(settings, name, undefined);
    if (kind === 'no') return 'forbidden';
    const detail = await this.#straying(settings, name);
    return detail === undefined ? undefined : { detail };
  }

  /** Forgets services that are asked no more. */
  async keepOnly(asked: ReadonlySet<OnDemandSettings['ask']>): Promise<void> {
    for (const [ask, permissions] of this.#permissions) {
      if (asked.has(ask)) continue;
      this.#permissions.delete(ask);
      await permissions[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the engine ends'));
    await this.keepOnly(new Set());
  }

  async #permission(
    { ask }: OnDemandSettings,
    name: string,
    client: string | undefined,
  ): Promise<Permission> {
    const { clock, logger } = this.#parts;
    const permissions = this.#permissions.get(ask) ?? new Permissions({ ask, clock });
    this.#permissions.set(ask, permissions);
    const permission = await permissions.of(name, client);
    const trouble = permission.kind === 'unknown' ? permission.problem : undefined;
    if (trouble !== undefined && trouble !== this.#trouble) {
      logger.error(`MDOnDemandAsk: nobody says which names may have certificates: ${trouble}`);
    }
    this.#trouble = trouble;
    return permission;
  }

  #straying(settings: OnDemandSettings, name: string): Promise<string | undefined> {
    const now = this.#parts.clock.now();
    const known = this.#looks.get(name);
    const age = now - (known?.since ?? -Infinity);
    if (known && age >= 0 && age < DNS_LIFE) return known.straying;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(DNS_TIME)]);
    const straying = this.#parts
      .straying(name, settings, { signal })
      .catch((error: unknown) => `where it leads to can't be seen: ${explain(error)}`);
    this.#looks.set(name, { since: now, straying });
    return straying;
  }
}
