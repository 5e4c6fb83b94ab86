/**
 * The supervisor's life: start, reload, stop. Everything it does is driven by its own signals and its
 * children's calls; it opens no socket (node:cluster binds the workers' listeners through it).
 */
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { explain, LatchkeyError } from '../../base/errors.ts';
import { createLoggers, type Loggers } from '../../base/log.ts';
import { version } from '../../base/version.ts';
import type { ConfigurationSource } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import type { Birth, EngineCalls, Identity, Plan, Wanted } from '../calls.ts';
import { controlFile } from '../control.ts';
import { makeFolder } from '../folders.ts';
import { claim } from '../launch.ts';
import { LogFiles } from '../logpipe.ts';
import { isGone, type Peer } from '../peer.ts';
import { markRunning, markStopping, ownsPidFile, removePidFile } from '../pidfile.ts';
import { resolveIdentity } from '../privileges.ts';
import { removeReloadState, writeReloadState, type ReloadState } from '../reload-state.ts';
import { prepareRuntimeDir, removeRuntimeDir } from '../runtime-dir.ts';
import { Children } from './children.ts';
import { Credentials } from './credentials.ts';
import { InstalledHook } from './installed-hook.ts';
import { Passphrases } from './passphrases.ts';
import { forWorkers, inOneLine, loadServable, planOf, whatCannotChange } from './plan.ts';
import { supervisorCalls } from './rights.ts';
import { StoreKeeper } from './store-keeper.ts';
import { TicketKeys } from './ticket-keys.ts';

/** Another server has this PidFile. */
export class AlreadyRunning extends LatchkeyError<'already-running'> {
  constructor(pid: number) {
    super('already-running', `httpd (pid ${pid}) already running`);
  }
}

export class Supervisor implements AsyncDisposable {
  readonly #input: ConfigurationSource;
  readonly #keeper: StoreKeeper;
  readonly #passphrases: Passphrases;
  readonly #installed: InstalledHook;
  readonly #logs: LogFiles;
  readonly #loggers: Loggers;
  readonly #identity: Identity | undefined;
  readonly #runtimeDir: string;
  readonly #ticketKeys = new TicketKeys();
  readonly #ended = new AbortController();
  readonly #children: Children;
  /** What is in force; replaced as a whole when a reload is committed. */
  #plan: Plan;
  #credentials: Credentials;
  /** Of a reload under way: new files are read and new ports bound before it is committed. */
  #coming: { readonly settings: Settings; readonly credentials: Credentials } | undefined;
  #reloading: Promise<void> = Promise.resolve();
  #reloads: ReloadState = { asked: 0, done: 0 };

  /**
   * Reads the configuration, brings the store in line, and starts all processes. Fulfilled when every worker
   * listens. Rejects with ConfigError, StoreError, PrivilegeError or what kept a process from starting; then
   * nothing is left running.
   */
  static async start(input: ConfigurationSource): Promise<Supervisor> {
    const settings = loadServable(input);
    const identity = resolveIdentity(settings.user, settings.group);
    makeFolder('PidFile', dirname(settings.pidFile));
    const running = await claim(settings.pidFile);
    if (running !== undefined) throw new AlreadyRunning(running);
    try {
      return await Supervisor.#startClaimed(input, settings, identity);
    } catch (error) {
      removePidFile(settings.pidFile);
      throw error;
    }
  }

  static async #startClaimed(
    input: ConfigurationSource,
    settings: Settings,
    identity: Identity | undefined,
  ): Promise<Supervisor> {
    const logs = new LogFiles(settings);
    const loggers = createLoggers(
      (line) => logs.append(logs.main, line),
      () => settings.base.logLevels,
    );
    const keeper = await StoreKeeper.open(settings, identity, loggers('md'));
    const passphrases = new Passphrases();
    await passphrases.learn(settings);
    const supervisor = new Supervisor({ input, settings, identity, logs, keeper, passphrases });
    try {
      await supervisor.#begin();
    } catch (error) {
      await supervisor.#children.stop();
      await keeper[Symbol.asyncDispose]();
      supervisor.#forget();
      throw error;
    }
    return supervisor;
  }

  private constructor(from: {
    input: ConfigurationSource;
    settings: Settings;
    identity: Identity | undefined;
    logs: LogFiles;
    keeper: StoreKeeper;
    passphrases: Passphrases;
  }) {
    this.#input = from.input;
    this.#identity = from.identity;
    this.#logs = from.logs;
    this.#keeper = from.keeper;
    this.#passphrases = from.passphrases;
    this.#loggers = createLoggers(
      (line) => this.#logs.append(this.#logs.main, line),
      () => this.settings.base.logLevels,
    );
    this.#installed = new InstalledHook(this.#loggers('md'));
    this.#runtimeDir = prepareRuntimeDir(from.settings, from.identity, this.#loggers('core'));
    this.#credentials = new Credentials(from.settings, from.keeper.store, from.passphrases);
    this.#plan = planOf(1, from.settings, this.#credentials);
    this.#children = new Children({
      logs: from.logs,
      logger: this.#loggers('core'),
      clock: systemClock,
      birth: (kind) => this.#birth(kind),
      forEngine: supervisorCalls({
        keeper: from.keeper,
        credentials: (id) => this.#credentialsFor(id),
        children: () => this.#children,
        installed: this.#installed,
        settings: () => this.settings,
      }),
      forWorkers: {
        want: (setId) => this.#want(setId),
        status: (query) => this.#engine().call('status', query),
        metrics: () => this.#engine().call('metrics', undefined),
        seek: (wanted) => this.#patiently((engine) => engine.call('seek', wanted)),
        used: (ids) => this.#engine().call('used', ids),
        flushNames: (name) => this.#patiently((engine) => engine.call('flushNames', name)),
        dynamicStatus: () => this.#engine().call('dynamicStatus', undefined),
        findPair: (name) => this.#patiently((engine) => engine.call('findPair', name)),
      },
      ports: () => this.#ports(),
      onWorkerDeath: () => void this.#children.engine?.call('workerDied', undefined).catch(() => {}),
    });
  }

  /** For `latchkey status` and the terminal. */
  get settings(): Settings {
    return this.#plan.settings;
  }

  /**
   * Reads the configuration again and brings every process to it, or leaves everything as it is and says why
   * in the log. Reloads asked for meanwhile follow one after the other.
   */
  reload(): Promise<void> {
    const { pidFile } = this.settings;
    this.#reloads = { ...this.#reloads, asked: this.#reloads.asked + 1 };
    writeReloadState(pidFile, this.#reloads);
    this.#reloading = this.#reloading.then(async () => {
      const problem = await this.#tryReload();
      this.#reloads = { asked: this.#reloads.asked, done: this.#reloads.done + 1, problem };
      if (ownsPidFile(pidFile)) writeReloadState(pidFile, this.#reloads);
    });
    return this.#reloading;
  }

  /** Ends everything now: connections are cut, a renewal under way goes on at the next start. */
  async stop(): Promise<void> {
    this.#ended.abort();
    markStopping(this.settings.pidFile);
    await this.#children.stop();
    this.#loggers('mpm_latchkey').notice('AH00491: caught SIGTERM, shutting down');
    await this.#keeper[Symbol.asyncDispose]();
    this.#forget();
  }

  /** Stops listening, so that another server may start, lets every connection finish, then ends. */
  async drain(): Promise<void> {
    this.#ended.abort();
    markStopping(this.settings.pidFile);
    this.#loggers('mpm_latchkey').notice('AH00492: caught SIGWINCH, shutting down gracefully');
    const drained = await this.#children.drain();
    await this.#keeper[Symbol.asyncDispose]();
    this.#forget();
    await drained();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** From here on another server may start, if this one has not ended yet. */
  #forget(): void {
    const { pidFile } = this.settings;
    if (!ownsPidFile(pidFile)) return;
    removeRuntimeDir(this.#runtimeDir);
    rmSync(controlFile(pidFile), { force: true });
    removeReloadState(pidFile);
    removePidFile(pidFile);
  }

  async #begin(): Promise<void> {
    const { settings } = this;
    this.#announce(settings);
    removeReloadState(settings.pidFile);
    const stored = this.#bringStoreInLine(settings);
    await this.#children.start(settings.workers ?? availableParallelism(), stored);
    markRunning(settings.pidFile);
    void this.#ticketKeys.rotate({
      clock: systemClock,
      signal: this.#ended.signal,
      settings: () => this.settings,
      tell: (keys) => this.#changeTicketKeys(keys),
    });
    this.#warnOfRoot();
    const name = `Latchkey/${version} (Node.js ${process.version}, OpenSSL ${process.versions.openssl})`;
    this.#loggers('mpm_latchkey').notice(`AH00489: ${name} configured -- resuming normal operations`);
  }

  /** Before anything is served of what was activated: the command may trim it (as mod_md does it). */
  async #bringStoreInLine(settings: Settings): Promise<void> {
    const activated = await this.#keeper.bringInLine(settings);
    for (const [name, serials] of activated) this.#installed.note(name, serials, settings.md.hooks);
    await this.#installed.tellAll(settings.md.hooks);
  }

  /** A worker that is not told has them from the next change on, and opens until then what others encrypt. */
  #changeTicketKeys(keys: readonly Uint8Array[]): void {
    for (const { peer } of this.#children.workers) void peer.call('changeTicketKeys', keys).catch(() => {});
  }

  #warnOfRoot(): void {
    if (process.getuid?.() !== 0 || (this.#identity && this.#identity.uid !== 0)) return;
    this.#loggers('core').warn(
      'everything runs as root, also what talks to the network: add a User that it drops root for (User www-data)',
    );
  }

  #announce(settings: Settings): void {
    this.#loggers('md').info(`mod_md (v${version}), initializing...`);
    this.#loggers('tls').info(`mod_tls/${version} (OpenSSL ${process.versions.openssl}), initializing...`);
    for (const warning of [...settings.warnings, ...this.#credentials.tlsFiles.warnings]) {
      this.#loggers(warning.module).warn(`${warning.message} (${warning.file}:${warning.line})`);
    }
  }

  /** Why it failed, undefined when it has not. */
  async #tryReload(): Promise<string | undefined> {
    try {
      await this.#reload();
      return undefined;
    } catch (error) {
      const problem = `reload failed, the running configuration stays: ${inOneLine(error)}`;
      this.#loggers('core').error(problem);
      return problem;
    }
  }

  async #reload(): Promise<void> {
    const settings = loadServable(this.#input);
    await this.#children.settled();
    const fixed = whatCannotChange(this.settings, settings);
    if (fixed) throw new Error(`${fixed} has changed, which needs a stop and a start`);
    if (await this.#keeper.reopenIfGone(settings)) this.#beginRenewalsAnew(settings);
    await this.#bringStoreInLine(settings);
    await this.#passphrases.learn(settings);
    const credentials = new Credentials(settings, this.#keeper.store, this.#passphrases);
    this.#coming = { settings, credentials };
    const plan = planOf(this.#plan.generation + 1, settings, credentials);
    try {
      const bare = forWorkers(plan);
      const engine = this.#children.engine;
      await this.#everywhere((peer) => peer.call('prepare', peer === engine ? plan : bare));
      this.#logs.reopen(settings);
      this.#plan = plan;
      this.#credentials = credentials;
    } catch (error) {
      await this.#everywhere((peer) => peer.call('rollback', plan.generation)).catch(() => {});
      throw error;
    } finally {
      this.#coming = undefined;
    }
    await this.#children.commit(plan.generation);
    this.#announce(settings);
    this.#loggers('mpm_latchkey').notice(
      `AH00493: reloaded, generation ${plan.generation} -- no connection was dropped`,
    );
  }

  /** The engine has the key of the store that was, and knows of certificates that are gone. */
  #beginRenewalsAnew({ md }: Settings): void {
    this.#loggers('md').warn(`there was no store in ${md.storeDir} any more: a new one has been made`);
    this.#children.restartEngine();
  }

  /** A child that ends meanwhile keeps nothing from happening: its successor begins with what holds by then. */
  async #everywhere(act: (peer: ReloadPeer) => Promise<void>): Promise<void> {
    const engine = this.#children.engine;
    const peers: ReloadPeer[] = this.#children.workers.map((worker) => worker.peer);
    const outcomes = await Promise.allSettled([...peers, ...(engine ? [engine] : [])].map(act));
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected' && !isGone(outcome.reason)) throw outcome.reason;
    }
  }

  /** A worker found nothing in the table. */
  async #want(setId: string): Promise<Wanted> {
    try {
      return await this.#patiently((engine) => engine.call('want', setId));
    } catch (error) {
      return { problem: explain(error) };
    }
  }

  /** While the engine is away, its next life is waited for a little. */
  async #patiently<Answer>(ask: (engine: Peer<EngineCalls>) => Promise<Answer>): Promise<Answer> {
    for (let tries = 0; tries < 20; tries++) {
      try {
        if (this.#children.engine) return await ask(this.#children.engine);
      } catch (error) {
        if (this.#children.engine) throw error;
      }
      await systemClock.sleep(100);
    }
    return ask(this.#engine());
  }

  #engine(): Peer<EngineCalls> {
    const { engine } = this.#children;
    if (!engine) throw new Error('the engine is not running');
    return engine;
  }

  #credentialsFor(setId: string): Credentials {
    const coming = this.#coming?.credentials;
    return coming?.knows(setId) ? coming : this.#credentials;
  }

  #ports(): ReadonlySet<number> {
    const listens = [...this.settings.listens, ...(this.#coming?.settings.listens ?? [])];
    return new Set(listens.map(({ port }) => port));
  }

  async #birth(kind: 'engine' | 'worker'): Promise<Birth> {
    if (kind === 'engine') await this.#keeper.settled();
    return {
      identity: this.#identity,
      runtimeDir: this.#runtimeDir,
      plan: kind === 'worker' ? forWorkers(this.#plan) : this.#plan,
      ticketKeys: kind === 'worker' ? this.#ticketKeys.all : [],
      storeKey: kind === 'engine' ? this.#keeper.store.key.passphrase() : undefined,
      freshTable: kind === 'engine' && !this.#children.hadEngine,
    };
  }
}

interface ReloadPeer {
  call(name: 'prepare', plan: Plan): Promise<void>;
  call(name: 'rollback', generation: number): Promise<void>;
}
