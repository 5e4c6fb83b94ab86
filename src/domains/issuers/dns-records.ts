/** The DNS records that CAs look for: names and values. Pure. */
import { createHash } from 'node:crypto';
import type { Challenge } from '../../acme/client.ts';

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** The TXT value of dns-01 and dns-account-01 (RFC 8555 section 8.4). */
export function recordOf(keyAuthorization: string): string {
  return createHash('sha256').update(keyAuthorization).digest('base64url');
}

/**
 * Where dns-account-01 has it (draft-ietf-acme-dns-account-label): each account has a label of its own, so that
 * several can validate a name at the same time.
 */
export function accountRecordName(accountUrl: string, name: string): string {
  const digest = createHash('sha256').update(accountUrl).digest().subarray(0, 10);
  return `_${base32(digest)}._acme-challenge.${name}`;
}

/** RFC 4648 in lower case, for lengths that need no padding. */
function base32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits.replaceAll(/.{5}/g, (five) => BASE32[Number.parseInt(five, 2)] ?? '');
}

/**
 * The record of dns-persist-01 (draft-ietf-acme-dns-persist) as a zone file has it, which is set once and then stays;
 * undefined where the CA does not say under which name it goes.
 */
export function persistentRecord(
  challenge: Challenge,
  accountUrl: string,
  { name, wildcard }: { readonly name: string; readonly wildcard: boolean },
): string | undefined {
  const [issuer] = challenge['issuer-domain-names'] ?? [];
  if (issuer === undefined) return undefined;
  const policy = wildcard ? '; policy=wildcard' : '';
  return `_validation-persist.${name}. IN TXT "${issuer}; accounturi=${accountUrl}${policy}"`;
}
