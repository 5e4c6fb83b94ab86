import { createHash, timingSafeEqual } from 'node:crypto';

/** Whether an `Authorization` header has this bearer token (RFC 6750), in a time that tells nothing of the token. */
export function bears(authorization: string | undefined, token: string): boolean {
  const [, given = ''] = /^bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
