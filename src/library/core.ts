/** The engine with what it needs around it, in one process: store, table, issuer, built-in CA, stapling. */
import PQueue from 'p-queue';
import { AcmeClient } from '../acme/client.ts';
import { explain, LatchkeyError } from '../base/errors.ts';
import { publish } from '../base/events.ts';
import type { Loggers } from '../base/log.ts';
import { version } from '../base/version.ts';
import type { LocalCa } from '../ca/server.ts';
import type { TableCertificate } from '../certificates/table.ts';
import { MemoryTable } from '../certificates/memory-table.ts';
import { LOCAL } from '../config/authorities.ts';
import type { EngineOptions } from '../domains/engine-options.ts';
import { RenewalEngine } from '../domains/engine.ts';
import { PostponedError, RenewalError } from '../domains/issuer.ts';
import { AcmeIssuer } from '../domains/issuers/acme.ts';
import type { ManagedDomainSettings } from '../domains/settings.ts';
import type { DomainStatus } from '../domains/status.ts';
import { activateStaged } from '../domains/stored/activate.ts';
import { syncDomains } from '../domains/stored/registry.ts';
import { coversName, parseChain } from '../pki/certificate.ts';
import { asOwner, hear } from './events.ts';
import { openLocalCa } from './local-ca.ts';
import { Managed } from './managed.ts';
import { NamesOnDemand } from './on-demand.ts';
import { type OpenStore, openStore } from './open-store.ts';
import type { RenewOptions, Resolved, WaitOptions } from './options.ts';
import { issuerBy } from './own-issuer.ts';
import { Readiness } from './readiness.ts';
import { Served } from './served.ts';
import { domainSettings, type Ways } from './settings.ts';
import { worded } from './words.ts';

export interface CoreParts {
  readonly resolved: Resolved;
  readonly loggers: Loggers;
  /** Whose events these are. */
  readonly owner: object;
  /** A fault of the program has ended all renewing. */
  readonly onFault: (error: unknown) => void;
}

/** Read at once at the start. */
const LOADS = 32;

export class Core implements AsyncDisposable {
  readonly table = new MemoryTable();
  readonly served: Served;
  readonly onDemand: NamesOnDemand | undefined;
  readonly opened: OpenStore;
  readonly managed = new Managed();
  readonly #parts: CoreParts;
  readonly #ways: Ways;
  readonly #localCa: LocalCa | undefined;
  readonly #acme: AcmeIssuer;
  readonly #engine: RenewalEngine;
  readonly #installed: Disposable;
  readonly #readiness: Readiness;

  /** Serves what the store has; asks nobody before start(). */
  static async open(parts: CoreParts): Promise<Core> {
    const { resolved, loggers } = parts;
    const ways = { http: false, tls: false };
    const domains = resolved.domains.map((names) => domainSettings(names, resolved, ways));
    const opened = await openStore(resolved.options, domains, resolved.clock);
    const core = new Core(parts, opened, ways, domains, await openLocalCa(resolved, loggers));
    try {
      const queue = new PQueue({ concurrency: LOADS });
      await queue.addAll(domains.map((domain) => () => core.served.load(domain)));
    } catch (error) {
      await core[Symbol.asyncDispose]();
      throw error;
    }
    return core;
  }

  private constructor(
    parts: CoreParts,
    opened: OpenStore,
    ways: Ways,
    domains: readonly ManagedDomainSettings[],
    localCa: LocalCa | undefined,
  ) {
    const { resolved, loggers, onFault } = parts;
    const { clock, options } = resolved;
    const { store, leases } = opened;
    this.#parts = parts;
    this.opened = opened;
    this.#ways = ways;
    this.#localCa = localCa;
    for (const domain of domains) this.managed.add(domain);
    this.served = new Served({
      store,
      table: this.table,
      clock,
      loggers,
      onRevoked: ({ domain, sha256 }) =>
        this.#engine.replaceRevoked(domain, sha256, 'its OCSP responder says'),
    });
    this.#acme = new AcmeIssuer({ store, clock, newClient: (url) => this.#newClient(url) });
    this.#engine = new RenewalEngine({
      domains,
      store,
      clock,
      loggers,
      issuer: options.issuer ? issuerBy(options.issuer, { store, clock }) : this.#acme,
      activate: async (name, { serials }) => {
        await activateStaged(store, name, { serials, clock });
        await this.#serve(name);
        return {};
      },
      shared: leases && { leases, adopt: (name) => this.#adopt(name) },
      directoryUrl: (authority) => (authority === LOCAL ? (localCa?.directoryUrl ?? authority) : authority),
      admit: async (domain, asked) => this.onDemand?.admit(domain, asked),
      onLook: (name, chains) => {
        this.#compare(name, chains);
        this.#readiness.told(name);
      },
      onFailure: onFault,
    });
    this.onDemand = resolved.onDemand && this.#openOnDemand(resolved.onDemand);
    this.#readiness = new Readiness((name) => this.#isReady(name));
    this.#installed = hear(parts.owner, 'latchkey:certificate:installed', ({ domain }) =>
      this.#readiness.told(domain),
    );
  }

  /** The set of a certificate on demand: see NamesOnDemand.find(). */
  seek(name: string, address: string): ReturnType<NamesOnDemand['find']> | undefined {
    return this.#asOwner(() => this.onDemand?.find(name, address));
  }

  /** PEM of the root of the built-in CA. */
  get localRoot(): string | undefined {
    return this.#localCa?.rootPem;
  }

  /** Begins to obtain, to renew and to staple. */
  start(): void {
    this.#asOwner(() => {
      this.#engine.start();
      this.served.start();
      this.onDemand?.start();
    });
  }

  /** The program answers challenges in another way, too. */
  addWay(way: keyof Ways): void {
    if (this.#ways[way]) return;
    this.#ways[way] = true;
    for (const { domains } of this.managed.all) this.managed.replace(this.#settings(domains));
    this.#asOwner(() => {
      void this.onDemand?.reconfigure();
      this.#engine.reconfigure([...this.managed.all, ...(this.onDemand?.domains ?? [])]);
    });
  }

  /** @throws LatchkeyError `name-taken` */
  async add(names: readonly string[]): Promise<void> {
    const domain = this.#settings(names);
    this.managed.add(domain);
    try {
      await syncDomains(this.opened.store, [domain], this.#parts.resolved.clock);
      await this.served.load(domain);
    } catch (error) {
      this.managed.remove(domain.name);
      throw error;
    }
    this.#asOwner(() => this.#engine.add(domain));
  }

  /** The store keeps what it has. */
  remove(name: string): void {
    const domain = this.managed.remove(name);
    this.#engine.remove(name);
    this.served.forget(domain);
    this.#readiness.told(name);
  }

  async renew(
    name: string,
    { signal, onProgress }: RenewOptions,
  ): Promise<{ readonly serials: readonly string[]; readonly notAfter: number }> {
    const outcome = await this.#asOwner(() =>
      this.#engine.renewNow(name, { signal, progress: (step) => onProgress?.(worded(step)) }),
    );
    switch (outcome.status) {
      case 'installed':
        return { serials: outcome.serials, notAfter: outcome.notAfter };
      case 'staged':
        throw new PostponedError(outcome.validFrom, 'the new certificate is not valid yet');
      case 'postponed':
        throw new PostponedError(outcome.until, worded(outcome.reason));
      case 'failed':
        throw new RenewalError(worded(outcome.problem));
      default:
        return outcome satisfies never;
    }
  }

  status(): DomainStatus[] {
    return this.#engine.status();
  }

  /** What is in use for a name. */
  certificates(name: string): readonly TableCertificate[] {
    const id = this.served.find(name) ?? this.onDemand?.idOf(name);
    return (id === undefined ? undefined : this.table.get(id)?.certificates) ?? [];
  }

  ready({ signal }: WaitOptions): Promise<void> {
    return this.#readiness.all(
      this.managed.all.map(({ name }) => name),
      signal,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#installed[Symbol.dispose]();
    this.#readiness.close(new LatchkeyError('closed', 'This Latchkey is closed'));
    // The last first; a fault that has ended one keeps none of the others open.
    await using closing = new AsyncDisposableStack();
    closing.use(this.table);
    closing.defer(() => this.#localCa?.close());
    closing.use(this.#acme);
    closing.use(this.served);
    closing.use(this.#engine);
    closing.use(this.onDemand);
  }

  /** Whoever calls, what comes of it is an event of this instance. */
  #asOwner<Result>(task: () => Result): Result {
    return asOwner(this.#parts.owner, task);
  }

  #settings(names: readonly string[]): ManagedDomainSettings {
    return domainSettings(names, this.#parts.resolved, this.#ways);
  }

  /** What was removed meanwhile is not waited for; what is served has to be in the status by then. */
  #isReady(name: string): boolean {
    const { domains = [] } = this.managed.get(name) ?? {};
    if (domains.length === 0) return true;
    if (this.#engine.isBare(name)) return false;
    const now = this.#parts.resolved.clock.now();
    const certificates = this.served.certificates(name);
    const isGood = ({ chainPem, notAfter }: { chainPem: string; notAfter: number }) => {
      const [leaf] = parseChain(chainPem);
      return notAfter > now && leaf !== undefined && domains.every((one) => coversName(leaf, one));
    };
    return certificates.length > 0 && certificates.every(isGood);
  }

  async #serve(name: string): Promise<void> {
    const domain = this.managed.get(name);
    if (domain) await this.served.load(domain);
    else await this.onDemand?.load(name);
  }

  /** What the store has may come from another process, also from before this one began to look. */
  #compare(name: string, chains: Parameters<NonNullable<EngineOptions['onLook']>>[1]): void {
    const stored = chains.map(([leaf]) => leaf?.serial).join();
    const served = this.served.certificates(name).map(({ serial }) => serial);
    if (!this.managed.get(name) || stored === '' || stored === served.join()) return;
    this.#adopt(name).catch((error: unknown) => {
      this.#parts.loggers('md').error(`md(${name}): its certificate can't be read: ${explain(error)}`);
    });
  }

  /** Another process has renewed it. */
  async #adopt(name: string): Promise<void> {
    await this.#serve(name);
    const certificates = this.served.certificates(name);
    if (certificates.length === 0) return;
    const serials = certificates.map(({ serial }) => serial);
    const notAfter = Math.min(...certificates.map((one) => one.notAfter));
    publish('latchkey:certificate:installed', { domain: name, serials, notAfter });
  }

  #openOnDemand(allow: NonNullable<Resolved['onDemand']>): NamesOnDemand {
    const { resolved, loggers } = this.#parts;
    return new NamesOnDemand({
      allow,
      resolved,
      store: this.opened.store,
      table: this.table,
      clock: resolved.clock,
      loggers,
      engine: this.#engine,
      template: () => this.#settings(['']),
      isManaged: (name) => this.managed.covers(name),
    });
  }

  #newClient(directoryUrl: string): AcmeClient {
    const { authorityCa } = this.#parts.resolved.options;
    const ca = this.#localCa?.directoryUrl === directoryUrl ? this.#localCa.rootPem : authorityCa;
    return new AcmeClient({ directoryUrl, userAgent: `latchkey/${version}`, ca });
  }
}
