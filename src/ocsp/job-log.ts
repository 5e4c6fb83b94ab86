/**
 * `ocsp/NAME/job.json`: what became of the last requests about a domain's certificates, in mod_md's form and, where it
 * has them, words. It is read anew before each writing: no certificate's log is held in memory.
 */
import { explain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { RevocationStatus } from '../pki/ocsp-response.ts';
import {
  EGENERAL,
  type JobDocument,
  type JobLogEntryDocument,
  readJob,
  writeJob,
} from '../store/documents.ts';
import { formatDate } from '../store/formats.ts';
import type { Store } from '../store/store.ts';
import type { Problem } from './entry.ts';

/** The most log entries that are kept. */
const LOG_ENTRIES = 128;
/** Each has up to four entries. */
const MOST_RUNS = LOG_ENTRIES / 4;

/** One request and what came of it. Times are ms since the epoch. */
export interface Run {
  readonly folder: string;
  /** SHA-1 of the certificate, lower-case hex. */
  readonly id: string;
  readonly url: string;
  readonly started: number;
  readonly ended: number;
  readonly outcome:
    | { readonly status: RevocationStatus; readonly from: number; readonly until: number }
    | { readonly problem: Problem; readonly errors: number; readonly nextRun: number };
}

export class JobLog implements AsyncDisposable {
  readonly #store: Store;
  readonly #logger: Logger;
  /** By folder: what has not been written yet. */
  readonly #runs = new Map<string, Run[]>();
  readonly #writing = new Map<string, Promise<void>>();

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Writes in the background. What can't be written is lost: it is only words. */
  note(run: Run): void {
    const { folder } = run;
    const waiting = this.#runs.get(folder) ?? [];
    this.#runs.set(folder, [...waiting, run].slice(-MOST_RUNS));
    if (this.#writing.has(folder)) return;
    const writing = this.#write(folder)
      .catch((error: unknown) => {
        this.#logger.warn(`md[${folder}]: ocsp/${folder}/job.json can't be written: ${explain(error)}`);
      })
      .finally(() => this.#writing.delete(folder));
    this.#writing.set(folder, writing);
  }

  /** undefined where there is none that can be read. */
  async read(folder: string): Promise<JobDocument | undefined> {
    return readJob(this.#store, 'ocsp', folder).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#writing.values());
  }

  async #write(folder: string): Promise<void> {
    for (let runs = this.#take(folder); runs.length > 0; runs = this.#take(folder)) {
      let document = await this.read(folder);
      for (const run of runs) document = after(document, run);
      if (document) await writeJob(this.#store, 'ocsp', folder, document);
    }
  }

  #take(folder: string): Run[] {
    const runs = this.#runs.get(folder) ?? [];
    this.#runs.delete(folder);
    return runs;
  }
}

function after(before: JobDocument | undefined, run: Run): JobDocument {
  const { folder, id, url, started, ended, outcome } = run;
  const subject = `status of certid ${id}`;
  const asked = `${subject}, contacting ${url}`;
  const entries: JobLogEntryDocument[] = [
    { when: formatDate(started), type: 'starting' },
    { when: formatDate(started), type: 'progress', detail: asked },
  ];
  const when = formatDate(ended);
  const common = { ...before, name: folder, finished: true, 'last-run': formatDate(started) };
  if ('problem' in outcome) {
    const { problem, errors, nextRun } = outcome;
    const detail = `OCSP status update failed (${errors}. time): ${problem.detail}`;
    entries.push({ when, type: 'finished' }, { when, type: 'ocsp-error', detail, status: problem.type });
    const failed = { status: EGENERAL, 'status-description': 'An error occurred', problem: problem.type };
    return {
      ...common,
      notified: false,
      'notified-renewed': false,
      errors,
      'next-run': formatDate(nextRun),
      last: { ...failed, detail, activity: asked },
      log: logOf(entries, before),
    };
  }
  const { status, from, until } = outcome;
  const detail = `certificate status is ${status.toUpperCase()}, status valid ${formatDate(from)} - ${formatDate(until)}`;
  const activity = `${subject}, reading response`;
  entries.push({ when, type: 'progress', detail: `${activity}: ${detail}` }, { when, type: 'finished' });
  return {
    ...common,
    notified: false,
    'notified-renewed': false,
    errors: 0,
    'next-run': undefined,
    last: { status: 0, detail, activity },
    log: logOf(entries, before),
  };
}

/** Newest first. */
function logOf(entries: readonly JobLogEntryDocument[], before: JobDocument | undefined): JobDocument['log'] {
  return { entries: [...entries.toReversed(), ...(before?.log.entries ?? [])].slice(0, LOG_ENTRIES) };
}
