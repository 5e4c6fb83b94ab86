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
import { systemClock } from '../base/clock.ts';
import { explain } from '../base/errors.ts';
import { type Logger, silent } from '../base/log.ts';
import { Schedule } from '../base/schedule.ts';
import { Advisor } from './advice/advisor.ts';
import { askForRenewalTime } from './advice/questions.ts';
import { Budgets } from './budgets/budgets.ts';
import { Spending } from './budgets/spending.ts';
import { Checks } from './checks.ts';
import {
  engineClosed,
  EngineError,
  type EngineOptions,
  type Pace,
  type RenewNowOptions,
} from './engine-options.ts';
import { Entry } from './entry.ts';
import { Hooks, noHooks } from './hooks/hooks.ts';
import { tellOfStaples } from './hooks/staple-news.ts';
import { Looks } from './looks.ts';
import { DEFAULT_CHECK_INTERVAL, DEFAULT_RETRY_DELAY, DEFAULT_RETRY_FAILOVER } from './renewal/job.ts';
import { describeObtaining, isWorthSaying, type Obtaining, ObtainingMeter } from './renewal/obtaining.ts';
import { isAutomatic, type Plan } from './renewal/plan.ts';
import { type Outcome, renew, type RenewalContext, tellAgain } from './renewal/renewal.ts';
import { LOOK_INTERVAL, Sharing } from './renewal/sharing.ts';
import type { ManagedDomainSettings } from './settings.ts';
import type { DomainState } from './state.ts';
import { type DomainStatus, statusOf } from './status.ts';
import { removeStaleChallenges } from './stored/stale-challenges.ts';
import { readPemFile } from './stored/static-files.ts';

/** What is looked at at once in the store, where no CA is concerned. */
const LOOKS = 32;

/** Renewals at once with one CA: enough that those which wait, for its validation or for the disk, leave no processor idle. */
const PARALLEL_PER_CA = 32;

/** First runs are spread over this time for each domain, ms, but over no more than MAX_SPREAD. */
const SPREAD = 5;
const MAX_SPREAD = 60_000;

const HOUR = 60 * 60 * 1000;

export class RenewalEngine implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  #context: RenewalContext;
  readonly #schedule: Schedule;
  readonly #advisor: Advisor;
  readonly #looks: Looks;
  readonly #checks: Checks;
  readonly #initialDelay: number;
  readonly #stop = new AbortController();
  readonly #budgets: Budgets;
  readonly #meter: ObtainingMeter;
  readonly #sharing: Sharing | undefined;
  readonly #onFailure: (error: unknown) => void;
  /** See EngineOptions.onLook. */
  readonly #forgotten: (name: string) => void;
  #main: Promise<void> | undefined;

  constructor(options: EngineOptions) {
    const { clock = systemClock, loggers = silent, random = Math.random } = options;
    this.#onFailure = options.onFailure ?? (() => {});
    const onLook = options.onLook ?? (() => {});
    this.#forgotten = (name) => onLook(name, []);
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
    const { leases } = options.shared ?? {};
    this.#budgets = new Budgets({ store: options.store, clock, logger: this.#logger, leases });
    this.#budgets.configure(options.rateLimits ?? {});
    this.#schedule = new Schedule({
      clock,
      parallel: options.maxParallelPerCa ?? PARALLEL_PER_CA,
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
    const context = () => this.#context;
    this.#looks = new Looks({
      context,
      isThere: (entry) => this.#entries.get(entry.domain.name) === entry,
      advisor: this.#advisor,
      sharing: this.#sharing,
      readPem: options.readPem ?? readPemFile,
      onLook,
    });
    this.#checks = new Checks({
      context,
      entry: (name) => this.#entries.get(name),
      renewals: this.#schedule,
      look: (entry) => this.#looks.look(entry),
      waitUntil: (entry, plan) => this.#waitUntil(entry, plan),
    });
    this.#initialDelay = options.initialDelay ?? 0;
    for (const domain of options.domains) this.#entries.set(domain.name, new Entry(domain));
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
    this.#forgotten(name);
    this.#checks.remove(name);
    this.#entries.delete(name);
    entry.fail(new EngineError('domain-unknown', `${name} is no managed domain any more`));
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
    return entry.outcome(options);
  }

  /**
   * What comes of the run that is under way, or of the next one, whenever that is. An abort ends the waiting only.
   * @throws EngineError, or what keeps the store from being read
   */
  async outcome(name: string, options: RenewNowOptions = {}): Promise<Outcome> {
    options.signal?.throwIfAborted();
    return this.#entryOf(name).outcome(options);
  }

  #entryOf(name: string): Entry {
    if (this.#stop.signal.aborted) throw engineClosed();
    const entry = this.#entries.get(name);
    if (!entry) throw new EngineError('domain-unknown', `There is no managed domain called ${name}`);
    return entry;
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
      const { domain, state, job, hold } = entry;
      const problems = issuer.check(domain);
      const notes = this.#notes(entry);
      return [
        statusOf({
          domain,
          state,
          job,
          hold,
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
      return issuer.notes?.(entry.domain, directoryUrl(this.#requestOf(entry).authority)) ?? [];
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
    this.#stop.abort(engineClosed());
    for (const entry of this.#entries.values()) entry.fail(engineClosed());
    await this.#main;
  }

  get #logger(): Logger {
    return this.#context.logger;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    using _staples = tellOfStaples({
      context: () => this.#context,
      job: (name) => {
        const entry = this.#entries.get(name);
        return entry && this.#looks.jobOf(entry);
      },
      signal,
    });
    // Together: a fault of one ends all, at whatever moment it comes.
    await Promise.all([
      this.#schedule.run(signal),
      this.#checks.run(signal),
      this.#advisor.run(signal),
      this.#sharing?.watch((name) => this.#lookSoon(name), signal),
      this.#begin(),
    ]);
  }

  async #begin(): Promise<void> {
    try {
      await removeStaleChallenges(this.#context.store);
    } catch (error) {
      this.#logger.warn(`old challenges could not be removed: ${explain(error)}`);
    }
    const from = this.#context.clock.now() + this.#initialDelay;
    await this.#lookAtAll([...this.#entries.keys()], from);
  }

  /** Whether the domain is new, has changed, or waits for what a reload brings. */
  #configure(domain: ManagedDomainSettings): boolean {
    const entry = this.#entries.get(domain.name);
    if (!entry) {
      this.#entries.set(domain.name, new Entry(domain));
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
      const next = await this.#looks.look(entry);
      return next.kind !== 'wait' ? clock.now() + spread * random() : this.#waitUntil(entry, next);
    });
    if (this.#entries.get(name) !== entry) return;
    if (at !== undefined) this.#schedule.set(name, Math.max(at, from));
    this.#checks.set(name, Math.max(this.#checks.next(entry), from));
  }

  #lane(name: string): { key: string; priority: number } {
    const entry = this.#entries.get(name);
    if (!entry) return { key: '', priority: 0 };
    const { authority, priority } = this.#requestOf(entry);
    return { key: authority, priority };
  }

  #requestOf(entry: Entry): ReturnType<Entry['request']> {
    return entry.request(this.#context.retryFailover);
  }

  async #work(name: string, signal: AbortSignal): Promise<number | undefined> {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    return this.#orLater(
      name,
      async () => {
        for (;;) {
          const next = await this.#looks.look(entry);
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

  /** Looks at a domain before it is due, if its certificates were in order when it was looked at last. */
  lookAgain(name: string): void {
    if (this.#entries.get(name)?.state?.state === 'complete') this.#lookSoon(name);
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
    const next = await this.#looks.look(entry);
    if (next.kind === 'wait') return this.#waitUntil(entry, next);
    if (next.kind === 'tell') return clock.now();
    // Awaited here: the lease ends with this block.
    return await this.#renewUnlessHeld(entry, next.reason, AbortSignal.any([signal, lease.signal]));
  }

  /** A CA that has asked to be left alone is not even asked for its directory. */
  async #renewUnlessHeld(entry: Entry, reason: string, signal: AbortSignal): Promise<number | undefined> {
    // What is only to be activated needs no CA.
    entry.hold = entry.job?.finished ? undefined : await this.#budgets.held(this.#requestOf(entry));
    if (!entry.hold) return this.#renew(entry, reason, signal);
    const { until, reason: why } = entry.hold;
    entry.settle({ status: 'postponed', until, reason: why });
    return this.#spread(until);
  }

  /** Those who wait for the same moment come one after another. */
  #spread(until: number): number {
    const wait = Math.max(until - this.#context.clock.now(), 0);
    return Math.round(until + Math.min(wait / 10, MAX_SPREAD) * this.#context.random());
  }

  async #renew(entry: Entry, reason: string, signal: AbortSignal): Promise<number | undefined> {
    const { domain } = entry;
    const job = await this.#looks.jobOf(entry);
    const tell: Entry['tell'] = (progress) => entry.tell(progress);
    const spending = new Spending(this.#budgets, this.#requestOf(entry));
    const { beforeOrder } = spending;
    const outcome = await renew(this.#context, { domain, job, reason, tell, beforeOrder, signal });
    if (outcome.status === 'failed') await spending.failed(outcome.problem, this.#context.store);
    if (outcome.status === 'postponed') {
      entry.hold = outcome;
      entry.settle(outcome);
      return outcome.until;
    }
    entry.forced = false;
    if (outcome.status === 'failed') {
      entry.settle(outcome);
      return outcome.nextRun;
    }
    if (outcome.status === 'installed') this.#sharing?.serves(domain.name, outcome.serials);
    // Who waits, and who has joined them meanwhile, finds it in the status.
    const next = await this.#looks.look(entry).finally(() => {
      entry.forced = false;
      entry.settle(outcome);
    });
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
      entry.fail(error);
      entry.failures += 1;
      const pause = Math.max(retryDelay, Math.min(retryDelay * 2 ** (entry.failures - 1), HOUR));
      return (entry.floor = clock.now() + pause);
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
