/** Stapling as `latchkey status` and the status pages show it. Plain data; times are ms since the epoch. */
import type { JobDocument } from '../store/documents.ts';
import type { Span } from '../store/formats.ts';
import type { RevocationStatus } from '../pki/ocsp-response.ts';
import type { Entry, Problem } from './entry.ts';

/** `ocsp/NAME/job.json`. */
export type StaplingJob = JobDocument;

export interface StaplingStatus {
  /** SHA-1 of the certificate, lower-case hex: mod_md's Certificate ID. */
  readonly id: string;
  /** The managed domain, or `other`. */
  readonly domain: string;
  /** Upper-case hex. */
  readonly serial: string;
  /** The certificate's names. */
  readonly names: readonly string[];
  /** What the responder said last; undefined where there has been no answer yet. */
  readonly status: RevocationStatus | undefined;
  /** Of the response that is there. */
  readonly valid: { readonly from: number; readonly until: number } | undefined;
  /** undefined where the certificate names none. */
  readonly responder: string | undefined;
  /** Clients are given a response. */
  readonly stapled: boolean;
  /** Why it can't be stapled at all; empty where it can. */
  readonly impossible: string;
  /** Clients are to insist on a staple. */
  readonly mustStaple: boolean;
  /** What must not be overlooked; empty where nothing is. */
  readonly warning: string;
  /** For people: what is being done, or done next. */
  readonly activity: string;
  /** Failures in a row. */
  readonly errors: number;
  /** Why the last try failed. */
  readonly problem: Problem | undefined;
  readonly lastRun: number | undefined;
  /** When the responder is asked next; undefined while it is, and where it never will be. */
  readonly nextRun: number | undefined;
}

export function stapleStatus(entry: Entry, now: number, window: Span): StaplingStatus {
  const { subject, response, errors, problem, lastRun } = entry;
  const nextRun = subject.inquiry && !entry.asking ? Math.max(entry.wantedAt(now, window), now) : undefined;
  const stapled = entry.staple(now) !== undefined;
  return {
    id: subject.id,
    domain: subject.folder,
    serial: subject.serial,
    names: subject.names,
    status: entry.unknown ? 'unknown' : response?.status,
    valid: response && { from: response.from, until: response.until },
    responder: subject.inquiry?.url,
    stapled,
    impossible: subject.why,
    mustStaple: subject.mustStaple,
    warning: warningOf(entry, stapled),
    activity: activityOf(entry, nextRun),
    errors,
    problem,
    lastRun,
    nextRun,
  };
}

/** Empty where nothing is wrong that a visitor could notice. */
export function warningOf({ subject, response }: Entry, stapled: boolean): string {
  if (response?.status === 'revoked') return 'The certificate has been revoked';
  if (!subject.mustStaple || stapled) return '';
  return 'The certificate demands a staple and there is none: strict clients will fail';
}

function activityOf({ subject, asking, problem }: Entry, nextRun: number | undefined): string {
  if (subject.why !== '') return `Not stapled: ${subject.why}`;
  if (asking) return 'Asking the responder';
  const next = nextRun === undefined ? '' : `next request ${new Date(nextRun).toUTCString()}`;
  return problem ? `${problem.detail}; ${next}` : next;
}
