/**
 * Managed domains that are added and removed while the server runs: kept in the store, renewed by the renewal
 * engine, found by their names in the certificate table.
 */
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CertificateTable } from '../../certificates/table.ts';
import type { ConfiguredDomain, HostStapling, Settings } from '../../config/settings.ts';
import { ADDED_LEASE, AddedDomains, AddedError } from '../../domains/stored/added.ts';
import { heldSuffixes } from '../../domains/stored/held.ts';
import type { DomainInService } from '../../status/document.ts';
import type { Lease, Leases } from '../../store/leases.ts';
import type { Store } from '../../store/store.ts';
import { ADDED_SCOPE, domainOfSet, domainSetId } from '../calls.ts';
import type { Renewals } from './renewals.ts';
import type { TableKeeper } from './table-keeper.ts';

/** ms that a change waits for those of other servers. */
const PATIENCE = 10_000;

const LOADED_AT_ONCE = 50;

/** A managed domain as `latchkey domains list` has it. */
export interface ListedDomain {
  readonly name: string;
  readonly names: readonly string[];
  /** At run time; else it is the configuration's. */
  readonly added: boolean;
  readonly state: string;
  /** ms since the epoch; of its first certificate. */
  readonly notAfter: number | undefined;
  /** Why the last renewal failed. */
  readonly problem: string | undefined;
}

export interface AddedParts {
  readonly store: Store;
  readonly table: CertificateTable;
  readonly keeper: Pick<TableKeeper, 'refresh' | 'fill' | 'problems'>;
  /** Opened where there are none yet. */
  readonly renewals: () => Promise<Renewals>;
  /** Other servers use the store, too (MDStoreLocks). */
  readonly leases: Leases | undefined;
  /** Called after each change. */
  readonly changed: () => void;
  readonly logger: Logger;
}

export class EngineAdded {
  readonly #parts: AddedParts;
  readonly #domains: AddedDomains<ConfiguredDomain>;
  #settings: Settings;
  /** Changes of domains, one at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Rejects as the store does. */
  static async open(parts: AddedParts, settings: Settings): Promise<EngineAdded> {
    const domains = await AddedDomains.open(parts.store, surroundings(settings), parts.logger);
    return new EngineAdded(parts, domains, settings);
  }

  private constructor(parts: AddedParts, domains: AddedDomains<ConfiguredDomain>, settings: Settings) {
    this.#parts = parts;
    this.#domains = domains;
    this.#settings = settings;
  }

  get count(): number {
    return this.#domains.count;
  }

  /** What the configuration and the added domains make together. */
  get settings(): Settings {
    const { domains } = this.#domains;
    if (domains.length === 0) return this.#settings;
    return { ...this.#settings, domains: [...this.#settings.domains, ...domains] };
  }

  /** Whether it was added, and the configuration has it not. */
  has(name: string): boolean {
    return this.#domains.domain(name) !== undefined;
  }

  /** How a set is stapled that is one of theirs. */
  stapling(setId: string): HostStapling | undefined {
    const domain = domainOfSet(setId);
    const { addedStapling } = this.#settings;
    return domain !== undefined && addedStapling && this.has(domain)
      ? { ...addedStapling, domain }
      : undefined;
  }

  get setIds(): string[] {
    return this.#domains.domains.map(({ name }) => domainSetId(name));
  }

  reconfigure(settings: Settings): void {
    const before = this.#domains.domains;
    this.#settings = settings;
    this.#domains.reconfigure(surroundings(settings));
    const still = new Set(this.#domains.domains.map(({ name }) => name));
    for (const { name, domains } of before) if (!still.has(name)) this.#forget(name, domains);
  }

  /** Fills the table with what the store has for them. */
  async load(signal: AbortSignal): Promise<void> {
    const { store, keeper } = this.#parts;
    const present = new Set(await store.list('domains'));
    const names = this.#domains.domains.map(({ name }) => name).filter((name) => present.has(name));
    // Each is found as soon as it is there: of very many the last ones take a while.
    for (let start = 0; start < names.length && !signal.aborted; start += LOADED_AT_ONCE) {
      const some = names.slice(start, start + LOADED_AT_ONCE);
      await keeper.fill(some.map(domainSetId), signal);
      for (const name of some) this.point(name);
    }
  }

  /** Has its names lead to its certificates, once there are any. */
  point(name: string): void {
    const { table, keeper, logger } = this.#parts;
    const domain = this.#domains.domain(name);
    const id = domainSetId(name);
    if (!domain || keeper.problems.has(id) || table.get(id)?.fallback) return;
    if (table.point(ADDED_SCOPE, domain.domains, id) === 'full') {
      logger.error(`${name} is not served: the certificate table is full; give its folder more room`);
    }
  }

  /** Gives the domain's name. Rejects with AddedError, StoreError. */
  add(names: readonly string[]): Promise<string> {
    return this.#inTurn(async () => {
      await using _lease = await this.#alone();
      const before = this.#domains.namesOf(names[0] ?? '');
      const domain = await this.#domains.add(names);
      const gone = before.filter((name) => !domain.domains.includes(name));
      this.#parts.table.unpoint(ADDED_SCOPE, gone);
      const renewals = await this.#parts.renewals();
      renewals.add(domain, this.settings);
      this.#parts.changed();
      this.#parts.logger.notice(`md(${domain.name}): added, with ${domain.domains.join(' ')}`);
      // It may have been a domain before: then the store has its certificates.
      await this.#refresh(domain.name);
      return domain.name;
    });
  }

  /** Its certificates stay in the store. Rejects with AddedError, StoreError. */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      await using _lease = await this.#alone();
      const names = await this.#domains.remove(name);
      this.#drop(name, names, await this.#parts.renewals());
      this.#parts.changed();
      this.#parts.logger.notice(`md(${name}): removed`);
    });
  }

  /** Another server on the store has added or removed some. Never rejects. */
  async follow(): Promise<void> {
    try {
      await this.#inTurn(() => this.#takeIn());
    } catch (error) {
      this.#parts.logger.error(`domains that other servers have added can't be read: ${explain(error)}`);
    }
  }

  /** All managed domains, shortly. */
  list(described: readonly DomainInService[]): ListedDomain[] {
    return described.map(({ name, names, state, certificates, problem }) => ({
      name,
      names,
      added: this.has(name),
      state,
      notAfter: certificates[0]?.notAfter,
      problem: problem?.detail,
    }));
  }

  /** Of several servers on the store one makes changes at a time, knowing those of the others. */
  async #alone(): Promise<Lease | undefined> {
    const { leases } = this.#parts;
    const lease = await leases?.takeWithin(ADDED_LEASE, PATIENCE);
    if (leases && !lease) {
      throw new AddedError(
        'added-busy',
        'another server on this store adds or removes domains for longer than is waited for: try again',
      );
    }
    if (lease?.handedOver) await this.#takeIn();
    return lease;
  }

  async #takeIn(): Promise<void> {
    const { table, logger } = this.#parts;
    const { changed, before } = await this.#domains.reread();
    if (changed.length === 0 && before.size === 0) return;
    const renewals = await this.#parts.renewals();
    for (const [name, names] of before) {
      const still = this.#domains.domain(name)?.domains ?? [];
      if (still.length === 0) this.#drop(name, names, renewals);
      // The others are served meanwhile by what there is.
      else
        table.unpoint(
          ADDED_SCOPE,
          names.filter((one) => !still.includes(one)),
        );
      logger.notice(`md(${name}): changed by another server on this store`);
    }
    for (const domain of changed.flatMap((name) => this.#domains.domain(name) ?? [])) {
      renewals.add(domain, this.settings);
      logger.notice(`md(${domain.name}): added by another server on this store`);
    }
    this.#parts.changed();
    for (const name of changed) if (this.has(name)) await this.#refresh(name);
  }

  #drop(name: string, names: readonly string[], renewals: Renewals): void {
    this.#forget(name, names);
    if (!this.#isConfigured(name)) renewals.remove(name, this.settings);
  }

  #isConfigured(name: string): boolean {
    return this.#settings.domains.some((domain) => domain.name === name);
  }

  async #refresh(name: string): Promise<void> {
    try {
      const { store, keeper } = this.#parts;
      if (heldSuffixes(await store.aspects('domains', name)).length === 0) return;
      await keeper.refresh([domainSetId(name)]);
      this.point(name);
    } catch (error) {
      this.#parts.logger.error(`md(${name}): its certificates can't be read: ${explain(error)}`);
    }
  }

  #forget(name: string, names: readonly string[]): void {
    const { table } = this.#parts;
    table.unpoint(ADDED_SCOPE, names);
    if (!this.#isConfigured(name)) table.remove(domainSetId(name));
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => {});
    return result;
  }
}

function surroundings({ addedTemplate: template, domains }: Settings) {
  return { template, domains };
}
