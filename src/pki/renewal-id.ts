/** What a CA calls a certificate when it is asked about its renewal (ARI, RFC 9773 section 4.1). */
import type { X509Certificate } from 'node:crypto';
import { derInside, partsOf } from './der.ts';

/** 2.5.29.35, authorityKeyIdentifier. */
const AUTHORITY_KEY = '551d23';
/** `[0] IMPLICIT KeyIdentifier`. */
const KEY_IDENTIFIER = 0x80;

/**
 * base64url of the authority's key identifier, a dot, base64url of the serial; undefined without an identifier.
 * @throws PkiError `der-unreadable`
 */
export function renewalId(certificate: X509Certificate): string | undefined {
  const { serial, extensions } = partsOf(certificate);
  const authority = extensions.get(AUTHORITY_KEY);
  const keyId = authority && derInside(authority).find(({ tag }) => tag === KEY_IDENTIFIER)?.content;
  return keyId && `${keyId.toString('base64url')}.${serial.toString('base64url')}`;
}
