/**
 * A renewal job: what happened so far, and when it goes on. It is kept in `staging/NAME/job.json`, so that the
 * next start goes on with it and mod_md's tools can read it.
 */
import * as v from 'valibot';
import { EGENERAL, type JobDocument, readJob, writeJob } from '../../store/documents.ts';
import { formatDate, parseDate } from '../../store/formats.ts';
import type { SaveOptions, Store } from '../../store/store.ts';
import type { Problem } from '../issuer.ts';

const DAY = 24 * 60 * 60 * 1000;

/** The most log entries a job keeps; older ones are dropped. */
const LOG_ENTRIES = 128;

/** What the log's types of told events begin with: mod_md's. */
const MESSAGE = 'message-';

/** Progress reaches the disk no more often than this, ms. What a crash takes is words, not results. */
const SAVE_INTERVAL = 500;

/** After so many errors in a row with one CA the next one of the list is tried, unless configured (MDRetryFailover). */
export const DEFAULT_RETRY_FAILOVER = 13;

/** The first retry's delay unless configured, ms (MDRetryDelay). */
export const DEFAULT_RETRY_DELAY = 30_000;

/** How often domains are looked at where nothing is due unless configured, ms (MDCheckInterval). */
export const DEFAULT_CHECK_INTERVAL = DAY / 2;

/**
 * The longest that a job waits for anything, ms: the limits of Let's Encrypt go by the week. A later time than
 * this in job.json or Retry-After comes from a wrong clock or a broken CA.
 */
export const LONGEST_WAIT = 8 * DAY;

export interface LogEntry {
  /** ms since the epoch. */
  readonly when: number;
  readonly type: string;
  readonly status?: string | undefined;
  readonly detail?: string | undefined;
}

export class Job {
  readonly name: string;
  /** The staged certificates are complete. */
  finished = false;
  /** In a row. */
  errors = 0;
  /** ms since the epoch, like all times here. */
  nextRun: number | undefined;
  /** Failed in a way that trying again does not mend. Neither a start nor a reload takes that for granted. */
  stopped = false;
  lastRun: number | undefined;
  /** When the staged certificates may be used. */
  validFrom: number | undefined;
  /** Why the last run failed. */
  problem: Problem | undefined;
  /** What is being done, for people. */
  activity: string | undefined;
  /** MDNotifyCmd has been told of the renewal that is finished. */
  notified = false;
  /** Likewise MDMessageCmd. */
  notifiedRenewed = false;
  /** The renewal is activated, and a command has still to be told of it. */
  owesNotice = false;
  /** When MDMessageCmd was last told of an event. */
  readonly told = new Map<string, number>();
  /** Newest first. */
  readonly log: LogEntry[] = [];
  #document: JobDocument | undefined;
  #stored = false;
  #saved = -Infinity;
  #saving: Promise<void> = Promise.resolve();

  constructor(name: string) {
    this.name = name;
  }

  /**
   * From `staging/NAME/job.json`; a new one where there is none.
   * @throws StoreError `store-garbage`
   */
  static async load(store: Store, name: string): Promise<Job> {
    const document = await readJob(store, 'staging', name);
    const job = new Job(name);
    if (!document) return job;
    job.#document = document;
    job.#stored = true;
    job.finished = document.finished;
    job.errors = document.errors;
    job.nextRun = parseDate(document['next-run']);
    job.lastRun = parseDate(document['last-run']);
    job.validFrom = parseDate(document['valid-from']);
    job.problem = problemFrom(document.last);
    job.notified = document.notified;
    job.notifiedRenewed = document['notified-renewed'];
    job.#recallHooks(document);
    for (const { when, type, status, detail } of document.log.entries.slice(0, LOG_ENTRIES)) {
      job.log.push({ when: parseDate(when) ?? 0, type, status, detail });
    }
    return job;
  }

  /** When what was told: as we have written it, else by mod_md's log. */
  #recallHooks({ hooks, log }: JobDocument): void {
    this.owesNotice = hooks?.['owes-notice'] ?? false;
    for (const { when, type } of log.entries.toReversed()) {
      const at = parseDate(when);
      const event = type.startsWith(MESSAGE) ? type.slice(MESSAGE.length) : '';
      if (/^[a-z-]+$/.test(event) && at !== undefined) this.told.set(event, at);
    }
    for (const [event, when] of Object.entries(hooks?.told ?? {})) {
      const at = parseDate(when);
      if (at !== undefined) this.told.set(event, at);
    }
  }

  /** Appends to the log; the oldest entry gives way. */
  append(when: number, type: string, detail?: string, status?: string): void {
    this.log.unshift({ when, type, status, detail });
    this.log.length = Math.min(this.log.length, LOG_ENTRIES);
  }

  /** MDMessageCmd has taken an event. `remember`: so that it is not told of it again at once. */
  tell(now: number, event: string, remember: boolean): void {
    if (remember) this.told.set(event, now);
    this.append(now, `${MESSAGE}${event}`);
  }

  /** Forgets failures, and what was finished: they were another configuration's. */
  reset(): void {
    this.errors = 0;
    this.nextRun = undefined;
    this.finished = false;
    this.owesNotice = false;
  }

  /** All that had to be done and told is. */
  settle(): void {
    this.errors = 0;
    this.nextRun = undefined;
    this.problem = undefined;
    this.owesNotice = false;
  }

  /** Lets it be tried again; whether it had been stopped. */
  resume(): boolean {
    const { stopped } = this;
    this.stopped = false;
    return stopped;
  }

  begin(now: number, reason: string): void {
    this.stopped = false;
    // Another renewal will be told of instead.
    if (this.owesNotice) this.settle();
    this.finished = false;
    this.lastRun = now;
    this.nextRun = undefined;
    this.problem = undefined;
    this.activity = 'starting';
    // Who begins it saves it.
    this.#saved = now;
    this.append(now, 'starting', reason);
  }

  /** A step done or begun. It reaches the disk in the background, and not each time. */
  progress(now: number, detail: string, store: Store): void {
    this.activity = detail;
    this.append(now, 'progress', detail);
    if (Math.abs(now - this.#saved) < SAVE_INTERVAL) return;
    this.#saved = now;
    // What can't be saved now is not lost: the end of the run saves all, and fails for all to see.
    this.save(store, { durable: false }).catch(() => {});
  }

  /** `again`: it had been obtained by an earlier run. */
  succeed(now: number, validFrom: number, detail: string, again: boolean): void {
    if (!again) {
      this.notified = false;
      this.notifiedRenewed = false;
      this.errors = 0;
    }
    this.finished = true;
    this.validFrom = validFrom;
    this.activity = undefined;
    this.append(now, 'finished', detail);
  }

  /** After activation: staging is gone, and what is kept of the job is for the status. */
  installed(now: number, missing: readonly number[]): void {
    this.finished = false;
    this.settle();
    this.append(now, 'installed', 'The new certificate is active');
    if (missing.length === 0) return;
    this.append(now, 'served', `Workers have not shown the new certificate: ${missing.join(', ')}`);
  }

  /** Without a time it is not tried again. */
  fail(now: number, problem: Problem, nextRun: number | undefined): void {
    this.stopped = nextRun === undefined;
    this.errors += 1;
    this.problem = problem;
    this.nextRun = nextRun;
    this.activity = undefined;
    this.append(now, 'renewal-error', problem.detail, problem.type);
  }

  /** Not to be done now, and nobody's failure. */
  postpone(now: number, until: number, reason: string): void {
    this.nextRun = until;
    this.activity = undefined;
    this.append(now, 'postponed', reason);
  }

  /** Whether the store has an earlier state of it. */
  get stored(): boolean {
    return this.#stored;
  }

  /** Saves after whatever is being saved; to last unless `durable` is false. */
  async save(store: Store, options?: SaveOptions): Promise<void> {
    this.#stored = true;
    const write = () => writeJob(store, 'staging', this.name, this.#toDocument(), options);
    this.#saving = this.#saving.then(write, write);
    return this.#saving;
  }

  /** Waits until nothing is being saved, in vain or not. */
  async settled(): Promise<void> {
    await this.#saving.catch(() => {});
  }

  #toDocument(): JobDocument {
    const entries = this.log.map(({ when, type, status, detail }) => ({
      when: formatDate(when),
      type,
      status,
      detail,
    }));
    return { ...this.describe(), log: { entries } };
  }

  /** As job.json has it, without the log, which is the most of it. */
  describe(): Omit<JobDocument, 'log'> {
    const { problem } = this;
    const { log: _, ...document } = this.#document ?? {};
    return {
      ...document,
      name: this.name,
      finished: this.finished,
      notified: this.notified,
      'notified-renewed': this.notifiedRenewed,
      errors: this.errors,
      'next-run': dateOrNone(this.nextRun),
      'last-run': dateOrNone(this.lastRun),
      'valid-from': dateOrNone(this.validFrom),
      last: {
        status: problem ? EGENERAL : 0,
        'status-description': problem ? 'An error occurred' : undefined,
        problem: problem?.type,
        detail: problem?.detail,
        activity: this.activity,
        subproblems: problem?.subproblems?.map(toAcmeForm),
        remedy: problem?.remedy,
      },
      hooks: {
        'owes-notice': this.owesNotice,
        told: Object.fromEntries([...this.told].map(([event, at]) => [event, formatDate(at)])),
      },
    };
  }
}

/** From the document of a run: what of it can be read. */
function problemFrom(last: JobDocument['last']): Problem | undefined {
  if (!last?.problem) return undefined;
  const result = v.safeParse(v.array(subproblem), last.subproblems ?? []);
  const subproblems = result.success ? result.output : [];
  const { problem: type, detail = '', remedy } = last;
  return { type, detail, subproblems, ...(remedy !== undefined && { remedy }) };
}

const subproblem = v.pipe(
  v.object({
    type: v.string(),
    detail: v.optional(v.string(), ''),
    status: v.optional(v.number()),
    identifier: v.optional(v.object({ value: v.string() })),
  }),
  v.transform((sub) => ({ ...sub, identifier: sub.identifier?.value })),
);

/** As in the CA's own document (RFC 8555 section 6.7.1), which is what mod_md keeps. */
function toAcmeForm({ type, detail, status, identifier }: Problem): unknown {
  return { type, detail, status, identifier: identifier && { type: 'dns', value: identifier } };
}

function dateOrNone(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : formatDate(ms);
}

export interface RetryOptions {
  /** ms before the first retry (MDRetryDelay), doubled with each error in a row, up to a day. */
  readonly retryDelay: number;
  /** From 0 to 1: up to a quarter of the delay is added, so that what failed together is not retried together. */
  readonly random: () => number;
}

/** When to go on after `errors` errors in a row; no sooner than the CA asked for. */
export function retryAt(now: number, errors: number, problem: Problem, options: RetryOptions): number {
  const delay = Math.min(options.retryDelay * 2 ** (errors - 1), DAY);
  const asked = Math.min(problem.retryAfter ?? 0, LONGEST_WAIT);
  return Math.round(now + Math.max(delay, asked) + (delay / 4) * options.random());
}

/** The CA to use after `errors` errors in a row, each being tried `failover` times. */
export function authorityAfter(
  authorities: readonly string[],
  errors: number,
  failover: number,
): string | undefined {
  return authorities[Math.floor(errors / failover) % authorities.length];
}
