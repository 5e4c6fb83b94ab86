/**
 * The Issuer contract: whoever turns a key and a list of names into a certificate. The renewal engine knows
 * issuers only through this; issuers/ holds one file per implementation (acme.ts, …).
 */
import { LatchkeyError } from '../base/errors.ts';
import type { RenewalInfo } from '../acme/client.ts';
import type { CertificateInfo } from '../pki/certificate.ts';
import type { Abortable } from '../store/store.ts';
import type { ManagedDomainSettings } from './settings.ts';

export type { RenewalInfo };

/** A problem as the status shows it: the CA's words (RFC 7807), kept whole. */
export interface Problem {
  /** `urn:ietf:params:acme:error:…`, or `urn:org:apache:httpd:log:AH…:`, or one of ours. */
  readonly type: string;
  readonly detail: string;
  readonly status?: number | undefined;
  readonly subproblems?: readonly Problem[] | undefined;
  /** The identifier a subproblem is about. */
  readonly identifier?: string | undefined;
  /** Milliseconds to wait at least, if the CA said so. */
  readonly retryAfter?: number | undefined;
  /** What the administrator can do about it, where that depends on more than the type (remedies.ts). */
  readonly remedy?: string | undefined;
}

/** What an issuer tells while it works: one line of the job log each. */
export interface Progress {
  /** A short name of the step: `directory`, `account`, `order`, `authorization`, `challenge`, `finalize`, … */
  readonly step: string;
  /** A sentence for people. */
  readonly detail: string;
}

/**
 * Obtains certificates for one managed domain. Resumable: every artefact is persisted in `staging/NAME` before
 * the step that needs it, and obtain() called again (in a new process, after a kill -9 at any point) goes on
 * from there: it makes no second order and no second key while the first can still be used.
 */
export interface Issuer {
  /**
   * Fulfilled when `staging/NAME` holds privkey*.pem and pubcert*.pem for every configured key, checked: the
   * certificate is for exactly that key and covers all names. Rejects with RenewalError; with StoreError or
   * PkiError where the store fails or what is in staging is damaged; with the signal's reason when aborted.
   */
  obtain(domain: ManagedDomainSettings, options: ObtainOptions): Promise<void>;
  /**
   * When the CA would like `certificate` renewed; undefined where it has no opinion. Rejects with what problemOf()
   * understands, or with the signal's reason.
   */
  renewalInfo?(domain: ManagedDomainSettings, question: RenewalQuestion): Promise<RenewalInfo | undefined>;
  /** What would keep it from working, known before asking any CA; empty if nothing does. */
  check(domain: ManagedDomainSettings): readonly Problem[];
  /** What of the configuration the CA at `authority` is not going to do, as far as that is known; no problem. */
  notes?(domain: ManagedDomainSettings, authority: string): readonly string[];
  /** The name in `accounts` of the account that it would use, if it knows of one there; `authority` as in ObtainOptions. */
  account?(domain: ManagedDomainSettings, authority: string): string | undefined;
}

export interface ObtainOptions extends Abortable {
  /** Directory URL of the CA to use now (one of domain.authorities, `local` resolved). */
  readonly authority: string;
  readonly progress: (progress: Progress) => void;
  /** Its account() of a moment ago, which `staging/NAME/md.json` names. */
  readonly account?: string | undefined;
  /** The certificates in use are of this CA, as far as is known: it can be told that they are replaced. */
  readonly renewsOwn?: boolean | undefined;
  /**
   * To be called before each new order that counts for the CA's limits: any but a renewal in time, which says what
   * it replaces (RFC 9773 section 5). Rejects with PostponedError: no order is to be made now.
   */
  readonly beforeOrder?: (() => Promise<void>) | undefined;
  /** Called once a name's challenge is set up, before the CA is told to look. A rejection ends obtain() with it. */
  readonly challengeReady?: ((type: string, name: string) => Promise<void>) | undefined;
}

export interface RenewalQuestion extends Abortable {
  /** Directory URL of the CA that issued the certificate. */
  readonly authority: string;
  readonly certificate: Pick<CertificateInfo, 'renewalId'>;
}

/** What a CA would refuse now, and so was not asked for. No failure: the renewal goes on when it may. */
export class PostponedError extends LatchkeyError<'renewal-postponed'> {
  /** ms since the epoch. */
  readonly until: number;

  constructor(until: number, reason: string) {
    super('renewal-postponed', reason);
    this.until = until;
  }
}

/** A renewal that failed, in the words that the status shows. */
export class RenewalError extends LatchkeyError<'renewal-failed'> {
  readonly problem: Problem;

  constructor(problem: Problem, options?: ErrorOptions) {
    super('renewal-failed', problem.detail, options);
    this.problem = problem;
  }
}

/** A problem that no CA has words for. `name` becomes part of its type. */
export function ownProblem(name: string, detail: string): Problem {
  return { type: `urn:latchkey:problem:${name}`, detail };
}
