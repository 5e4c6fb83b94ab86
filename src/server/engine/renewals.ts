/**
 * The renewal engine with what it needs around it in the server: the ACME issuer, its clients, the embedded
 * CA. Loaded only where there are managed domains or a LocalCA: a start without them doesn't wait for it.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { AcmeClient } from '../../acme/client.ts';
import { systemClock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Loggers } from '../../base/log.ts';
import { version } from '../../base/version.ts';
import { startLocalCa, type LocalCa } from '../../ca/server.ts';
import type { LocalCaSettings } from '../../ca/settings.ts';
import type { FoundCertificates } from '../../certificates/source.ts';
import { OnDemandSource } from '../../certificates/sources/on-demand.ts';
import type { Settings } from '../../config/settings.ts';
import { RevocationLists } from '../../crl/lists.ts';
import type { Pace } from '../../domains/engine-options.ts';
import { RenewalEngine } from '../../domains/engine.ts';
import type { Issuer } from '../../domains/issuer.ts';
import { AcmeIssuer, type ClientSettings } from '../../domains/issuers/acme.ts';
import { byProtocol } from '../../domains/issuers/by-protocol.ts';
import { TailscaleIssuer } from '../../domains/issuers/tailscale/tailscale.ts';
import { stagedCertificates } from '../../domains/stored/staged.ts';
import type { ManagedDomainSettings } from '../../domains/settings.ts';
import type { Outcome, RenewalContext } from '../../domains/renewal/renewal.ts';
import type { ReadPem } from '../../domains/stored/static-files.ts';
import type { DomainInService } from '../../status/document.ts';
import type { DomainSource } from '../../status/select.ts';
import { diagnose, type Diagnosis } from '../../status/diagnosis.ts';
import type { Obtaining } from '../../domains/renewal/obtaining.ts';
import { OnDemand } from '../../domains/on-demand/on-demand.ts';
import type { SharedStore } from '../../domains/renewal/sharing.ts';
import { readMd } from '../../store/documents.ts';
import type { Store } from '../../store/store.ts';
import type { RenewalReport } from './control-server.ts';
import { configuredNames, strayingBy } from './on-demand.ts';
import { Preflights } from './preflights.ts';
import { unservedBy } from './unserved.ts';

export interface RenewalsParts {
  readonly settings: Settings;
  readonly store: Store;
  readonly loggers: Loggers;
  readonly activate: RenewalContext['activate'];
  /** Other servers use the store, too (MDStoreLocks). */
  readonly shared: SharedStore | undefined;
  /** Removes what the store has for a name on demand, and has it served no more. */
  readonly discard: (name: string) => Promise<void>;
  /** Reads a file of MDCertificateFile. */
  readonly readPem: ReadPem;
}

/** What came of a renewal, for the command line. */
export interface Report {
  readonly outcome: 'served' | 'obtained' | 'failed';
  readonly detail: string;
}

interface OnDemandSet {
  readonly source: string;
  readonly found: FoundCertificates | undefined;
}

export class Renewals implements AsyncDisposable, DomainSource {
  readonly #loggers: Loggers;
  readonly #store: Store;
  readonly #acme: AcmeIssuer;
  readonly #issuer: Issuer;
  readonly #engine: RenewalEngine;
  readonly #preflights: Preflights;
  readonly #revocations: RevocationLists;
  /** Domains that nobody configured. */
  readonly onDemand: OnDemand;
  #isConfigured: (name: string) => boolean;
  #settings: Settings;
  #unserved: ReturnType<typeof unservedBy>;
  #localCa: LocalCa | undefined;

  /** Starts the embedded CA where the settings have one. Asks no CA before start(). Rejects with CaError. */
  static async open(parts: RenewalsParts): Promise<Renewals> {
    const renewals = new Renewals(parts);
    await renewals.#runLocalCa(undefined);
    return renewals;
  }

  private constructor({ settings, store, loggers, activate, shared, readPem, discard }: RenewalsParts) {
    this.#settings = settings;
    this.#isConfigured = configuredNames(settings);
    this.#unserved = unservedBy(settings);
    this.#loggers = loggers;
    this.#store = store;
    this.#acme = new AcmeIssuer({
      store,
      clock: systemClock,
      newClient: (authority, way) => this.#newClient(authority, way),
    });
    const tailscale = new TailscaleIssuer({ store, clock: systemClock });
    this.#issuer = byProtocol({ acme: this.#acme, tailscale });
    this.#revocations = new RevocationLists({
      store,
      loggers,
      onRevoked: ({ owner, sha256, url }) =>
        this.#engine.replaceRevoked(owner, sha256, `the list ${url} says`),
    });
    this.#engine = new RenewalEngine({
      domains: settings.domains,
      store,
      issuer: this.#issuer,
      activate,
      loggers,
      readPem,
      shared,
      admit: (domain, options) => this.onDemand.admit(domain, options),
      ...paceOf(settings),
      initialDelay: settings.md.initialDelay,
      directoryUrl: (authority) => this.#directoryUrl(authority),
      onLook: (name, chains) => this.#revocations.watch(name, chains),
      // The supervisor begins another one, which goes on from the store.
      onFailure: () => process.exit(1),
    });
    this.onDemand = new OnDemand({
      settings: settings.onDemand,
      store,
      clock: systemClock,
      logger: loggers('md'),
      engine: this.#engine,
      isConfigured: (name) => this.#isConfigured(name),
      straying: strayingBy(() => this.#settings, store),
      discard,
    });
    this.#preflights = new Preflights({
      settings: () => this.#settings,
      store,
      logger: loggers('md'),
      newClient: (authority, way) => this.#newClient(authority, way),
      isNew: (name) => this.#engine.isBare(name),
    });
  }

  /** What a CA would stumble over with the domain that has the name `wanted`; undefined where none has. */
  async doctor(wanted: string): Promise<Diagnosis | undefined> {
    const domain = this.#find(wanted);
    return domain && diagnose(domain, this.#issuer.check(domain), await this.#preflights.look(domain));
  }

  start(): void {
    this.#engine.start();
    this.#revocations.start();
    this.onDemand.start();
  }

  /** What can't be had of new settings (the address of the embedded CA is taken) is said in the log. */
  async reconfigure(settings: Settings): Promise<void> {
    const before = this.#settings.localCa;
    this.#take(settings);
    await this.onDemand.reconfigure(settings.onDemand);
    await this.#runLocalCa(before).catch((error: unknown) => {
      this.#loggers('ca').error(explain(error));
    });
    this.#acme.forgetClients();
    this.#engine.reconfigure([...settings.domains, ...this.onDemand.domains], paceOf(settings));
  }

  /** Certificates on demand by the settings with this id. */
  sourceOf(id: string): OnDemandSource {
    return new OnDemandSource({
      id,
      orders: this.onDemand,
      clock: systemClock,
      logger: this.#loggers('md'),
    });
  }

  /** Where a name on demand is looked for, and what the store has for it; undefined for other names. */
  async onDemandSet(name: string): Promise<OnDemandSet | undefined> {
    const source = this.onDemand.sourceOf(name);
    return source === undefined ? undefined : { source, found: await this.sourceOf(source).load(name) };
  }

  /** `settings`: with this domain. */
  add(domain: ManagedDomainSettings, settings: Settings): void {
    this.#take(settings);
    this.#engine.add(domain);
  }

  /** `settings`: without it. */
  remove(name: string, settings: Settings): void {
    this.#take(settings);
    this.#engine.remove(name);
  }

  /** The files of this domain turned out not to be what they were. */
  lookAgain(name: string | undefined): void {
    if (name !== undefined) this.#engine.lookAgain(name);
  }

  #take(settings: Settings): void {
    this.#settings = settings;
    this.#unserved = unservedBy(settings);
    this.#isConfigured = configuredNames(settings);
  }

  get names(): readonly string[] {
    return this.#engine.names;
  }

  find(wanted: string): string | undefined {
    return this.#find(wanted)?.name;
  }

  /** These, or all by name. */
  describe(names?: readonly string[]): DomainInService[] {
    return this.#engine.status(names).map((status) => ({
      ...status,
      unserved: this.#unservedReason(status.name),
      onDemand: this.onDemand.status(status.name),
      preflight: this.#preflights.of(status.name),
    }));
  }

  /** See RenewalEngine.replaceRevoked(); what is no managed domain is left as it is. */
  replaceRevoked(name: string, sha256: string): void {
    this.#engine.replaceRevoked(name, sha256, 'its OCSP responder says');
  }

  /** With the certificates that wait in staging, which are read from there. */
  async withStaged(domains: readonly DomainInService[]): Promise<DomainInService[]> {
    const settings = new Map(this.#settings.domains.map((domain) => [domain.name, domain]));
    return Promise.all(
      domains.map(async (status) => {
        const domain = status.staged && (settings.get(status.name) ?? this.onDemand.domain(status.name));
        if (!domain) return status;
        const certificates = await stagedCertificates(this.#store, domain);
        return { ...status, staged: { validFrom: status.staged?.validFrom, certificates } };
      }),
    );
  }

  /** With the accounts that the store names, as md.json has them. */
  async withAccounts(domains: readonly DomainInService[]): Promise<DomainInService[]> {
    return Promise.all(
      domains.map(async (status) => {
        const stored = await readMd(this.#store, 'domains', status.name).catch(() => undefined);
        const account = stored?.ca.account;
        return { ...status, md: { ...status.md, ca: { ...status.md.ca, account } } };
      }),
    );
  }

  /** Renews the domain that has the name `wanted` now. */
  async renew(wanted: string, progress: RenewalReport, signal: AbortSignal): Promise<Report> {
    const domain = this.#find(wanted);
    if (!domain) return { outcome: 'failed', detail: `${wanted} is not a name of a managed domain` };
    const outcome = await this.#engine.renewNow(domain.name, { progress, signal });
    return describeOutcome(outcome, this.#unservedReason(domain.name));
  }

  #find(wanted: string): ManagedDomainSettings | undefined {
    const configured = this.#settings.domains.find(
      ({ name, domains }) => name === wanted || domains.includes(wanted),
    );
    return configured ?? this.onDemand.domain(wanted);
  }

  /** What is ordered on demand is served by whichever host it was called for at. */
  #unservedReason(name: string): string | undefined {
    return this.onDemand.status(name) ? undefined : this.#unserved(name);
  }

  /** See RenewalEngine. */
  obtaining(): Obtaining {
    return this.#engine.obtaining();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#preflights[Symbol.asyncDispose]();
    await this.onDemand[Symbol.asyncDispose]();
    await this.#engine[Symbol.asyncDispose]();
    await this.#revocations[Symbol.asyncDispose]();
    await this.#acme[Symbol.asyncDispose]();
    await this.#localCa?.close();
  }

  /** Starts the embedded CA where the configuration has one now, anew where it is not as `before`. */
  async #runLocalCa(before: LocalCaSettings | undefined): Promise<void> {
    const { localCa } = this.#settings;
    if (this.#localCa && isDeepStrictEqual(localCa, before)) return;
    await this.#localCa?.close();
    this.#localCa = undefined;
    if (!localCa) return;
    this.#localCa = await startLocalCa(localCa, { clock: systemClock, loggers: this.#loggers });
  }

  #directoryUrl(authority: string): string {
    if (authority !== 'local') return authority;
    if (!this.#localCa) throw new Error('MDCertificateAuthority is local, but there is no LocalCA');
    return this.#localCa.directoryUrl;
  }

  #newClient(directoryUrl: string, { caCertificateFile, proxy }: ClientSettings): AcmeClient {
    const userAgent = `latchkey/${version}`;
    if (this.#localCa?.directoryUrl === directoryUrl) {
      return new AcmeClient({ directoryUrl, userAgent, ca: this.#localCa.rootPem });
    }
    return new AcmeClient({
      directoryUrl,
      userAgent,
      ca: readIfNamed(caCertificateFile),
      proxy: proxy && { url: proxy.url, ca: readIfNamed(proxy.caCertificateFile) },
    });
  }
}

function readIfNamed(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8');
}

function paceOf({ md }: Settings): Pace {
  const { retryDelay, retryFailover, activateOn, activationDelay, checkInterval, hooks, rateLimits } = md;
  return { retryDelay, retryFailover, activateOn, activationDelay, checkInterval, hooks, rateLimits };
}

function describeOutcome(outcome: Outcome, unserved: string | undefined): Report {
  switch (outcome.status) {
    case 'installed': {
      const detail = `serial ${outcome.serials.join(', ')}, valid until ${new Date(outcome.notAfter).toUTCString()}`;
      if (unserved !== undefined)
        return { outcome: 'obtained', detail: `${detail}; not served: ${unserved}` };
      if (outcome.missing.length === 0) return { outcome: 'served', detail };
      return { outcome: 'failed', detail: `${detail}; not shown by worker ${outcome.missing.join(', ')}` };
    }
    case 'staged':
      return {
        outcome: 'obtained',
        detail: `to be used from ${new Date(outcome.validFrom).toUTCString()} on or at the next restart`,
      };
    case 'postponed':
      return {
        outcome: 'failed',
        detail: `put off until ${new Date(outcome.until).toUTCString()}: ${outcome.reason}`,
      };
    case 'failed': {
      const { nextRun, problem } = outcome;
      const next = nextRun === undefined ? 'none by itself' : new Date(nextRun).toUTCString();
      return {
        outcome: 'failed',
        detail: `${problem.type}: ${problem.detail}; next try ${next}`,
      };
    }
    default:
      return outcome satisfies never;
  }
}
