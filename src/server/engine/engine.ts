/**
 * The engine process: the renewal engine and what it needs around it (the CA clients, the embedded CA, the
 * certificate table, the control socket).
 */
import { readFileSync, rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { AcmeClient } from '../../acme/client.ts';
import { systemClock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { publish } from '../../base/events.ts';
import { createLoggers, type Loggers } from '../../base/log.ts';
import { startLocalCa, type LocalCa } from '../../ca/server.ts';
import type { LocalCaSettings } from '../../ca/settings.ts';
import { openTableForWriting, type LmdbTable } from '../../certificates/lmdb-table.ts';
import { RenewalEngine } from '../../domains/engine.ts';
import { AcmeIssuer } from '../../domains/issuers/acme.ts';
import type { Outcome } from '../../domains/renewal.ts';
import type { StatusDocument } from '../../status/document.ts';
import { FsStore } from '../../store/fs/fs-store.ts';
import { domainSetId, type Birth, type Plan, type SupervisorCalls, type Wanted } from '../calls.ts';
import { LogSender } from '../logpipe.ts';
import type { Peer } from '../peer.ts';
import { dropPrivileges } from '../privileges.ts';
import { controlSocket, tableDir } from '../runtime-dir.ts';
import { version } from '../version.ts';
import { ControlServer, type RenewalReport } from './control-server.ts';
import { SupervisedStore } from './supervised-store.ts';
import { TableKeeper } from './table-keeper.ts';

export class Engine implements AsyncDisposable {
  readonly #supervisor: Peer<SupervisorCalls>;
  readonly #loggers: Loggers;
  readonly #table: LmdbTable;
  readonly #keeper: TableKeeper;
  readonly #issuer: AcmeIssuer;
  readonly #renewals: RenewalEngine;
  readonly #started = systemClock.now();
  readonly #stop = new AbortController();
  readonly #runtimeDir: string;
  #plan: Plan;
  #prepared: Plan | undefined;
  #control: ControlServer | undefined;
  #localCa: LocalCa | undefined;

  /** Drops its rights, opens the table, starts the embedded CA and the control socket. */
  static async begin(birth: Birth, supervisor: Peer<SupervisorCalls>): Promise<Engine> {
    dropPrivileges(birth.identity);
    const table = openTableForWriting({ dir: tableDir(birth.runtimeDir), fresh: birth.freshTable });
    const own = await FsStore.attach({
      dir: birth.plan.settings.md.storeDir,
      ...(birth.storeKey ? { key: birth.storeKey } : {}),
    });
    const engine = new Engine(birth, supervisor, table, new SupervisedStore(own, supervisor));
    await engine.#start(birth);
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
    this.#keeper = new TableKeeper(table, supervisor, this.#loggers('ssl'));
    this.#issuer = new AcmeIssuer({
      store,
      clock: systemClock,
      newClient: (authority, caFile) => this.#newClient(authority, caFile),
    });
    const { domains, md } = birth.plan.settings;
    this.#renewals = new RenewalEngine({
      domains,
      store,
      issuer: this.#issuer,
      activate: (name) => this.#activate(name),
      loggers: this.#loggers,
      retryDelay: md.retryDelay,
      activateOn: md.activateOn,
      directoryUrl: (authority) => this.#directoryUrl(authority),
    });
  }

  /** See EngineCalls.begin. */
  get tableGeneration(): string {
    return this.#table.generation;
  }

  async #start(birth: Birth): Promise<void> {
    await this.#runLocalCa(undefined);
    this.#control = await ControlServer.listen(controlSocket(birth.runtimeDir), {
      status: () => this.#status(),
      renew: (name, report, signal) => this.#renew(name, report, signal),
    });
  }

  /** Begins what can wait until connections are served: the table is filled, CAs are asked. */
  serve(): void {
    this.#fillTable();
    this.#renewals.start();
  }

  /** New certificate files are read before anything changes: one that can't be served is a reason not to. */
  async prepare(plan: Plan): Promise<void> {
    const known = new Set(this.#plan.setIds);
    const fresh = setIdsOf(plan).filter((id) => !known.has(id) && !id.startsWith('md:'));
    await this.#keeper.refresh(fresh, this.#stop.signal);
    const broken = fresh.map((id) => this.#keeper.problems.get(id)).find((problem) => problem !== undefined);
    if (broken !== undefined) throw new Error(broken);
    this.#prepared = plan;
  }

  async commit(generation: number): Promise<void> {
    if (this.#prepared?.generation !== generation)
      throw new Error(`generation ${generation} was not prepared`);
    const before = this.#plan.settings.localCa;
    this.#plan = this.#prepared;
    this.#prepared = undefined;
    await this.#runLocalCa(before).catch((error: unknown) => {
      this.#loggers('ca').error(explain(error));
    });
    this.#keeper.keepOnly(new Set(setIdsOf(this.#plan)));
    this.#fillTable();
    this.#renewals.reconfigure(this.#plan.settings.domains);
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
    await this.#renewals[Symbol.asyncDispose]();
    await this.#issuer[Symbol.asyncDispose]();
    await this.#localCa?.close();
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

  #fillTable(): void {
    this.#keeper.fill(setIdsOf(this.#plan), this.#stop.signal).catch((error: unknown) => {
      if (!this.#stop.signal.aborted)
        this.#loggers('ssl').error(`filling the certificate table: ${explain(error)}`);
    });
  }

  /** Starts the embedded CA where the configuration has one now, anew where it is not as `before`. */
  async #runLocalCa(before: LocalCaSettings | undefined): Promise<void> {
    const { localCa } = this.#plan.settings;
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

  #newClient(directoryUrl: string, caFile: string | undefined): AcmeClient {
    const local = this.#localCa?.directoryUrl === directoryUrl ? this.#localCa.rootPem : undefined;
    const ca = local ?? (caFile === undefined ? undefined : readFileSync(caFile, 'utf8'));
    return new AcmeClient({
      directoryUrl,
      userAgent: `latchkey/${version}`,
      ...(ca === undefined ? {} : { ca }),
    });
  }

  /** Into domains/, into the table, into every worker: fulfilled when each has shown the new certificates. */
  async #activate(name: string): Promise<{ missing: number[] }> {
    const { serials } = await this.#supervisor.call('activate', name);
    const setId = domainSetId(name);
    await this.#keeper.refresh([setId]);
    if (!this.#plan.setIds.includes(setId)) return { missing: [] };
    const keyTypes = this.#table.get(setId)?.certificates.map(({ keyType }) => keyType) ?? [];
    const shown = await this.#supervisor.call('verify', { setId, name, keyTypes });
    const lacking = shown.filter(({ serials: own }) => !serials.every((serial) => own.includes(serial)));
    for (const { worker, problem } of lacking) {
      this.#loggers('md').error(
        `worker ${worker} does not show the new certificate of ${name}: ${problem ?? 'it shows another'}`,
      );
    }
    const missing = lacking.map(({ worker }) => worker);
    publish('latchkey:certificate:served', { domain: name, serials, missing });
    return { missing };
  }

  async #status(): Promise<StatusDocument> {
    return {
      version,
      started: this.#started,
      generation: this.#plan.generation,
      workers: await this.#supervisor.call('workers', undefined),
      tableFull: this.#keeper.full,
      problems: [...this.#keeper.problems.values()],
      domains: this.#renewals.status(),
      now: systemClock.now(),
    };
  }

  async #renew(
    wanted: string,
    report: RenewalReport,
    signal: AbortSignal,
  ): Promise<{ outcome: 'served' | 'failed'; detail: string }> {
    const domain = this.#plan.settings.domains.find(
      ({ name, domains }) => name === wanted || domains.includes(wanted),
    );
    if (!domain) return { outcome: 'failed', detail: `${wanted} is not a name of a managed domain` };
    return describeOutcome(await this.#renewals.renewNow(domain.name, { progress: report, signal }));
  }
}

function setIdsOf({ setIds }: Plan): string[] {
  return [...new Set(setIds)].filter((id) => id !== undefined);
}

function describeOutcome(outcome: Outcome): { outcome: 'served' | 'failed'; detail: string } {
  switch (outcome.status) {
    case 'installed': {
      const detail = `serial ${outcome.serials.join(', ')}, valid until ${new Date(outcome.notAfter).toUTCString()}`;
      if (outcome.missing.length === 0) return { outcome: 'served', detail };
      return { outcome: 'failed', detail: `${detail}; not shown by worker ${outcome.missing.join(', ')}` };
    }
    case 'staged':
      return {
        outcome: 'served',
        detail: `obtained, and to be used from ${new Date(outcome.validFrom).toUTCString()} on or at the next restart`,
      };
    case 'failed': {
      const next = new Date(outcome.nextRun).toUTCString();
      return {
        outcome: 'failed',
        detail: `${outcome.problem.type}: ${outcome.problem.detail}; next try ${next}`,
      };
    }
    default:
      return outcome satisfies never;
  }
}
