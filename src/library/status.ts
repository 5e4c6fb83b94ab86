/** What a program is told of its certificates. */
import type { Problem } from '../domains/issuer.ts';
import type { DomainStatus } from '../domains/status.ts';
import type { TableCertificate } from '../certificates/table.ts';
import { worded } from './words.ts';

/** A certificate in use with its key, for other servers of the program (mail, databases). Times are ms since the epoch. */
export interface ServedCertificate {
  /** PEM of the certificate, then its chain. */
  readonly cert: string;
  /** PEM of the private key, PKCS #8, not encrypted. */
  readonly key: string;
  /** `ec`, `rsa`. */
  readonly keyType: string;
  /** Upper-case hex. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Times are ms since the epoch. */
export interface CertificateReport {
  /** The first of the names. */
  readonly name: string;
  readonly names: readonly string[];
  /** `complete`: there is a certificate of each kind of key, and for all names. `unknown`: not looked at yet. */
  readonly state: 'unknown' | 'incomplete' | 'complete';
  readonly expired: boolean;
  readonly certificates: readonly {
    readonly keyType: string;
    readonly serial: string;
    readonly notBefore: number;
    readonly notAfter: number;
    readonly issuer: string;
    /** Lower-case hex. */
    readonly sha256: string;
  }[];
  /** When a renewal falls due. */
  readonly renewAt: number | undefined;
  /** When something is done next. */
  readonly nextRun: number | undefined;
  readonly running: boolean;
  /** Failures in a row. */
  readonly errors: number;
  /** Why the last run failed, or what will keep the next one from succeeding. */
  readonly problem: Problem | undefined;
  /** What can be done about it. */
  readonly remedy: string | undefined;
  /** The limits of the CA make it wait. */
  readonly hold: { readonly until: number; readonly reason: string } | undefined;
}

export function reportOf(status: DomainStatus): CertificateReport {
  const { name, names, state, expired, renewAt, nextRun, running, errors } = status;
  const { problem = status.problems[0], remedy, hold } = status;
  return {
    name,
    names,
    state,
    expired,
    certificates: status.certificates.map(
      ({ keyType, serial, notBefore, notAfter, issuerName: issuer, sha256 }) => ({
        keyType,
        serial,
        notBefore,
        notAfter,
        issuer,
        sha256,
      }),
    ),
    renewAt,
    nextRun,
    running,
    errors,
    ...worded({ problem, remedy, hold }),
  };
}

export function servedCertificate(certificate: TableCertificate): ServedCertificate {
  const { chainPem: cert, keyPem: key, keyType, serial, notBefore, notAfter } = certificate;
  return { cert, key, keyType, serial, notBefore, notAfter };
}
