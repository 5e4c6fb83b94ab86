/**
 * How preflight recognises its own server: a request for a token of its own below the path of http-01 is answered
 * from `challenges/TOKEN`, whatever the Host. Real challenges, which are kept by host, are never touched.
 */
import { randomBytes } from 'node:crypto';
import type { Store } from '../../store/store.ts';

export const CHALLENGE_PATH = '/.well-known/acme-challenge/';

const PREFIX = 'latchkey-preflight-';

export function isPreflightToken(token: string): boolean {
  return token.startsWith(PREFIX) && /^[\w-]{22}$/.test(token.slice(PREFIX.length));
}

/** Lets workers answer a new token, until disposed. */
export async function offerToken(store: Store): Promise<{ readonly token: string } & AsyncDisposable> {
  const token = PREFIX + randomBytes(16).toString('base64url');
  await store.save('challenges', token, 'acme-http-01.txt', token);
  return { token, [Symbol.asyncDispose]: () => store.purge('challenges', token) };
}
