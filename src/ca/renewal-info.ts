/** When a certificate should be renewed, as the CA sees it (ARI, RFC 9773). */
import type { X509Certificate } from 'node:crypto';
import type { Revocation } from './revocations.ts';
import { subjectKeyId } from './x509.ts';
import type { Period } from './x509.ts';

const HOUR = 3_600_000;

export interface RenewalInfo {
  readonly suggestedWindow: { readonly start: string; readonly end: string };
}

/** How a client names a certificate: key identifier of the issuer and serial number (RFC 9773 section 4.1). */
export function certificateId(issuer: X509Certificate, serial: string): string {
  return `${subjectKeyId(issuer).toString('base64url')}.${Buffer.from(serial, 'hex').toString('base64url')}`;
}

/** The serial (upper-case hex) that an id names, where the certificate is of `issuer`. `id` may be anything. */
export function serialNamed(id: string, issuer: X509Certificate): string | undefined {
  const serial = Buffer.from(id.split('.')[1] ?? '', 'base64url')
    .toString('hex')
    .toUpperCase();
  return id === certificateId(issuer, serial) ? serial : undefined;
}

/** From two thirds of its life on, over a thirtieth of it; at once where it was revoked. */
export function renewalInfo({ notBefore, notAfter }: Period, revoked?: Revocation): RenewalInfo {
  if (revoked) return { suggestedWindow: span(revoked.at - HOUR, revoked.at - HOUR / 2) };
  const life = notAfter - notBefore;
  const start = notAfter - life / 3;
  return { suggestedWindow: span(start, start + life / 30) };
}

/** Seconds until it is worth asking again: fifty times in a life, and at least every six hours. */
export function askAgain({ notBefore, notAfter }: Period): number {
  return Math.max(1, Math.floor(Math.min(6 * HOUR, (notAfter - notBefore) / 50) / 1000));
}

function span(start: number, end: number): RenewalInfo['suggestedWindow'] {
  const text = (time: number) => new Date(time).toISOString().replace(/\.\d+/, '');
  return { start: text(start), end: text(end) };
}
