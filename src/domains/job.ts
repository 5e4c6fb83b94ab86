/**
 * A renewal job: what happened so far, and when it goes on. It is kept in `staging/NAME/job.json`, so that the
 * next start goes on with it and mod_md's tools can read it.
 */
import type { Clock } from '../base/clock.ts';
import { type JobDocument, readJob, writeJob } from '../store/documents.ts';
import type { Store } from '../store/store.ts';
import type { Problem } from './issuer.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The most log entries a job keeps; older ones are dropped. */
const LOG_ENTRIES = 128;

/** Progress reaches the disk no more often than this, ms. What a crash takes is words, not results. */
const SAVE_INTERVAL = 500;

/** After so many errors in a row with one CA the next one of the list is tried (MDRetryFailover). */
const FAILOVER = 13;

/** The first retry's delay unless configured, ms (MDRetryDelay). */
export const DEFAULT_RETRY_DELAY = 30_000;

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

/** How the last run went, or goes. */
export interface LastResult {
  readonly problem: Problem | undefined;
  /** What is being done, for people. */
  readonly activity: string | undefined;
}

export class Job {
  readonly name: string;
  /** The staged certificates are complete. */
  finished = false;
  /** In a row. */
  errors = 0;
  /** ms since the epoch, like all times here. */
  nextRun: number | undefined;
  lastRun: number | undefined;
  /** When the staged certificates may be used. */
  validFrom: number | undefined;
  last: LastResult | undefined;
  /** Newest first. */
  readonly log: LogEntry[] = [];
  #saved = -Infinity;
  #saving: Promise<void> = Promise.resolve();

  constructor(name: string) {
    this.name = name;
  }

  /** Appends to the log; the oldest entry gives way. */
  append(when: number, type: string, detail?: string, status?: string): void {
    this.log.unshift({ when, type, status, detail });
    this.log.length = Math.min(this.log.length, LOG_ENTRIES);
  }
}
