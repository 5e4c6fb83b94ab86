/** The engine process: renewals, the certificate table, the control socket. */
import { rmSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { publish } from '../../base/events.ts';
import { createLoggers, type Loggers } from '../../base/log.ts';
import { version } from '../../base/version.ts';
import { openTableForWriting, type LmdbTable } from '../../certificates/lmdb-table.ts';
import type { CertificateSource } from '../../certificates/source.ts';
import type { CertificateTable } from '../../certificates/table.ts';
import type { Settings } from '../../config/settings.ts';
import type {
  DomainInService,
  Counts,
  StaplingCounts,
  StatusDocument,
  StatusQuery,
} from '../../status/document.ts';
import { countDomains, selectDomains } from '../../status/select.ts';
import { countStapling, stapledOwners } from '../../status/stapling.ts';
import { ADDED_LEASE } from '../../domains/stored/added.ts';
import type { ActivationResult } from '../../domains/renewal/renewal.ts';
import type { SharedStore } from '../../domains/renewal/sharing.ts';
import { FsStore } from '../../store/fs/fs-store.ts';
import { FsLeases, locksFolder } from '../../store/fs/leases.ts';
import {
  ADDED_SCOPE,
  domainOfSet,
  domainSetId,
  type Birth,
  type LoadedCredential,
  type Plan,
  type SupervisorCalls,
  type VerifyRequest,
  type Wanted,
} from '../calls.ts';
import { LogSender } from '../logpipe.ts';
import type { Peer } from '../peer.ts';
import { dropPrivileges } from '../privileges.ts';
import { controlSocket, tableDir } from '../runtime-dir.ts';
import { Metrics } from '../../status/metrics.ts';
import { EngineAdded } from './added.ts';
import { ControlServer, type ControlHandlers, type RenewalReport } from './control-server.ts';
import { RuntimeApi } from './runtime-api.ts';
import type { Renewals, Report } from './renewals.ts';
import { EngineNames } from './names.ts';
import { stapledTable } from './stapled-table.ts';
import type { Staples } from './staples.ts';
import { StoreServer } from './store-server.ts';
import { SupervisedStore } from './supervised-store.ts';
import { TableKeeper } from './table-keeper.ts';

/** ms. */
const COUNTS_LIFE = 1000;

/** See VerifyRequest. */
type Place = Pick<VerifyRequest, 'setId' | 'scope'>;

interface Counted {
  readonly at: number;
  readonly domains: Counts;
  readonly stapling: StaplingCounts;
}

export class Engine implements AsyncDisposable {
  readonly #supervisor: Peer<SupervisorCalls>;
  readonly #loggers: Loggers;
  readonly #table: LmdbTable;
  readonly #stapledTable: CertificateTable;
  readonly #keeper: TableKeeper;
  readonly #store: SupervisedStore;
  /** Certificates by name. */
  readonly names: EngineNames;
  /** What other servers are given by the store protocol. */
  readonly storeServer: StoreServer;
  readonly #started = systemClock.now();
  readonly #metrics = new Metrics(version);
  readonly #stop = new AbortController();
  readonly #runtimeDir: string;
  #plan: Plan;
  #prepared: Plan | undefined;
  #control: ControlServer | undefined;
  #api: RuntimeApi | undefined;
  /** Where other servers use the store, too (MDStoreLocks). */
  #leases: FsLeases | undefined;
  #renewals: Renewals | undefined;
  #added: EngineAdded | undefined;
  #staples: Staples | undefined;
  #counted: Counted | undefined;
  #serving = false;

  /** Drops its rights, opens the table, starts the embedded CA and the control socket. */
  static async begin(birth: Birth, supervisor: Peer<SupervisorCalls>): Promise<Engine> {
    // While its files can certainly be read.
    if (needsRenewals(birth.plan.settings)) await import('./renewals.ts');
    await EngineNames.load(birth.plan.settings.dynamic);
    if (needsStaples(birth.plan.settings)) await import('./staples.ts');
    dropPrivileges(birth.identity);
    const table = openTableForWriting({ dir: tableDir(birth.runtimeDir), fresh: birth.freshTable });
    const own = await FsStore.attach({
      dir: birth.plan.settings.md.storeDir,
      ...(birth.storeKey ? { key: birth.storeKey } : {}),
    });
    const engine = new Engine(birth, supervisor, table, new SupervisedStore(own, supervisor));
    try {
      await engine.#start(birth);
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
    return engine;
  }

  private constructor(
    birth: Birth,
    supervisor: Peer<SupervisorCalls>,
    table: LmdbTable,
    store: SupervisedStore,
  ) {
    this.#plan = birth.plan;
    this.#runtimeDir = birth.runtimeDir;
    this.#supervisor = supervisor;
    this.#table = table;
    this.#loggers = this.#makeLoggers();
    this.#keeper = new TableKeeper(
      table,
      supervisor,
      this.#loggers('ssl'),
      async (id, found) =>
        this.#staples ? this.#staples.dress(id, found) : found.map(({ certificate }) => certificate),
      (id) => this.#renewals?.lookAgain(domainOfSet(id)),
    );
    this.#store = store;
    this.storeServer = new StoreServer({
      want: (id) => this.#keeper.want(id),
      logger: this.#loggers('dynssl'),
    });
    this.#stapledTable = stapledTable(table, () => this.#staples);
    this.names = new EngineNames(this.#stapledTable, this.#loggers, store.key.passphrase(), (id) =>
      this.#orders(id),
    );
  }

  /** See EngineCalls.begin. */
  get tableGeneration(): string {
    return this.#table.generation;
  }

  async #start(birth: Birth): Promise<void> {
    const { storeDir, storeLocks } = this.#plan.settings.md;
    if (storeLocks !== undefined) this.#leases = await FsLeases.open(locksFolder(storeDir));
    await this.#openStaples();
    this.#added = await this.#openAdded();
    this.#changedDomains();
    await this.#openRenewals();
    await this.names.configure(this.#plan.settings.dynamic);
    const handlers = this.#controlHandlers(this.#added);
    this.#control = await ControlServer.listen(controlSocket(birth.runtimeDir), handlers);
    this.#api = new RuntimeApi(handlers, this.#loggers('md'));
    await this.#api.configure(this.#plan.settings.api);
  }

  /** Begins what can wait until connections are served: the table is filled, CAs are asked. */
  serve(): void {
    this.#serving = true;
    this.#fillTable(this.#staples?.setIds);
    this.names.adopt();
    this.#loadAdded();
    this.#renewals?.start();
    this.#staples?.start();
  }

  /** New certificate files are read before anything changes: one that can't be served is a reason not to. */
  async prepare(plan: Plan): Promise<void> {
    const known = new Set(this.#plan.setIds);
    const fresh = setIdsOf(plan).filter((id) => !known.has(id) && !id.startsWith('md:'));
    await this.#keeper.refresh(fresh, this.#stop.signal);
    const broken = fresh.map((id) => this.#keeper.problems.get(id)).find((problem) => problem !== undefined);
    if (broken !== undefined) throw new Error(broken);
    if (needsRenewals(plan.settings)) await import('./renewals.ts');
    await EngineNames.load(plan.settings.dynamic);
    if (needsStaples(plan.settings)) await import('./staples.ts');
    this.#prepared = plan;
  }

  async commit(generation: number): Promise<void> {
    if (this.#prepared?.generation !== generation)
      throw new Error(`generation ${generation} was not prepared`);
    this.#plan = this.#prepared;
    this.#prepared = undefined;
    this.#added?.reconfigure(this.#plan.settings);
    this.#keeper.keepOnly(new Set([...setIdsOf(this.#plan), ...(this.#added?.setIds ?? [])]));
    this.#fillTable(await this.#restaple());
    this.#loadAdded();
    this.#changedDomains();
    await this.#api?.configure(this.#plan.settings.api);
    if (this.#renewals) await this.#renewals.reconfigure(this.#settings);
    else await this.#openRenewals();
    await this.names.configure(this.#plan.settings.dynamic);
  }

  rollback(): void {
    this.#prepared = undefined;
  }

  want(setId: string): Promise<Wanted> {
    return this.#keeper.want(setId);
  }

  /** A reader that was killed keeps old pages of the table from being used again. */
  workerDied(): void {
    this.#table.readerCheck();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#control?.[Symbol.asyncDispose]();
    await this.#api?.[Symbol.asyncDispose]();
    await this.#renewals?.[Symbol.asyncDispose]();
    await this.names[Symbol.asyncDispose]();
    this.storeServer[Symbol.dispose]();
    await this.#staples?.[Symbol.asyncDispose]();
    this.#metrics[Symbol.dispose]();
    this.#table[Symbol.dispose]();
    // Workers that are still there have it mapped; nobody opens it again.
    rmSync(tableDir(this.#runtimeDir), { recursive: true, force: true });
  }

  #makeLoggers(): Loggers {
    const sender = new LogSender();
    process.on('exit', () => sender.finish());
    const base = () => this.#plan.settings.base;
    return createLoggers(
      (line) => sender.write(base().errorLog ?? '', line),
      () => base().logLevels,
    );
  }

  /** `anew`: sets to load whether or not the table has them. */
  #fillTable(anew: Iterable<string> = []): void {
    this.#keeper.fill(setIdsOf(this.#plan), this.#stop.signal, new Set(anew)).catch((error: unknown) => {
      if (!this.#stop.signal.aborted)
        this.#loggers('ssl').error(`filling the certificate table: ${explain(error)}`);
    });
  }

  #loadAdded(): void {
    this.#added?.load(this.#stop.signal).catch((error: unknown) => {
      this.#loggers('md').error(`loading certificates of added domains: ${explain(error)}`);
    });
  }

  async #openStaples(): Promise<Staples | undefined> {
    if (!needsStaples(this.#plan.settings)) return undefined;
    const { Staples } = await import('./staples.ts');
    this.#staples = new Staples({
      plan: this.#plan,
      store: this.#store,
      table: this.#table,
      loggers: this.#loggers,
      onRevoked: ({ domain, sha256 }) => this.#renewals?.replaceRevoked(domain, sha256),
      added: (setId) => this.#added?.stapling(setId),
    });
    if (this.#serving) this.#staples.start();
    return this.#staples;
  }

  /** Ids of the sets that a reload has stapled otherwise. */
  async #restaple(): Promise<Iterable<string> | undefined> {
    if (this.#staples) return this.#staples.reconfigure(this.#plan);
    return (await this.#openStaples())?.setIds;
  }

  /** With the domains that were added. */
  get #settings(): Settings {
    return this.#added?.settings ?? this.#plan.settings;
  }

  #changedDomains(): void {
    this.storeServer.configure(this.#settings);
  }

  #controlHandlers(added: EngineAdded): ControlHandlers {
    return {
      status: (query) => this.status(query),
      doctor: async (name) => (await this.#renewals?.doctor(name)) ?? unmanaged(name),
      renew: (name, report, signal) => this.#renew(name, report, signal),
      domains: () => added.list(this.#renewals?.describe() ?? []),
      add: (names) => added.add(names),
      remove: (name) => added.remove(name),
      flush: (name) => this.#flush(name),
    };
  }

  /** What is served of a name, and cached, is looked for anew. Gives what is wrong with that. */
  async #flush(name: string): Promise<string | undefined> {
    const domain = this.#renewals?.find(name);
    if (domain !== undefined) {
      await this.#refresh(domain);
      return this.#keeper.problems.get(domainSetId(domain));
    }
    return (await this.names.flush(name)).problem;
  }

  #openAdded(): Promise<EngineAdded> {
    const parts = {
      store: this.#store,
      table: this.#stapledTable,
      keeper: this.#keeper,
      logger: this.#loggers('md'),
      leases: this.#leases,
      changed: () => this.#changedDomains(),
      renewals: async () => this.#renewals ?? (await this.#newRenewals()),
    };
    return EngineAdded.open(parts, this.#plan.settings);
  }

  async #openRenewals(): Promise<void> {
    if (needsRenewals(this.#settings)) await this.#newRenewals();
  }

  async #newRenewals(): Promise<Renewals> {
    const settings = this.#settings;
    const { Renewals } = await import('./renewals.ts');
    const renewals = await Renewals.open({
      settings,
      store: this.#store,
      loggers: this.#loggers,
      activate: (name, { serials }) => this.#activate(name, serials),
      shared: this.#sharedStore(),
      readPem: (file) => this.#supervisor.call('certificateFile', file),
      discard: async (name) => {
        await this.#supervisor.call('discard', name);
        this.names.forget(name);
      },
    });
    this.#renewals = renewals;
    if (this.#serving) renewals.start();
    return renewals;
  }

  #sharedStore(): SharedStore | undefined {
    return (
      this.#leases && {
        leases: this.#leases,
        adopt: async (name) => void (await this.#refresh(name)),
        noticed: (lease) => {
          if (lease === ADDED_LEASE) void this.#added?.follow();
        },
      }
    );
  }

  /** Certificates on demand, which a configuration with such names has renewals for. */
  #orders(id: string): CertificateSource {
    if (!this.#renewals) throw new Error('certificates on demand without renewals');
    return this.#renewals.sourceOf(id);
  }

  /** The set of a domain has changed in the store, to `credential`. Gives where clients find it; undefined: nowhere. */
  async #refresh(name: string, credential?: LoadedCredential): Promise<Place | undefined> {
    const ordered = await this.#renewals?.onDemandSet(name);
    if (ordered) {
      const setId = ordered.found && this.names.bring(ordered.source, name, ordered.found);
      return setId === undefined ? undefined : { setId, scope: ordered.source };
    }
    const setId = domainSetId(name);
    if (credential) await this.#keeper.take(credential);
    else await this.#keeper.refresh([setId]);
    if (this.#plan.setIds.includes(setId)) return { setId, scope: undefined };
    if (!this.#added?.has(name)) return undefined;
    this.#added.point(name);
    return { setId, scope: ADDED_SCOPE };
  }

  /** Into domains/, into the table, into every worker, then told to the administrator's command. */
  async #activate(name: string, wanted: readonly string[]): Promise<ActivationResult> {
    const activated = await this.#supervisor.call('activate', { domain: name, serials: wanted });
    const { serials, credential } = activated;
    const chains = credential?.pems.map(({ chainPem }) => chainPem) ?? [];
    await this.#staples?.fetchAhead(domainSetId(name), chains);
    const place = await this.#refresh(name, credential);
    const { missing } = place ? await this.#showAll(name, place, serials) : { missing: [] };
    const { message } = this.#settings.md.hooks;
    const told = message ? await this.#supervisor.call('tellInstalled', name) : { ran: false };
    // The command may have trimmed the chain.
    if (told.ran) await this.#refresh(name);
    return { missing, told };
  }

  /** Fulfilled when each worker has shown the new certificates, with those that have not. */
  async #showAll(name: string, place: Place, serials: readonly string[]): Promise<{ missing: number[] }> {
    const { setId, scope } = place;
    const keyTypes = this.#table.get(setId)?.certificates.map(({ keyType }) => keyType) ?? [];
    const shown = await this.#supervisor.call('verify', { setId, name, scope, keyTypes });
    const lacking = shown.filter(({ serials: own }) => own && !serials.every((one) => own.includes(one)));
    for (const { worker, problem } of lacking) {
      this.#loggers('md').error(
        `worker ${worker} does not show the new certificate of ${name}: ${problem ?? 'it shows another'}`,
      );
    }
    const missing = lacking.map(({ worker }) => worker);
    publish('latchkey:certificate:served', { domain: name, serials, missing });
    return { missing };
  }

  /** See StatusQuery; without one, everything there is. */
  async status(query: StatusQuery | undefined): Promise<StatusDocument> {
    const selected = this.#renewals ? selectDomains(this.#renewals, query) : { matching: 0, domains: [] };
    const only = query?.name === undefined ? undefined : selected.domains[0];
    return {
      counts: query ? this.#counts().domains : countDomains(selected.domains),
      ...selected,
      version,
      started: this.#started,
      generation: this.#plan.generation,
      workers: await this.#supervisor.call('workers', undefined),
      tableFull: this.#keeper.full,
      problems: [...this.#keeper.problems.values()],
      stapling: this.#staples?.status(stapledOwners(selected.domains, query)) ?? [],
      staplingJob: only && (await this.#staples?.job(only.name)),
      staplingCounts: this.#counts().stapling,
      obtaining: this.#renewals?.obtaining(),
      domains: await this.#fromStore(selected.domains, query),
      now: systemClock.now(),
    };
  }

  /** With what only the store knows. */
  async #fromStore(
    domains: readonly DomainInService[],
    query: StatusQuery | undefined,
  ): Promise<readonly DomainInService[]> {
    const staged = (await this.#renewals?.withStaged(domains)) ?? [];
    if (query?.name === undefined && !query?.accounts) return staged;
    return (await this.#renewals?.withAccounts(staged)) ?? staged;
  }

  /** Counting looks at every domain, and anybody may ask for a status: it is done once a second at most. */
  #counts(): Counted {
    const now = systemClock.now();
    if (!this.#counted || Math.abs(now - this.#counted.at) > COUNTS_LIFE) {
      const domains = countDomains(this.#renewals?.describe() ?? []);
      this.#counted = { at: now, domains, stapling: countStapling(this.#staples?.status() ?? [], now) };
    }
    return this.#counted;
  }

  async metrics(): Promise<string> {
    this.#metrics.noteWorkers(await this.#supervisor.call('workers', undefined));
    return this.#metrics.text(this.#renewals?.describe() ?? [], this.#counts().stapling, systemClock.now());
  }

  async #renew(name: string, report: RenewalReport, signal: AbortSignal): Promise<Report> {
    if (!this.#renewals) return { outcome: 'failed', detail: 'there are no managed domains' };
    return this.#renewals.renew(name, report, signal);
  }
}

function unmanaged(name: string): never {
  throw new Error(`${name} is not a name of a managed domain`);
}

/** Once loaded they stay: a domain may be added at the next reload. MDMessageCmd is told of others' staples, too, and
 * another server on the store may add domains. */
function needsRenewals({ domains, onDemand, localCa, md }: Settings): boolean {
  const served = domains.length + onDemand.length > 0 || localCa !== undefined;
  return served || md.hooks.message !== undefined || md.storeLocks !== undefined;
}

/** Likewise. */
function needsStaples({ base, hosts, addedStapling }: Settings): boolean {
  return addedStapling !== undefined || [base, ...hosts].some(({ stapling }) => stapling !== undefined);
}

function setIdsOf({ setIds }: Plan): string[] {
  return [...new Set(setIds)].filter((id) => id !== undefined);
}
