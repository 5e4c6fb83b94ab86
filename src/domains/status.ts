/** A managed domain as `latchkey status` and the status pages show it. Plain data; times are ms since the epoch. */
import { X509Certificate } from 'node:crypto';
import { hasMustStaple } from '../pki/der.ts';
import type { AriAdvice } from './advice/advice.ts';
import type { Hold } from './budgets/budget-book.ts';
import type { CertificateInfo } from '../pki/certificate.ts';
import type { KeySpec } from '../pki/keyspec.ts';
import type { SignedTimestamp } from '../pki/transparency.ts';
import type { JobDocument, MdDocument } from '../store/documents.ts';
import { mdDocument } from './stored/document.ts';
import type { Problem } from './issuer.ts';
import { authorityAfter, type Job, type LogEntry } from './renewal/job.ts';
import { LACKING, remedyFor } from './renewal/remedies.ts';
import type { ManagedDomainSettings } from './settings.ts';
import { type AdviceOn, type DomainState, keyName } from './state.ts';

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
  /** What ARI calls it. */
  readonly ariCertId: string | undefined;
  /** Of a new certificate: which logs have it. */
  readonly signedTimestamps?: readonly SignedTimestamp[];
  /** What the CA advises (ARI, RFC 9773): its window, the moment drawn from it, and why it is as it is. */
  readonly ari?: AriAdvice | undefined;
  /** Who says that it is revoked, for people; undefined while nobody does. */
  readonly revoked?: string | undefined;
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
  /** What can be done about it. */
  readonly remedy?: string | undefined;
  /** What is not as configured, though nothing is wrong. */
  readonly notes?: readonly string[];
  /** What will keep it from working, known before any order. */
  readonly problems: readonly Problem[];
  /** What its CA's limits make it wait for, and until when; undefined where they don't. */
  readonly hold: Hold | undefined;
  /** The CA in use, as configured. */
  readonly authority: string | undefined;
  /** A new set is staged, to be activated at this time or at the next restart. */
  readonly staged: StagedStatus | undefined;
  /** A virtual host uses it, or it is renewed always. */
  readonly watched: boolean;
  /** As md.json has it, with the HMAC key of an external account hidden. */
  readonly md: MdDocument;
  /** As job.json has it; its log is below. Undefined until the store has been looked at. */
  readonly job: Omit<JobDocument, 'log'> | undefined;
  /** Newest first. */
  readonly log: readonly LogEntry[];
}

export interface StagedStatus {
  readonly validFrom: number | undefined;
  /** Where they have been read for this document. */
  readonly certificates?: readonly CertificateStatus[] | undefined;
}

export interface StatusSource {
  readonly domain: ManagedDomainSettings;
  readonly state: DomainState | undefined;
  readonly job: Job | undefined;
  readonly problems: readonly Problem[];
  /** What its CA is not going to do as configured. */
  readonly notes: readonly string[];
  readonly hold: Hold | undefined;
  readonly due: number | undefined;
  readonly runs: boolean;
  /** Errors in a row after which the next CA is tried. */
  readonly retryFailover: number;
  readonly adviceOn: AdviceOn;
}

export function statusOf(source: StatusSource): DomainStatus {
  const { domain, state, job, problems, notes, hold, due, runs, retryFailover, adviceOn } = source;
  return {
    name: domain.name,
    names: domain.domains,
    state: state?.state ?? 'unknown',
    description: state?.description ?? '',
    expired: state?.expired ?? false,
    renewMode: domain.renewMode,
    certificates: (state?.certificates ?? []).map(({ spec, info }) => ({
      ...certificateStatus(spec, info),
      ari: adviceOn(info)?.ari,
      revoked: adviceOn(info)?.revoked,
    })),
    renewAt: state && Number.isFinite(state.renewAt) ? state.renewAt : undefined,
    reasons: state?.reasons ?? [],
    nextRun: due,
    lastRun: job?.lastRun,
    running: runs,
    activity: job?.activity,
    errors: job?.errors ?? 0,
    problem: job?.problem,
    notes: [...notes, ...(state ? notesOn(domain, state) : [])],
    remedy: job?.problem && remedyFor(job.problem),
    problems,
    hold: hold && { until: hold.until, reason: hold.reason },
    authority: authorityAfter(domain.authorities, job?.errors ?? 0, retryFailover),
    staged: job?.finished ? { validFrom: job.validFrom } : undefined,
    watched: domain.used || domain.renewMode === 'always',
    md: publicDocument(source),
    job: job?.describe(),
    log: [...(job?.log ?? [])],
  };
}

export function certificateStatus(spec: KeySpec, info: CertificateInfo): CertificateStatus {
  return {
    key: keyName(spec),
    keyType: info.keyType,
    serial: info.serial,
    notBefore: info.notBefore,
    notAfter: info.notAfter,
    names: info.names,
    issuerName: info.issuerName,
    sha256: info.sha256,
    ariCertId: info.renewalId,
  };
}

function publicDocument({ domain, state, job }: StatusSource): MdDocument {
  const { state: held = 'incomplete', description = '' } = state ?? {};
  const lacking = held === 'incomplete' && job?.problem !== undefined && LACKING.has(job.problem.type);
  const document = mdDocument(domain, { state: lacking ? 'missing' : held, description }, undefined);
  const { eab } = document;
  return eab === undefined || eab === 'none' ? document : { ...document, eab: { ...eab, hmac: '***' } };
}

/** A CA that leaves out must-staple, or refuses it, is not asked again for its sake. */
function notesOn({ mustStaple }: ManagedDomainSettings, { certificates }: DomainState): string[] {
  if (!mustStaple) return [];
  return certificates
    .filter(({ info }) => !hasMustStaple(new X509Certificate(info.pem)))
    .map(({ spec }) => `the CA gave the ${keyName(spec)} certificate without must-staple (MDMustStaple)`);
}
