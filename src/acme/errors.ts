import { LatchkeyError } from '../base/errors.ts';
import type { AcmeProblem } from './documents.ts';

export type AcmeErrorCode =
  /** The CA refused, and says why in `problem`. */
  | 'acme-problem'
  /** The CA wants fewer requests (rateLimited, 429, 503 with Retry-After); `retryAfter` if it said when. */
  | 'acme-rate-limited'
  /** A server error without a problem document: the CA is ill, the request wasn't. */
  | 'acme-unavailable'
  /** No connection, or one that broke: DNS, routing, refused, reset. */
  | 'acme-unreachable'
  /** The CA's own server isn't trusted, or doesn't speak TLS. */
  | 'acme-tls'
  /** The configured proxy can't be reached, or does not connect to the CA. */
  | 'acme-proxy'
  /** A request took longer than its timeout. */
  | 'acme-timeout'
  /** An answer that RFC 8555 doesn't allow: HTML, garbage, too large, a redirect, a missing header. */
  | 'acme-invalid-response'
  /** Polling ended before the order or authorization did; it may be taken up again (`retryAfter`). */
  | 'acme-pending'
  /** A directory URL that is neither https nor on loopback. */
  | 'acme-bad-url'
  /** An account key or external account that can't sign. */
  | 'acme-account-key'
  /** The client was disposed of. */
  | 'acme-closed';

export interface AcmeErrorOptions extends ErrorOptions {
  readonly problem?: AcmeProblem | undefined;
  readonly retryAfter?: number | undefined;
  readonly httpStatus?: number | undefined;
}

/** Whatever goes wrong with a CA. The message is for administrators: what happened, where, what to look at. */
export class AcmeError extends LatchkeyError<AcmeErrorCode> {
  /** The CA's problem document (RFC 8555 section 6.7), subproblems and unknown members included. */
  readonly problem: AcmeProblem | undefined;
  /** ms to wait at least, if the CA said so. */
  readonly retryAfter: number | undefined;
  readonly httpStatus: number | undefined;

  constructor(code: AcmeErrorCode, message: string, options: AcmeErrorOptions = {}) {
    super(code, message, options);
    this.problem = options.problem;
    this.retryAfter = options.retryAfter;
    this.httpStatus = options.httpStatus;
  }
}
