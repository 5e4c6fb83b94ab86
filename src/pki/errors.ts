import { LatchkeyError } from '../base/errors.ts';

export type PkiErrorCode =
  /** A curve that OpenSSL doesn't know. */
  | 'key-unknown-curve'
  /** An RSA length outside of 2048 to 16384 bits. */
  | 'key-bad-size'
  /** Neither a private key nor anything that could be one. */
  | 'key-unreadable'
  /** An encrypted key, and no passphrase given or not the right one. */
  | 'key-passphrase'
  /** A kind of key that can't sign certificates (X25519, …). */
  | 'key-cannot-sign'
  /** Not PEM, cut off, or more of it than is sane. */
  | 'pem-unreadable'
  | 'certificate-unreadable'
  /** Not DER, or cut off. */
  | 'der-unreadable'
  /** Not a list of revoked certificates, or of a kind that is not read. */
  | 'list-unreadable'
  /** A name that fits neither dNSName nor iPAddress. */
  | 'name-invalid';

/** Failures of this room. What was read is never quoted: it could be a private key. */
export class PkiError extends LatchkeyError<PkiErrorCode> {}
