/**
 * When which job runs. A heap by due time, so that its cost follows what is due and not what exists; jobs are
 * named, and a name runs once at a time. Jobs wait in lanes (one for each CA or OCSP responder), each with bounded
 * parallelism: one that hangs delays nobody else's.
 */
import PQueue from 'p-queue';
import type { Clock } from './clock.ts';
import { DueHeap } from './heap.ts';

/** How many jobs of a lane run at a time, unless told otherwise. Let's Encrypt and its like allow far more
 * requests at once; what it saves is sockets, and memory for keys in the making. */
const DEFAULT_PARALLEL = 16;

/** Sleeps are no longer than this, ms: a wall clock that was set meanwhile is noticed within that time. */
const STEP = 60_000;

export interface ScheduleOptions {
  readonly clock: Clock;
  /** Does the work and gives the time of the next run (ms since the epoch), or undefined for none. A rejection
   * is a fault of the program: it ends the schedule, and run() rejects with it. */
  readonly work: (name: string, signal: AbortSignal) => Promise<number | undefined>;
  /** Where a job waits, and how urgent it is there (higher goes first). */
  readonly lane: (name: string) => { readonly key: string; readonly priority: number };
  /** Jobs at once per lane; default 16. */
  readonly parallel?: number | undefined;
}

interface ActiveJob {
  readonly controller: AbortController;
  started: boolean;
  removed: boolean;
  /** Set while it ran. */
  again: number | undefined;
}

export class Schedule {
  readonly #options: ScheduleOptions;
  readonly #heap = new DueHeap();
  readonly #lanes = new Map<string, PQueue>();
  readonly #active = new Map<string, ActiveJob>();
  readonly #running = new Set<Promise<void>>();
  readonly #failed = new AbortController();
  #sleep: { readonly until: number; readonly controller: AbortController } | undefined;
  #seen = -Infinity;

  constructor(options: ScheduleOptions) {
    this.#options = options;
  }

  /** Has `name` run at `at`, and no more at the time it had. While it runs: once more afterwards. */
  set(name: string, at: number): void {
    const active = this.#active.get(name);
    if (active) {
      active.again = at;
      return;
    }
    this.#heap.set(name, at);
    if (this.#sleep && at < this.#sleep.until) this.#sleep.controller.abort();
  }

  /** Forgets `name`; aborts it if it runs. Set again, it starts only when the aborted run has ended. */
  remove(name: string): void {
    this.#heap.remove(name);
    const active = this.#active.get(name);
    if (!active) return;
    active.removed = true;
    active.again = undefined;
    active.controller.abort();
  }

  /** Runs `name` now, past its lane's queue. While it runs: once more afterwards, as it may be about to end. */
  runNow(name: string): void {
    const active = this.#active.get(name);
    if (active?.removed || active?.started) {
      active.again = this.#options.clock.now();
      return;
    }
    this.#heap.remove(name);
    this.#track(this.#perform(name, active ?? this.#activate(name)));
  }

  /** When `name` runs next; undefined while it runs or waits in its lane, and where there is no such job. */
  due(name: string): number | undefined {
    return this.#heap.at(name);
  }

  runs(name: string): boolean {
    return this.#active.get(name)?.started === true;
  }

  /** Starts what is due, as it falls due, until aborted; then aborts what runs and waits for its end. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#failed.signal]);
    try {
      while (!stop.aborted) {
        this.#noticeClock();
        this.#startDue();
        await this.#pause(stop);
      }
    } finally {
      for (const { controller } of this.#active.values()) controller.abort();
      while (this.#running.size > 0) await Promise.all(this.#running);
    }
    this.#failed.signal.throwIfAborted();
  }

  /**
   * A wall clock that was put back would leave jobs waiting for a time that is years away: they keep the rest
   * of their waiting instead. A job that comes too early by this finds nothing to do.
   */
  #noticeClock(): void {
    const now = this.#options.clock.now();
    if (now < this.#seen) this.#heap.shift(now - this.#seen);
    this.#seen = now;
  }

  #startDue(): void {
    const now = this.#options.clock.now();
    for (let next = this.#heap.first(); next && next.at <= now; next = this.#heap.first()) {
      this.#heap.remove(next.name);
      this.#enqueue(next.name);
    }
  }

  #enqueue(name: string): void {
    const { key, priority } = this.#options.lane(name);
    const job = this.#activate(name);
    const task = async () => {
      if (!job.started) await this.#perform(name, job);
    };
    this.#track(this.#lane(key).add(task, { priority }));
  }

  #lane(key: string): PQueue {
    const known = this.#lanes.get(key);
    if (known) return known;
    const lane = new PQueue({ concurrency: this.#options.parallel ?? DEFAULT_PARALLEL });
    this.#lanes.set(key, lane);
    return lane;
  }

  #activate(name: string): ActiveJob {
    const job = { controller: new AbortController(), started: false, removed: false, again: undefined };
    this.#active.set(name, job);
    return job;
  }

  async #perform(name: string, job: ActiveJob): Promise<void> {
    job.started = true;
    const { signal } = job.controller;
    const next = signal.aborted ? undefined : await this.#options.work(name, signal);
    this.#active.delete(name);
    const at = job.removed ? job.again : earlier(next, job.again);
    if (at !== undefined) this.set(name, at);
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#failed.abort(error))
      .finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  async #pause(stop: AbortSignal): Promise<void> {
    const now = this.#options.clock.now();
    const until = Math.min(this.#heap.first()?.at ?? Infinity, now + STEP);
    const controller = new AbortController();
    this.#sleep = { until, controller };
    const signal = AbortSignal.any([stop, controller.signal]);
    try {
      await this.#options.clock.sleep(until - now, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#sleep = undefined;
    }
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
