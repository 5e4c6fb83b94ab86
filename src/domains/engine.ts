/**
 * The renewal engine: keeps the certificates of all managed domains as configured. It owns the schedule and all
 * jobs; it knows CAs through the Issuer only, and asks whoever may (`activate`) to put certificates to use.
 *
 *     await using engine = new RenewalEngine({ domains, store, clock, issuer, activate, loggers });
 *     engine.start();
 *     const outcome = await engine.renewNow('example.org', { progress: ({ detail }) => console.log(detail) });
 */
import { isDeepStrictEqual } from 'node:util';
import PQueue from 'p-queue';
import { type Clock, systemClock } from '../base/clock.ts';
import { explain, LatchkeyError } from '../base/errors.ts';
import { subscribe } from '../base/events.ts';
import { type Logger, type Loggers, silent } from '../base/log.ts';
import { readMd, readOrder } from '../store/documents.ts';
import type { Abortable, Store } from '../store/store.ts';
import { Advisor } from './advice/advisor.ts';
import { mdDocument } from './stored/document.ts';
import { Budgets } from './budgets/budgets.ts';
import type { Hold } from './budgets/budget-book.ts';
import type { BudgetRequest } from './budgets/budget-limits.ts';
import { describeObtaining, isWorthSaying, type Obtaining, ObtainingMeter } from './renewal/obtaining.ts';
import { isAutomatic, type Plan, plan } from './renewal/plan.ts';
import { askForRenewalTime } from './advice/questions.ts';
import { LOOK_INTERVAL, type SharedStore, Sharing } from './renewal/sharing.ts';
import { Spending } from './budgets/spending.ts';
import { nextWarning, warnOfExpiry } from './hooks/expiry.ts';
import { isDamage, readHeld, stagedFiles, undamaged } from './stored/held.ts';
import { type HookEvent, Hooks, noHooks } from './hooks/hooks.ts';
import type { Issuer, Progress } from './issuer.ts';
import {
  authorityAfter,
  DEFAULT_CHECK_INTERVAL,
  DEFAULT_RETRY_DELAY,
  DEFAULT_RETRY_FAILOVER,
  Job,
} from './renewal/job.ts';
import { Schedule } from '../base/schedule.ts';
import { type Outcome, renew, type RenewalContext, tellAgain } from './renewal/renewal.ts';
import type { HookCommands, ManagedDomainSettings, RateLimits } from './settings.ts';
import type { AdviceOn, DomainState, Held } from './state.ts';
import { judge, type ReadPem, readPemFile } from './stored/static-files.ts';
import { type DomainStatus, statusOf } from './status.ts';

export interface EngineOptions {
  readonly domains: readonly ManagedDomainSettings[];
  readonly store: Store;
  readonly issuer: Issuer;
  /** Moves `staging/NAME` into `domains` and has it served; see activate.ts. */
  readonly activate: RenewalContext['activate'];
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Default: silent. */
  readonly loggers?: Loggers | undefined;
  /** From 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined;
  /** ms; default 30 s (MDRetryDelay). */
  readonly retryDelay?: number | undefined;
  /** Errors in a row with one CA before the next one is tried; default 13 (MDRetryFailover). */
  readonly retryFailover?: number | undefined;
  /** Default `renewal` (MDActivateOn). */
  readonly activateOn?: 'renewal' | 'restart' | undefined;
  /** What is told of events; default nothing. */
  readonly hooks?: HookCommands | undefined;
  /** ms that such a command may take before it is killed; default one minute. */
  readonly hookLimit?: number | undefined;
  /** ms; default none (MDActivationDelay). */
  readonly activationDelay?: number | undefined;
  /** ms between looks at a domain where nothing is due; default 12 h (MDCheckInterval). */
  readonly checkInterval?: number | undefined;
  /** ms before anything is done; default none (MDInitialDelay). */
  readonly initialDelay?: number | undefined;
  /** Reads a file of ManagedDomainSettings.staticFiles; default: with our own rights. */
  readonly readPem?: ReadPem | undefined;
  /** Renewals at once with one CA; default 10. */
  readonly maxParallelPerCa?: number | undefined;
  /** The directory URL of a configured authority; default: it is one. `local` has to be resolved here. */
  readonly directoryUrl?: ((authority: string) => string) | undefined;
  /** Whether anything may be obtained for a domain now; default: for each. See RenewalContext. */
  readonly admit?: RenewalContext['admit'];
  /** By authority, what differs from the built-in figures (MDRateLimit). */
  readonly rateLimits?: Readonly<Record<string, RateLimits>> | undefined;
  /** Where other servers use the store, too (MDStoreLocks). */
  readonly shared?: SharedStore | undefined;
  /** Told at each look which chains a domain has in use that are ours to replace: none, once it is gone. */
  readonly onLook?: ((name: string, chains: readonly Held['chain'][]) => void) | undefined;
  /** Told when a fault of the program has ended all renewing: another engine is needed. Default: the log has it. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

/** What of the options may change while it runs; what is not given stays. */
export type Pace = Partial<
  Pick<RenewalContext, 'retryDelay' | 'retryFailover' | 'activateOn' | 'activationDelay' | 'checkInterval'>
> &
  Pick<EngineOptions, 'rateLimits' | 'hooks'>;

export interface RenewNowOptions extends Abortable {
  /** Called at each step. */
  readonly progress?: ((progress: Progress) => void) | undefined;
}

export type EngineErrorCode = 'engine-closed' | 'domain-unknown';

export class EngineError extends LatchkeyError<EngineErrorCode> {}

/** A warning waits for this long at a time while a renewal is tried, ms. */
const WARNING_DELAY = 60_000;

/** Domains checked at once. */
const CHECKS = 4;

/** What is looked at at once in the store, where no CA is concerned. */
const LOOKS = 32;

/** First runs are spread over this time for each domain, ms, but over no more than MAX_SPREAD. */
const SPREAD = 10;
const MAX_SPREAD = 60_000;

const HOUR = 60 * 60 * 1000;

interface Waiter {
  readonly progress: (progress: Progress) => void;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Entry {
  domain: ManagedDomainSettings;
  state: DomainState | undefined;
  job: Job | undefined;
  /** Somebody asked for a renewal and none has been concluded since. */
  forced: boolean;
  /** Times in a row that the store could not be used for it. */
  failures: number;
  /** What keeps it from asking its CA now. */
  hold: Hold | undefined;
  /** No check has it looked at again before, ms since the epoch. */
  floor: number;
  readonly waiters: Set<Waiter>;
}

export class RenewalEngine implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  #context: RenewalContext;
  readonly #schedule: Schedule;
  readonly #advisor: Advisor;
  /** Looks at what nothing is due for: at files that changed, at certificates that expire. */
  readonly #checks: Schedule;
  readonly #initialDelay: number;
  readonly #readPem: ReadPem;
  readonly #stop = new AbortController();
  readonly #budgets: Budgets;
  readonly #meter: ObtainingMeter;
  readonly #sharing: Sharing | undefined;
  readonly #onFailure: (error: unknown) => void;
  readonly #onLook: NonNullable<EngineOptions['onLook']>;
  /** Whom MDMessageCmd is told of for stapling alone: certificates that are no managed domain's. */
  readonly #others = new Job('other');
  #main: Promise<void> | undefined;

  constructor(options: EngineOptions) {
    const { clock = systemClock, loggers = silent, random = Math.random } = options;
    this.#onFailure = options.onFailure ?? (() => {});
    this.#onLook = options.onLook ?? (() => {});
    const logger = loggers('md');
    const commands = options.hooks ?? noHooks;
    this.#context = {
      store: options.store,
      clock,
      issuer: options.issuer,
      logger,
      hooks: new Hooks({ commands, clock, logger, limit: options.hookLimit }),
      activationDelay: options.activationDelay ?? 0,
      checkInterval: options.checkInterval ?? DEFAULT_CHECK_INTERVAL,
      activate: options.activate,
      admit: options.admit,
      activateOn: options.activateOn ?? 'renewal',
      directoryUrl: options.directoryUrl ?? ((authority) => authority),
      retryDelay: options.retryDelay ?? DEFAULT_RETRY_DELAY,
      retryFailover: options.retryFailover ?? DEFAULT_RETRY_FAILOVER,
      random,
    };
    this.#meter = new ObtainingMeter(clock);
    this.#sharing = options.shared && new Sharing({ ...options.shared, clock, logger: this.#logger });
    this.#budgets = new Budgets({ store: options.store, clock, logger: this.#logger });
    this.#budgets.configure(options.rateLimits ?? {});
    this.#schedule = new Schedule({
      clock,
      parallel: options.maxParallelPerCa,
      work: (name, signal) => this.#work(name, signal),
      lane: (name) => this.#lane(name),
    });
    this.#advisor = new Advisor({
      clock,
      random,
      logger: loggers('md'),
      lane: (name) => this.#lane(name).key,
      ask: async (name, info, signal) => {
        const entry = this.#entries.get(name);
        return entry && (await askForRenewalTime(this.#context, entry.domain, info, signal));
      },
      changed: (name) => void this.#schedulePlanned(name, 0),
    });
    this.#checks = new Schedule({
      clock,
      parallel: CHECKS,
      work: (name, signal) => this.#check(name, signal),
      lane: () => ({ key: '', priority: 0 }),
    });
    this.#initialDelay = options.initialDelay ?? 0;
    this.#readPem = options.readPem ?? readPemFile;
    for (const domain of options.domains) this.#entries.set(domain.name, newEntry(domain));
  }

  /** Begins to work. Before this no CA is contacted. */
  start(): void {
    this.#stop.signal.throwIfAborted();
    this.#main ??= this.#run().catch((error: unknown) => {
      this.#logger.log('crit', `the renewal engine has failed: ${explain(error)}`);
      this.#onFailure(error);
      throw error;
    });
    // Who disposes of the engine is told; until then the log has it.
    this.#main.catch(() => {});
  }

  /** Changes to a new configuration: what is as it was goes on undisturbed, a changed domain starts anew. */
  reconfigure(
    domains: readonly ManagedDomainSettings[],
    { rateLimits, hooks: commands, ...pace }: Pace = {},
  ): void {
    this.#context = { ...this.#context, ...pace };
    if (rateLimits) this.#budgets.configure(rateLimits);
    if (commands) this.#context.hooks.commands = commands;
    const names = new Set(domains.map(({ name }) => name));
    for (const name of this.#entries.keys()) if (!names.has(name)) this.remove(name);
    const changed = domains.filter((domain) => this.#configure(domain));
    if (this.#main) void this.#lookAtAll(changed.map(({ name }) => name));
  }

  /** One domain more: begins with it where there is something to be done. */
  add(domain: ManagedDomainSettings): void {
    if (this.#configure(domain) && this.#main) void this.#schedulePlanned(domain.name, 0);
  }

  /** One domain less: what is done for it ends; the store keeps what it has. */
  remove(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    this.#schedule.remove(name);
    this.#budgets.forget(name);
    this.#advisor.forget(name);
    this.#onLook(name, []);
    this.#checks.remove(name);
    this.#entries.delete(name);
    reject(entry, new EngineError('domain-unknown', `${name} is no managed domain any more`));
  }

  /**
   * Renews a domain now, whatever its state and mode, or joins the renewal that is under way. Fulfilled when
   * its certificates are in use, staged for later, or not to be had now. An abort ends the waiting only.
   * @throws EngineError, or what keeps the store from being read
   */
  async renewNow(name: string, options: RenewNowOptions = {}): Promise<Outcome> {
    options.signal?.throwIfAborted();
    const entry = this.#entryOf(name);
    entry.forced = true;
    if (this.#main) this.#schedule.runNow(name);
    return this.#outcome(entry, options);
  }

  /**
   * What comes of the run that is under way, or of the next one, whenever that is. An abort ends the waiting only.
   * @throws EngineError, or what keeps the store from being read
   */
  async outcome(name: string, options: RenewNowOptions = {}): Promise<Outcome> {
    options.signal?.throwIfAborted();
    return this.#outcome(this.#entryOf(name), options);
  }

  #entryOf(name: string): Entry {
    if (this.#stop.signal.aborted) throw closed();
    const entry = this.#entries.get(name);
    if (!entry) throw new EngineError('domain-unknown', `There is no managed domain called ${name}`);
    return entry;
  }

  async #outcome(entry: Entry, { signal, progress = () => {} }: RenewNowOptions): Promise<Outcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const waiter: Waiter = { progress, resolve, reject };
    const abort = () => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    entry.waiters.add(waiter);
    try {
      return await promise;
    } finally {
      entry.waiters.delete(waiter);
      signal?.removeEventListener('abort', abort);
    }
  }

  /**
   * Replaces a certificate that was found to be revoked, at once. Another than the one in use is no matter.
   * @param sha256 of its DER, lower-case hex
   * @param source who says so, for people: it follows `the certificate has been revoked, as`
   */
  replaceRevoked(name: string, sha256: string, source: string): void {
    this.#advisor.revoke(name, sha256, source);
  }

  /** Names of all domains, sorted. */
  get names(): string[] {
    return [...this.#entries.keys()].sort();
  }

  /** These domains, or all by name. What the store has is as of the last look at it. */
  status(names: readonly string[] = this.names): DomainStatus[] {
    return names.flatMap((name) => {
      const entry = this.#entries.get(name);
      if (!entry) return [];
      const { issuer, retryFailover } = this.#context;
      const problems = issuer.check(entry.domain);
      const notes = this.#notes(entry);
      return [
        statusOf({
          ...entry,
          problems,
          notes,
          retryFailover,
          adviceOn: (info) => this.#advisor.adviceOn(name, info),
          due: this.#schedule.due(name),
          runs: this.#schedule.runs(name),
        }),
      ];
    });
  }

  #notes(entry: Entry): readonly string[] {
    const { issuer, directoryUrl } = this.#context;
    try {
      return issuer.notes?.(entry.domain, directoryUrl(this.#request(entry).authority)) ?? [];
    } catch {
      // The CA of this server is not there: its renewals say so.
      return [];
    }
  }

  /** Whether a domain had no certificate at the last look at it. */
  isBare(name: string): boolean {
    return this.#entries.get(name)?.state?.certificates.length === 0;
  }

  /** How many of the domains that are to have certificates have them. */
  obtaining(): Obtaining {
    const wanted = [...this.#entries.values()].filter(({ domain }) => isAutomatic(domain));
    return this.#meter.of(
      wanted.map(({ state, job }) => ({
        complete: state?.state === 'complete',
        failing: (job?.errors ?? 0) > 0,
      })),
    );
  }

  /** Aborts what runs; staging stays as it is, for the next start to go on with. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(closed());
    for (const entry of this.#entries.values()) reject(entry, closed());
    await this.#main;
  }

  get #logger(): Logger {
    return this.#context.logger;
  }

  async #run(): Promise<void> {
    using _renewed = subscribe('latchkey:ocsp:renewed', ({ domain }) => {
      void this.#message(domain, 'ocsp-renewed');
    });
    using _errored = subscribe('latchkey:ocsp:errored', ({ domain }) => {
      void this.#message(domain, 'ocsp-errored');
    });
    const { signal } = this.#stop;
    const scheduled = Promise.all([
      this.#schedule.run(signal),
      this.#checks.run(signal),
      this.#advisor.run(signal),
      this.#sharing?.watch((name) => this.#lookSoon(name), signal),
    ]);
    try {
      await this.#removeStaleChallenges();
    } catch (error) {
      this.#logger.warn(`old challenges could not be removed: ${explain(error)}`);
    }
    const from = this.#context.clock.now() + this.#initialDelay;
    await this.#lookAtAll([...this.#entries.keys()], from);
    await scheduled;
  }

  /** Tells what happens elsewhere to a domain; never rejects. */
  async #message(name: string, event: HookEvent): Promise<void> {
    const entry = this.#entries.get(name);
    const { hooks, store } = this.#context;
    if (!hooks.commands.message || (!entry && name !== this.#others.name)) return;
    try {
      const job = entry ? await this.#jobOf(entry) : this.#others;
      await hooks.message(job, event, { signal: this.#stop.signal });
      if (entry) await job.save(store);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#logger.error(`AH10056: processing ${name}: ${explain(error)}`);
    }
  }

  /** What a crash left in `challenges`: nobody asks for it any more, except for orders that go on. */
  async #removeStaleChallenges(): Promise<void> {
    const { store } = this.#context;
    const present = await store.list('challenges');
    if (present.length === 0) return;
    const needed = new Set<string>();
    for (const name of await store.list('staging')) {
      const order = await undamaged(readOrder(store, 'staging', name));
      for (const label of order?.['challenge-setups'] ?? []) needed.add(label.slice(label.indexOf(':') + 1));
    }
    for (const name of present.filter((name) => !needed.has(name))) await store.purge('challenges', name);
  }

  /** Whether the domain is new, has changed, or waits for what a reload brings. */
  #configure(domain: ManagedDomainSettings): boolean {
    const entry = this.#entries.get(domain.name);
    if (!entry) {
      this.#entries.set(domain.name, newEntry(domain));
      return true;
    }
    const same = isDeepStrictEqual(entry.domain, domain);
    entry.domain = domain;
    if (same) return entry.failures > 0 || entry.job?.finished === true || entry.job?.resume() === true;
    this.#schedule.remove(domain.name);
    this.#budgets.forget(domain.name);
    entry.job = undefined;
    entry.hold = undefined;
    return true;
  }

  /** Nothing of it is done before `from`. */
  async #lookAtAll(names: readonly string[], from = -Infinity): Promise<void> {
    const spread = Math.min(names.length * SPREAD, MAX_SPREAD);
    const queue = new PQueue({ concurrency: LOOKS });
    await queue.addAll(names.map((name) => () => this.#schedulePlanned(name, spread, from)));
  }

  async #schedulePlanned(name: string, spread: number, from = -Infinity): Promise<void> {
    const entry = this.#entries.get(name);
    if (!entry || this.#stop.signal.aborted) return;
    const { clock, random } = this.#context;
    const at = await this.#orLater(name, async () => {
      const next = await this.#look(entry);
      return next.kind !== 'wait' ? clock.now() + spread * random() : this.#waitUntil(entry, next);
    });
    if (this.#entries.get(name) !== entry) return;
    if (at !== undefined) this.#schedule.set(name, Math.max(at, from));
    this.#checks.set(name, Math.max(this.#nextCheck(entry), from));
  }

  /** Looks whether what holds for a domain has changed, and warns of a certificate that expires. */
  async #check(name: string, signal: AbortSignal): Promise<number | undefined> {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    const { clock } = this.#context;
    if (this.#isBusy(name)) return clock.now() + WARNING_DELAY;
    try {
      const next = await this.#look(entry);
      const at = next.kind === 'wait' ? this.#waitUntil(entry, next) : clock.now();
      const floor = Math.min(entry.floor, clock.now() + HOUR);
      if (at !== undefined && !this.#isBusy(name)) this.#schedule.set(name, Math.max(at, floor));
      const { state, job, domain } = entry;
      if (!state || !job || nextWarning(domain, state, job, clock.now()) > clock.now()) {
        return this.#nextCheck(entry);
      }
      // What waits to be activated is no reason to warn.
      if (!job.finished) await warnOfExpiry(this.#context, state, job, { signal });
    } catch (error) {
      if (signal.aborted) return undefined;
      this.#logger.error(`AH10056: processing ${name}: ${explain(error)}`);
    }
    return this.#regularCheck();
  }

  /** Whether a renewal runs, or is about to. */
  #isBusy(name: string): boolean {
    const due = this.#schedule.due(name);
    return (
      this.#schedule.runs(name) || (due !== undefined && due <= this.#context.clock.now() + WARNING_DELAY)
    );
  }

  /** By MDCheckInterval, sooner where a certificate is to be warned of. */
  #nextCheck({ domain, state, job }: Entry): number {
    const regular = this.#regularCheck();
    if (!state || !job) return regular;
    return Math.min(regular, nextWarning(domain, state, job, this.#context.clock.now()));
  }

  #regularCheck(): number {
    const { clock, checkInterval, random } = this.#context;
    return clock.now() + Math.round(checkInterval * (0.5 + random()));
  }

  #lane(name: string): { key: string; priority: number } {
    const entry = this.#entries.get(name);
    if (!entry) return { key: '', priority: 0 };
    const { authority, priority } = this.#request(entry);
    return { key: authority, priority };
  }

  #request({ domain, state, job }: Entry): BudgetRequest {
    const errors = job?.errors ?? 0;
    return {
      name: domain.name,
      names: domain.domains,
      authority: authorityAfter(domain.authorities, errors, this.#context.retryFailover) ?? '',
      account: domain.externalAccount?.kid,
      priority: urgency(state),
      retrying: errors > 0,
    };
  }

  async #work(name: string, signal: AbortSignal): Promise<number | undefined> {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    return this.#orLater(
      name,
      async () => {
        for (;;) {
          const next = await this.#look(entry);
          if (next.kind === 'run') return this.#renewAlone(entry, next.reason, signal);
          if (next.kind === 'tell') {
            if (entry.job) await tellAgain(this.#context, entry.job, { signal });
            continue;
          }
          this.#budgets.forget(name);
          // Asked for between the look and now: once more.
          if (!entry.forced) return this.#waitUntil(entry, next);
        }
      },
      signal,
    );
  }

  #lookSoon(name: string): void {
    if (this.#entries.has(name)) this.#schedule.set(name, this.#context.clock.now());
  }

  /** By one of the servers on the store at a time: who comes next goes on with what is there then. */
  async #renewAlone(entry: Entry, reason: string, signal: AbortSignal): Promise<number | undefined> {
    if (!this.#sharing) return this.#renewUnlessHeld(entry, reason, signal);
    await using lease = await this.#sharing.take(entry.domain.name);
    const { clock, random } = this.#context;
    if (!lease) return clock.now() + LOOK_INTERVAL * (1 + random());
    if (lease.handedOver) entry.job = undefined;
    const next = await this.#look(entry);
    if (next.kind === 'wait') return this.#waitUntil(entry, next);
    if (next.kind === 'tell') return clock.now();
    // Awaited here: the lease ends with this block.
    return await this.#renewUnlessHeld(entry, next.reason, AbortSignal.any([signal, lease.signal]));
  }

  /** A CA that has asked to be left alone is not even asked for its directory. */
  async #renewUnlessHeld(entry: Entry, reason: string, signal: AbortSignal): Promise<number | undefined> {
    // What is only to be activated needs no CA.
    entry.hold = entry.job?.finished ? undefined : await this.#budgets.held(this.#request(entry));
    if (!entry.hold) return this.#renew(entry, reason, signal);
    const { until, reason: why } = entry.hold;
    for (const waiter of entry.waiters) waiter.resolve({ status: 'postponed', until, reason: why });
    return this.#spread(until);
  }

  /** Those who wait for the same moment come one after another. */
  #spread(until: number): number {
    const wait = Math.max(until - this.#context.clock.now(), 0);
    return Math.round(until + Math.min(wait / 10, MAX_SPREAD) * this.#context.random());
  }

  async #renew(entry: Entry, reason: string, signal: AbortSignal): Promise<number | undefined> {
    const { domain } = entry;
    const job = await this.#jobOf(entry);
    const tell = (progress: Progress) => {
      for (const waiter of entry.waiters) waiter.progress(progress);
    };
    const spending = new Spending(this.#budgets, this.#request(entry));
    const { beforeOrder } = spending;
    const outcome = await renew(this.#context, { domain, job, reason, tell, beforeOrder, signal });
    if (outcome.status === 'failed') await spending.failed(outcome.problem, this.#context.store);
    // What was put off is still wanted.
    if (outcome.status !== 'postponed') entry.forced = false;
    for (const waiter of entry.waiters) waiter.resolve(outcome);
    if (outcome.status === 'failed') return outcome.nextRun;
    if (outcome.status === 'postponed') {
      entry.hold = outcome;
      return outcome.until;
    }
    if (outcome.status === 'installed') this.#sharing?.serves(domain.name, outcome.serials);
    const next = await this.#look(entry);
    this.#sayProgress();
    if (next.kind === 'wait') return this.#waitUntil(entry, next);
    // Renewed, and due again: a CA or an activation that does not do what it says must not be asked in a loop.
    return (entry.floor = this.#context.clock.now() + this.#leastPause(entry.state));
  }

  #sayProgress(): void {
    if (!this.#meter.note()) return;
    const obtaining = this.obtaining();
    if (isWorthSaying(obtaining)) this.#logger.log('notice', describeObtaining(obtaining));
  }

  /** A failure that isn't a renewal's: of the store, mostly. What is tried again, is so ever more rarely. */
  async #orLater(
    name: string,
    task: () => Promise<number | undefined>,
    signal?: AbortSignal,
  ): Promise<number | undefined> {
    const entry = this.#entries.get(name);
    try {
      const next = await task();
      if (entry) entry.failures = 0;
      return next;
    } catch (error) {
      if (signal?.aborted || this.#stop.signal.aborted) return undefined;
      this.#logger.error(`AH10056: processing ${name}: ${explain(error)}`);
      const { clock, retryDelay } = this.#context;
      if (!entry) return clock.now() + retryDelay;
      // Who asked for a renewal now would otherwise wait for as long as the store is broken.
      entry.forced = false;
      reject(entry, error);
      entry.failures += 1;
      const pause = Math.max(retryDelay, Math.min(retryDelay * 2 ** (entry.failures - 1), HOUR));
      return (entry.floor = clock.now() + pause);
    }
  }

  /** Reads what the store has for a domain, and decides. */
  async #look(entry: Entry): Promise<Plan> {
    const { domain } = entry;
    const { store, clock, activateOn } = this.#context;
    const job = await this.#jobOf(entry);
    const held = await readHeld(store, 'domains', domain.name, domain.keys);
    const staging = stagedFiles(await store.aspects('staging', domain.name), domain.keys);
    // Activated by a restart, or deleted: nothing waits to be put to use any more.
    if (!staging.staged) job.finished = false;
    const now = clock.now();
    const inUse = [...held.values()].flatMap((pair) => ('damage' in pair ? [] : [pair]));
    const serials = inUse.map(({ info }) => info.serial);
    await this.#sharing?.found(domain.name, serials);
    const replaceable = isAutomatic(domain) ? inUse : [];
    this.#advisor.watch(
      domain.name,
      replaceable.map(({ info }) => info),
    );
    this.#onLook(
      domain.name,
      replaceable.map(({ chain }) => chain),
    );
    const adviceOn: AdviceOn = (info) => this.#advisor.adviceOn(domain.name, info);
    const state = (entry.state = await judge(domain, held, { now, adviceOn, read: this.#readPem }));
    return plan({ domain, state, job, ...staging, forced: entry.forced, activateOn, now });
  }

  /** One for each domain, whoever asks first. */
  async #jobOf(entry: Entry): Promise<Job> {
    if (entry.job) return entry.job;
    const loaded = await this.#loadJob(entry.domain);
    return (entry.job ??= loaded);
  }

  /** The job of an earlier start. Errors count no more when the configuration isn't the one they came from. */
  async #loadJob(domain: ManagedDomainSettings): Promise<Job> {
    const { store } = this.#context;
    try {
      const job = await Job.load(store, domain.name);
      const staged = await readMd(store, 'staging', domain.name);
      const wanted = mdDocument(domain, { state: 'incomplete', description: '' }, staged);
      if (staged && !isDeepStrictEqual(relevant(wanted), relevant(staged))) job.reset();
      return job;
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#logger.warn(`md(${domain.name}): the staging area is damaged and is purged: ${explain(error)}`);
      await store.purge('staging', domain.name);
      return new Job(domain.name);
    }
  }

  /** Renewals that fall due together are spread over a twentieth of the time there is for them. */
  #waitUntil({ state }: Entry, { at }: Extract<Plan, { kind: 'wait' }>): number | undefined {
    if (at === undefined || !state || state.advised || at !== state.renewAt) return at;
    const end = Math.min(...state.certificates.map(({ info }) => info.notAfter));
    return Math.round(at + (Math.max(end - at, 0) / 20) * this.#context.random());
  }

  #leastPause(state: DomainState | undefined): number {
    const lives = state?.certificates.map(({ info }) => info.notAfter - info.notBefore) ?? [];
    return Math.max(this.#context.retryDelay, Math.min(HOUR, ...lives.map((life) => life / 4)));
  }
}

function newEntry(domain: ManagedDomainSettings): Entry {
  return {
    domain,
    state: undefined,
    job: undefined,
    forced: false,
    failures: 0,
    hold: undefined,
    floor: -Infinity,
    waiters: new Set(),
  };
}

function reject(entry: Entry, error: unknown): void {
  for (const waiter of entry.waiters) waiter.reject(error);
}

function closed(): EngineError {
  return new EngineError('engine-closed', 'The renewal engine is closed');
}

/** Expired before expiring before new before what needs no renewal yet. */
function urgency(state: DomainState | undefined): number {
  if (!state || state.reasons.length === 0) return 0;
  if (state.expired) return 3;
  return state.certificates.length > 0 ? 2 : 1;
}

/** What of md.json has a say in whether an order succeeds. */
function relevant(document: ReturnType<typeof mdDocument>): unknown {
  const { domains, contacts, ca, privkey, eab, 'cmd-dns-01': dns01 } = document;
  const { urls, agreement, challenges } = ca;
  const { profile, 'profile-mandatory': mandatory, 'must-staple': staple, 'proxy-url': proxy } = document;
  const what = { domains, contacts, urls, agreement, challenges, privkey, eab, dns01 };
  return JSON.parse(JSON.stringify({ ...what, profile, mandatory, staple, proxy }));
}
