import { LatchkeyError } from '../base/errors.ts';

export type CaErrorCode =
  /** A file of the CA's folder is not what it should be. */
  | 'ca-garbage'
  /** A file of the CA's folder is missing though others are there, or there is no CA yet. */
  | 'ca-missing'
  /** The file system refused (permissions, space, …). */
  | 'ca-io'
  /** The root is not valid now. */
  | 'ca-expired'
  /** The certificate request can't be signed; the message says why. */
  | 'ca-bad-csr'
  /** The ACME server can't listen. */
  | 'ca-listen'
  /** The CA issued no such certificate. */
  | 'ca-unknown'
  /** The system's trust store can't be changed. */
  | 'ca-trust';

/** What can go wrong in the embedded CA, besides the problems it tells ACME clients. */
export class CaError extends LatchkeyError<CaErrorCode> {}
