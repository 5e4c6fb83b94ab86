import { LatchkeyError } from '../base/errors.ts';

export type ResponderErrorCode =
  /** No connection, or one that broke: DNS, routing, refused, reset. */
  | 'responder-unreachable'
  | 'responder-timeout'
  /** A status other than 200. */
  | 'responder-status'
  /** More than is read of an answer. */
  | 'responder-too-large'
  /** Redirected in a circle, or to what is no http URL. */
  | 'responder-redirect';

/** Whatever is wrong with a responder, and not with one certificate. */
export class ResponderError extends LatchkeyError<ResponderErrorCode> {
  /** ms to wait at least, if the responder said so. */
  readonly retryAfter: number | undefined;
  readonly httpStatus: number | undefined;

  constructor(
    code: ResponderErrorCode,
    message: string,
    options: ErrorOptions & { retryAfter?: number | undefined; httpStatus?: number } = {},
  ) {
    super(code, message, options);
    this.retryAfter = options.retryAfter;
    this.httpStatus = options.httpStatus;
  }
}
