/** A managed domain as `latchkey status` and the status pages show it. Plain data; times are ms since the epoch. */
import type { Hold } from './budget-book.ts';
import type { Problem } from './issuer.ts';
import { authorityAfter, type Job, type LogEntry } from './job.ts';
import type { ManagedDomainSettings } from './settings.ts';
import { type DomainState, keyName } from './state.ts';

export interface CertificateStatus {
  /** The key it was configured as: `RSA`, `P-256`, … */
  readonly key: string;
  /** `rsa`, `ec`. */
  readonly keyType: string;
  /** Upper-case hex. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly names: readonly string[];
  readonly issuerName: string;
  /** Lower-case hex. */
  readonly sha256: string;
}

export interface DomainStatus {
  readonly name: string;
  readonly names: readonly string[];
  /** `unknown` until the store has been looked at. */
  readonly state: 'unknown' | 'incomplete' | 'complete';
  /** What makes it incomplete. */
  readonly description: string;
  readonly expired: boolean;
  readonly renewMode: ManagedDomainSettings['renewMode'];
  readonly certificates: readonly CertificateStatus[];
  /** When the renew window begins. */
  readonly renewAt: number | undefined;
  /** Why a renewal is due; empty when none is. */
  readonly reasons: readonly string[];
  /** When something is done next; undefined while something is done, and where nothing will be. */
  readonly nextRun: number | undefined;
  readonly lastRun: number | undefined;
  readonly running: boolean;
  /** What is done, for people; undefined when nothing is. */
  readonly activity: string | undefined;
  /** Failures in a row. */
  readonly errors: number;
  /** Why the last run failed, the CA's words kept whole. */
  readonly problem: Problem | undefined;
  /** What will keep it from working, known before any order. */
  readonly problems: readonly Problem[];
  /** What its CA's limits make it wait for, and until when; undefined where they don't. */
  readonly hold: Hold | undefined;
  /** The CA in use, as configured. */
  readonly authority: string | undefined;
  /** A new set is staged, to be activated at this time or at the next restart. */
  readonly staged: { readonly validFrom: number | undefined } | undefined;
  /** Newest first. */
  readonly log: readonly LogEntry[];
}

export interface StatusSource {
  readonly domain: ManagedDomainSettings;
  readonly state: DomainState | undefined;
  readonly job: Job | undefined;
  readonly problems: readonly Problem[];
  readonly hold: Hold | undefined;
  readonly due: number | undefined;
  readonly runs: boolean;
  /** Errors in a row after which the next CA is tried. */
  readonly retryFailover: number;
}

export function statusOf(source: StatusSource): DomainStatus {
  const { domain, state, job, problems, hold, due, runs, retryFailover } = source;
  return {
    name: domain.name,
    names: domain.domains,
    state: state?.state ?? 'unknown',
    description: state?.description ?? '',
    expired: state?.expired ?? false,
    renewMode: domain.renewMode,
    certificates: (state?.certificates ?? []).map(({ spec, info }) => ({
      key: keyName(spec),
      keyType: info.keyType,
      serial: info.serial,
      notBefore: info.notBefore,
      notAfter: info.notAfter,
      names: info.names,
      issuerName: info.issuerName,
      sha256: info.sha256,
    })),
    renewAt: state && Number.isFinite(state.renewAt) ? state.renewAt : undefined,
    reasons: state?.reasons ?? [],
    nextRun: due,
    lastRun: job?.lastRun,
    running: runs,
    activity: job?.activity,
    errors: job?.errors ?? 0,
    problem: job?.problem,
    problems,
    hold: hold && { until: hold.until, reason: hold.reason },
    authority: authorityAfter(domain.authorities, job?.errors ?? 0, retryFailover),
    staged: job?.finished ? { validFrom: job.validFrom } : undefined,
    log: [...(job?.log ?? [])],
  };
}
