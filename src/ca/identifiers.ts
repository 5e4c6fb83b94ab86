/**
 * Identifiers of RFC 8555 section 9.7.7 (`dns`) and RFC 8738 (`ip`): what a certificate can be asked for. An
 * Identifier is normalised: lower case, no trailing dot, addresses in their shortest form.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { canonicalName } from '../pki/names.ts';

export interface Identifier {
  readonly type: 'dns' | 'ip';
  readonly value: string;
}

const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;

/** The identifier, or what is wrong with it. Wildcards have the `*.` they were asked with. */
export function readIdentifier(type: string, value: string): Identifier | { readonly wrong: string } {
  if (type === 'dns') return readDns(value);
  if (type === 'ip') return readIp(value);
  return { wrong: `identifiers of type ${JSON.stringify(type.slice(0, 32))} are not supported` };
}

function readDns(given: string): Identifier | { wrong: string } {
  const value = given.toLowerCase();
  if (value.length === 0 || value.length > 253) return { wrong: 'a name has 1 to 253 characters' };
  if (isIP(value)) return { wrong: 'an IP address is an identifier of type ip' };
  const labels = (value.startsWith('*.') ? value.slice(2) : value).split('.');
  const bad = labels.find((label) => !LABEL.test(label));
  if (bad !== undefined) {
    return { wrong: bad.includes('*') ? 'only the leftmost label may be *' : 'it is not a host name' };
  }
  if (/^\d+$/.test(labels.at(-1) ?? '')) return { wrong: 'the last label of a name is not a number' };
  return { type: 'dns', value };
}

function readIp(given: string): Identifier | { wrong: string } {
  if (isIPv4(given)) return { type: 'ip', value: given };
  // A zone (`%eth0`) names an interface of this machine: it has no place in a certificate.
  if (isIPv6(given) && !given.includes('%')) {
    return { type: 'ip', value: canonicalName(given) };
  }
  return { wrong: 'it is not an IP address' };
}

export function isWildcard(identifier: Identifier): boolean {
  return identifier.type === 'dns' && identifier.value.startsWith('*.');
}

/** The name without `*.`: what is validated. */
export function baseName(identifier: Identifier): string {
  return isWildcard(identifier) ? identifier.value.slice(2) : identifier.value;
}

/** Names that are loopback by definition (RFC 6761 section 6.3). */
export function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/** One string for comparing and sets. */
export function identifierKey(identifier: Identifier): string {
  return `${identifier.type}:${identifier.value}`;
}

/** The name under which an IP address is asked for in SNI (RFC 8738 section 6): `1.0.0.127.in-addr.arpa`. */
export function reverseName(address: string): string {
  if (isIPv4(address)) return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
  return `${ipBytes(address).toString('hex').split('').reverse().join('.')}.ip6.arpa`;
}

/** The 16 bytes of an IPv6 address. */
function ipBytes(address: string): Buffer {
  const normal = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = normal.split('::');
  const left = head.split(':').filter(Boolean);
  const right = (tail ?? '').split(':').filter(Boolean);
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
