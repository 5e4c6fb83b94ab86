/** Names in certificates: subject, subjectAltName, and which name covers which (RFC 6125, RFC 9525). */
import { isIP, SocketAddress } from 'node:net';
import { PkiError } from './errors.ts';

/** The longest commonName there may be (RFC 5280, ub-common-name). */
export const LONGEST_COMMON_NAME = 64;

/** Lower case, and one spelling for each IPv6 address, so that names can be compared. */
export function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return isIP(lower) === 6 ? new SocketAddress({ address: lower, family: 'ipv6' }).address : lower;
}

/**
 * Checks a name for a certificate and gives its canonical form.
 * @throws PkiError `name-invalid`: neither an IP address nor a DNS name in ASCII (wildcard in the first label only).
 */
export function certificateName(name: string): string {
  const canonical = canonicalName(name);
  if (isIP(canonical) || (canonical.length <= 253 && DNS_NAME.test(canonical))) return canonical;
  throw new PkiError(
    'name-invalid',
    `'${name}' can't stand in a certificate: it is no DNS name and no IP address`,
  );
}

/** Underscores are no host names but do occur, and CAs decide; single labels are for internal CAs. */
const DNS_NAME =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * Whether one of the canonical names `covering` covers `name`: the same name, or a wildcard for its first label.
 * A wildcard stands for exactly one label, never for a part of one, and never in an address.
 */
export function covers(covering: readonly string[], name: string): boolean {
  const wanted = canonicalName(name);
  if (covering.includes(wanted)) return true;
  const dot = wanted.indexOf('.');
  if (dot <= 0 || wanted.startsWith('*') || isIP(wanted)) return false;
  return covering.includes(`*${wanted.slice(dot)}`);
}
