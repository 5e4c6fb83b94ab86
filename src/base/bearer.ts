import { hash, timingSafeEqual } from 'node:crypto';

/** What is kept of a bearer token that others have to show: its SHA-256, in hex. It lets nobody in. */
export function tokenDigest(token: string): string {
  return hash('sha256', token);
}

/**
 * Whether an `Authorization` header has the bearer token (RFC 6750) of this tokenDigest(), in a time that tells
 * nothing of the token.
 */
export function bears(authorization: string | undefined, digest: string): boolean {
  const [, given = ''] = /^bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
  return timingSafeEqual(Buffer.from(tokenDigest(given), 'hex'), Buffer.from(digest, 'hex'));
}
