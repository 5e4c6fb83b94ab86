/**
 * OCSP responses for the sets of the certificate table. Loaded only where a host staples: a start without doesn't
 * wait for it.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { subscribe } from '../../base/events.ts';
import type { Logger, Loggers } from '../../base/log.ts';
import { DYNAMIC_PREFIX } from '../../certificates/sources/settings.ts';
import type { CertificateSet, CertificateTable, TableCertificate } from '../../certificates/table.ts';
import type { HostStapling, Settings } from '../../config/settings.ts';
import { OcspEngine, type OcspEngineOptions } from '../../ocsp/engine.ts';
import type { StaplingStatus } from '../../ocsp/status.ts';
import type { JobDocument } from '../../store/documents.ts';
import type { Store } from '../../store/store.ts';
import type { Plan } from '../calls.ts';

/** A certificate for the table with the chain as its source has it, root included. */
export interface FoundCertificate {
  readonly certificate: TableCertificate;
  readonly chainPem: string;
}

export interface StaplesParts {
  readonly plan: Plan;
  readonly store: Store;
  readonly table: CertificateTable;
  readonly loggers: Loggers;
  readonly onRevoked: OcspEngineOptions['onRevoked'];
  /** How sets are stapled that no host has. */
  readonly added: (setId: string) => HostStapling | undefined;
}

/** How long certificates that demand a staple wait for their first one, ms. */
const AHEAD = 10_000;

export class Staples implements AsyncDisposable {
  readonly #engine: OcspEngine;
  readonly #table: CertificateTable;
  readonly #logger: Logger;
  readonly #added: StaplesParts['added'];
  /** Called when something has come for an owner that is no set. */
  readonly #ahead = new Map<string, () => void>();
  #closed = false;
  #policies: ReadonlyMap<string, HostStapling>;
  /** By store of certificates by name. */
  #byStore: ReadonlyMap<string, HostStapling>;

  /** Asks no responder before start(). */
  constructor({ plan, store, table, loggers, onRevoked, added }: StaplesParts) {
    this.#table = table;
    this.#added = added;
    this.#logger = loggers('ssl');
    this.#policies = policiesOf(plan);
    this.#byStore = storePoliciesOf(plan);
    this.#engine = new OcspEngine({
      store,
      loggers,
      onRevoked,
      onChange: (id) => this.#restaple(id),
      ...paceOf(plan.settings),
    });
  }

  start(): void {
    this.#engine.start();
    void this.#followAll();
  }

  /** Ids of the sets that the configuration staples. */
  get setIds(): Iterable<string> {
    return this.#policies.keys();
  }

  /** Gives the ids of sets that are to be stapled otherwise than before: they have to be dressed anew. */
  reconfigure(plan: Plan): string[] {
    const before = this.#policies;
    this.#policies = policiesOf(plan);
    this.#byStore = storePoliciesOf(plan);
    void this.#followAll();
    this.#engine.reconfigure(paceOf(plan.settings));
    for (const id of before.keys()) if (!this.#policies.has(id)) this.#engine.forget(id);
    const ids = new Set([...before.keys(), ...this.#policies.keys()]);
    return [...ids].filter((id) => !isDeepStrictEqual(before.get(id), this.#policies.get(id)));
  }

  /**
   * A set's certificates with the responses that are at hand, to be put into the table; from now on the table's set
   * is kept supplied. Nobody waits for a responder.
   */
  async dress(id: string, found: readonly FoundCertificate[]): Promise<TableCertificate[]> {
    try {
      return await this.#dress(id, found);
    } finally {
      this.#engine.forget(aheadOf(id));
    }
  }

  /**
   * Has the responses for certificates that are about to be a set's fetched. Fulfilled when those that demand a staple
   * have one or it has failed, after ten seconds at the latest. To be followed by dress().
   */
  async fetchAhead(id: string, chains: readonly string[]): Promise<void> {
    const policy = this.#policies.get(id) ?? this.#added(id);
    if (!policy) return;
    const owner = aheadOf(id);
    const done = new AbortController();
    const look = () => {
      if (this.#closed || !chains.some((chain) => this.#engine.awaits(chain))) done.abort();
    };
    this.#ahead.set(owner, look);
    using _errored = subscribe('latchkey:ocsp:errored', look);
    await this.#engine.watch(
      owner,
      chains.map((chainPem) => ({ chainPem, ...policy })),
    );
    look();
    await systemClock.sleep(AHEAD, done).catch(() => {});
    this.#ahead.delete(owner);
  }

  async #dress(id: string, found: readonly FoundCertificate[]): Promise<TableCertificate[]> {
    const policy = this.#policies.get(id) ?? this.#added(id);
    if (!policy || found.length === 0) {
      this.#engine.forget(id);
      return found.map(({ certificate }) => certificate);
    }
    const staples = await this.#engine.watch(
      id,
      found.map(({ chainPem }) => ({ chainPem, ...policy })),
    );
    return found.map(({ certificate }, index) => stapled(certificate, staples[index]));
  }

  /** A set of a certificate found by name with what is at hand already; undefined where it is not to be stapled. */
  known(id: string, set: Omit<CertificateSet, 'version'>): Omit<CertificateSet, 'version'> | undefined {
    if (!this.#storePolicy(id)) return undefined;
    return { ...set, certificates: this.#dressed(set.certificates) };
  }

  /** Such a set that is in the table is kept supplied from now on. */
  follow(id: string): void {
    const policy = this.#storePolicy(id);
    const chains = this.#table.get(id)?.certificates.map(({ chainPem }) => ({ chainPem, ...policy })) ?? [];
    if (!policy || chains.length === 0) return this.#engine.forget(id);
    this.#engine
      .watch(id, chains)
      .then((staples) => {
        if (staples.some((staple) => staple !== undefined)) this.#restaple(id);
      })
      .catch((error: unknown) => this.#logger.error(`stapling ${id}: ${explain(error)}`));
  }

  /** The set is shown no more. */
  forget(id: string): void {
    this.#engine.forget(id);
  }

  /** See OcspEngine.status(). */
  status(folders?: ReadonlySet<string>): StaplingStatus[] {
    return this.#engine.status(folders);
  }

  /** Of the certificates of a managed domain. */
  job(name: string): Promise<JobDocument | undefined> {
    return this.#engine.job(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#engine[Symbol.asyncDispose]();
  }

  #storePolicy(id: string): HostStapling | undefined {
    return id.startsWith(DYNAMIC_PREFIX) ? this.#byStore.get(id.split(':')[1] ?? '') : undefined;
  }

  /** What was found by name before, in steps. */
  async #followAll(): Promise<void> {
    let steps = 0;
    for (const id of [...this.#table.ids()].filter((one) => one.startsWith(DYNAMIC_PREFIX))) {
      if (this.#closed) return;
      this.follow(id);
      if (++steps % 50 === 0) await turn();
    }
  }

  #dressed(certificates: readonly TableCertificate[]): TableCertificate[] {
    return certificates.map((certificate) => stapled(certificate, this.#engine.staple(certificate.chainPem)));
  }

  /** What the table does not have is dressed when it comes. */
  #restaple(id: string): void {
    this.#ahead.get(id)?.();
    const set = this.#table.get(id);
    if (!set) return;
    const { fallback } = set;
    if (this.#table.put(id, { fallback, certificates: this.#dressed(set.certificates) }) !== 'full') return;
    // What it has would be stapled beyond its end; without a host's set, workers ask for it and get it dressed.
    const removed = !id.startsWith(DYNAMIC_PREFIX) && this.#table.remove(id) !== 'full';
    this.#logger.error(
      `the certificate table is full: a new OCSP response is ${removed ? 'shown more slowly' : 'not shown'}; give its folder more room`,
    );
  }
}

function stapled(certificate: TableCertificate, staple: Uint8Array | undefined): TableCertificate {
  const { staple: _before, ...bare } = certificate;
  return staple ? { ...bare, staple } : bare;
}

/** Whose responses are those that a set's next certificates will need. */
function aheadOf(id: string): string {
  return `next:${id}`;
}

/** Of hosts that share a set, the first that staples decides how. */
function policiesOf({ settings, setIds }: Plan): Map<string, HostStapling> {
  const policies = new Map<string, HostStapling>();
  for (const [index, { stapling }] of [settings.base, ...settings.hosts].entries()) {
    const id = setIds[index];
    if (id !== undefined && stapling && !policies.has(id)) policies.set(id, stapling);
  }
  return policies;
}

/** Certificates by name are no managed domain's. Of hosts that share a store, the first that staples decides how. */
function storePoliciesOf({ settings }: Plan): Map<string, HostStapling> {
  const policies = new Map<string, HostStapling>();
  for (const { dynamicStore, stapling } of [settings.base, ...settings.hosts]) {
    if (dynamicStore === undefined || !stapling || policies.has(dynamicStore)) continue;
    policies.set(dynamicStore, { ...stapling, domain: undefined });
  }
  return policies;
}

function paceOf({ md }: Settings) {
  return { ...md.stapling, retryDelay: md.retryDelay };
}
