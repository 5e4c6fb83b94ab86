/**
 * The engine and the workers as the supervisor sees them: forked, told to begin, begun again when they die.
 * A child that dies over and over is begun again ever more slowly (up to every 10 s), never given up.
 */
import { fork, type ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Birth, EngineCalls, RelayCalls, SupervisorCalls, WorkerCalls } from '../calls.ts';
import { LOG_FD, type LogFiles } from '../logpipe.ts';
import { Peer, isGone, type Calls, type Handlers } from '../peer.ts';
import { forked, startAgain } from './again.ts';
import { guardBinding } from './binding.ts';

const EXEC_ARGUMENTS = ['--disable-sigusr1'];
/** Connections are young garbage: with room for it (MB), little of it is carried over into the old generation. */
const WORKER_ARGUMENTS = [...EXEC_ARGUMENTS, '--max-semi-space-size=64'];
/** A life shorter than this (ms) counts as a failed start. */
const SHORT_LIFE = 2000;
/** How long (ms) an engine may take to end: it may have a hundred thousand certificates to write (DynSSLSnapshot). */
const ENGINE_PATIENCE = 20_000;
/** stdin and stdout nowhere, stderr for Node's last words, LOG_FD for log records, IPC for calls. */
const STDIO: ('ignore' | 'pipe' | 'ipc')[] = ['ignore', 'ignore', 'pipe', 'pipe', 'ipc'];

/** The engine binds its own. */
const NO_PORTS: ReadonlySet<number> = new Set();

type ChildKind = 'engine' | 'worker';

export interface ChildrenOptions {
  readonly logs: LogFiles;
  readonly logger: Logger;
  readonly clock: Clock;
  /** What every child is born with, once it may begin. */
  readonly birth: (kind: ChildKind) => Promise<Birth>;
  readonly forEngine: Handlers<SupervisorCalls>;
  readonly forWorkers: Handlers<RelayCalls>;
  /** Which workers may listen on. */
  readonly ports: () => ReadonlySet<number>;
  /** After the death of a worker: the table has a reader less. */
  readonly onWorkerDeath: () => void;
}

interface Child<C extends Calls> {
  readonly process: ChildProcess;
  readonly peer: Peer<C>;
  readonly exited: Promise<void>;
  /** Has been told to begin and has done so: only then other calls make sense. */
  begun: boolean;
}

export class Children {
  readonly #options: ChildrenOptions;
  readonly #workers = new Map<number, Child<WorkerCalls>>();
  readonly #stop = new AbortController();
  readonly #failures: Record<ChildKind, number> = { engine: 0, worker: 0 };
  readonly #beginning = new Set<Promise<void>>();
  #engine: Child<EngineCalls> | undefined;
  #tableGeneration: string | undefined;
  /** Workers listen. */
  #serving = false;

  constructor(options: ChildrenOptions) {
    this.#options = options;
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: entry('worker'),
      args: [],
      execArgv: WORKER_ARGUMENTS,
      serialization: 'advanced',
      stdio: STDIO,
    });
  }

  /**
   * Forks all; fulfilled when every worker listens and the engine has begun, rejected if one cannot. Their programs
   * load while `stored` is waited for, before which nobody listens; none replaces another where that is rejected.
   */
  async start(workers: number, stored: Promise<void>): Promise<void> {
    const engine = this.#startEngine();
    const ready = Promise.all([engine, stored]).then(() => {});
    stored.catch(() => this.#stop.abort());
    await Promise.all([ready, ...Array.from({ length: workers }, () => this.#startWorker(ready))]);
    this.#serving = true;
    await this.engine?.call('serve', undefined);
  }

  /** Whether there has been an engine that made the certificate table. */
  get hadEngine(): boolean {
    return this.#tableGeneration !== undefined;
  }

  /** Fulfilled when every child that there is now has begun, or has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#beginning);
  }

  /** Once it has begun. */
  get engine(): Peer<EngineCalls> | undefined {
    return this.#engine?.begun ? this.#engine.peer : undefined;
  }

  /** Those that have begun. */
  get workers(): readonly { readonly id: number; readonly pid: number; readonly peer: Peer<WorkerCalls> }[] {
    return [...this.#workers]
      .filter(([, { begun }]) => begun)
      .map(([id, { process: child, peer }]) => ({ id, pid: child.pid ?? 0, peer }));
  }

  /**
   * Commits what was prepared. A child that can't (born in the middle of a reload, say) is replaced by one that
   * begins with the new plan.
   */
  async commit(generation: number): Promise<void> {
    const commitAll = (children: readonly (Child<WorkerCalls> | Child<EngineCalls>)[]) =>
      Promise.all(
        children.map(async ({ peer, process: child }) => {
          await commitTo(peer, generation).catch(() => child.kill('SIGKILL'));
        }),
      );
    await commitAll([...this.#workers.values()]);
    // Last: it forgets certificates that the old plan names, which a worker before its commit would miss.
    await commitAll(this.#engine ? [this.#engine] : []);
  }

  /** Ends all children: at once (workers, with their scripts) or as soon as what they do can be left (the engine). */
  async stop(): Promise<void> {
    this.#stop.abort();
    const workers = Promise.all([...this.#workers.values()].map((worker) => this.#end(worker, 1000)));
    await this.#stopEngine();
    await workers;
  }

  /**
   * Closes all listeners and ends the engine. Fulfilled, with a function that waits for the workers' last
   * connections to end, when another server could take over.
   */
  async drain(): Promise<() => Promise<void>> {
    this.#stop.abort();
    const workers = [...this.#workers.values()];
    await Promise.all(workers.map(({ peer }) => peer.call('stopListening', undefined).catch(() => {})));
    await this.#stopEngine();
    return async () => {
      await Promise.all(workers.map(({ peer }) => peer.call('drain', undefined).catch(() => {})));
      await Promise.all(workers.map((worker) => this.#end(worker, 1000)));
    };
  }

  /** Another one takes its place. */
  restartEngine(): void {
    this.#engine?.process.kill('SIGKILL');
  }

  async #stopEngine(): Promise<void> {
    if (this.#engine) await this.#end(this.#engine, ENGINE_PATIENCE);
  }

  /** Asks a child to end, and after `ms` ends it. */
  async #end({ process: child, exited }: Child<WorkerCalls> | Child<EngineCalls>, ms: number): Promise<void> {
    child.kill('SIGTERM');
    const patience = new AbortController();
    const killer = this.#options.clock
      .sleep(ms, { signal: patience.signal })
      .then(() => child.kill('SIGKILL'))
      .catch(() => {});
    await exited;
    patience.abort();
    await killer;
  }

  async #startEngine(): Promise<void> {
    const engine = forked(() => this.#forkEngine());
    this.#engine = engine;
    void engine.exited.then(() => {
      if (this.#engine === engine) this.#engine = undefined;
    });
    const generation = await this.#begin(engine, async () =>
      engine.peer.call('begin', await this.#options.birth('engine')),
    );
    const remade = this.#tableGeneration !== undefined && this.#tableGeneration !== generation;
    this.#tableGeneration = generation;
    if (this.#serving) await engine.peer.call('serve', undefined);
    if (!remade) return;
    for (const { peer } of this.workers) void peer.call('reopenTable', undefined).catch(() => {});
  }

  /** `ready`: fulfilled when there is a certificate table to read. The program loads meanwhile. */
  async #startWorker(ready: Promise<void> = Promise.resolve()): Promise<void> {
    const { id, worker } = forked(() => this.#forkWorker());
    this.#workers.set(id, worker);
    void worker.exited.then(() => {
      this.#workers.delete(id);
      this.#options.onWorkerDeath();
    });
    await this.#begin(worker, async () => {
      await ready;
      await worker.peer.call('begin', await this.#options.birth('worker'));
    });
  }

  #forkEngine(): Child<EngineCalls> {
    const options = { execArgv: EXEC_ARGUMENTS, serialization: 'advanced', stdio: STDIO } as const;
    const child = fork(entry('engine'), [], options);
    guardBinding(child, () => NO_PORTS);
    return this.#adopt<EngineCalls>(child, 'engine', this.#options.forEngine, () => this.#startEngine());
  }

  #forkWorker(): { id: number; worker: Child<WorkerCalls> } {
    const { id, process: child } = cluster.fork();
    guardBinding(child, this.#options.ports);
    const again = () => this.#startWorker();
    return { id, worker: this.#adopt<WorkerCalls>(child, 'worker', this.#options.forWorkers, again) };
  }

  /** A child that can't begin is of no use: it ends, and the reason is the caller's. */
  async #begin<Answer, C extends Calls>(child: Child<C>, task: () => Promise<Answer>): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#beginning.add(promise);
    try {
      const answer = await task();
      child.begun = true;
      return answer;
    } catch (error) {
      child.process.kill('SIGKILL');
      if (!isGone(error)) throw error;
      throw new Error('a process ended while it was starting; the error log tells more', { cause: error });
    } finally {
      this.#beginning.delete(promise);
      resolve();
    }
  }

  /** A child that ended is replaced: at once after a good life, with growing pauses when lives are short. */
  async #replace(kind: ChildKind, pid: number, lived: number, start: () => Promise<void>): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const failures = lived < SHORT_LIFE ? this.#failures[kind] + 1 : 0;
    this.#failures[kind] = failures;
    this.#options.logger.error(`AH00052: ${kind} pid ${pid} has ended; starting another`);
    await startAgain({
      clock: this.#options.clock,
      signal: this.#stop.signal,
      failures,
      start,
      failed: (error) => this.#options.logger.error(`could not start another ${kind}: ${explain(error)}`),
    });
  }

  #adopt<C extends Calls>(
    process: ChildProcess,
    kind: ChildKind,
    handlers: Calls,
    again: () => Promise<void>,
  ): Child<C> {
    const born = performance.now();
    const pid = process.pid ?? 0;
    const { promise: exited, resolve } = Promise.withResolvers<void>();
    process.once('exit', () => resolve());
    process.on('error', () => resolve());
    const stderr = process.stdio[2];
    const records = process.stdio[LOG_FD];
    if (stderr) this.#options.logs.collectStderr(stderr, `${kind} ${pid}`);
    if (records) this.#options.logs.collect(records as Readable);
    void exited.then(() => this.#replace(kind, pid, performance.now() - born, again));
    return { process, peer: new Peer<C>(process, handlers), exited, begun: false };
  }
}

function commitTo(peer: Peer<EngineCalls> | Peer<WorkerCalls>, generation: number): Promise<void> {
  return (peer as { call(name: 'commit', generation: number): Promise<void> }).call('commit', generation);
}

/** The entry file of a kind of child, built or not. */
function entry(kind: ChildKind): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../${kind}/main.${extension}`, import.meta.url));
}
