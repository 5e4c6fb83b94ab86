/** IP addresses, which have many spellings. */
import { isIP } from 'node:net';

/** One spelling per address: no zone, no brackets, IPv4-mapped IPv6 as IPv4, IPv6 compressed. */
export function normalizeAddress(address: string): string {
  // Asked several times for every connection.
  if (/^[0-9.]+$/.test(address)) return address;
  const bare = address.replace(/^\[|\]$|%.*$/g, '').toLowerCase();
  if (!bare.includes(':')) return bare;
  if (bare.startsWith('::ffff:') && bare.includes('.')) return bare.slice('::ffff:'.length);
  const compressed = URL.parse(`http://[${bare}]/`)?.hostname.slice(1, -1) ?? bare;
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(compressed);
  return mapped ? dotted(`${mapped[1]}`, `${mapped[2]}`) : compressed;
}

/** Of this machine itself: 127.0.0.0/8, ::1, `localhost`. */
export function isLoopbackAddress(address: string): boolean {
  const plain = normalizeAddress(address);
  return plain === '::1' || plain === 'localhost' || (isIP(plain) === 4 && plain.startsWith('127.'));
}

/**
 * Whether a Host header names the loopback. A web page whose name was made to lead to 127.0.0.1 (DNS rebinding) comes
 * from this machine, too, and has its browser read what is answered: by its own name.
 */
export function isLoopbackHost(host: string | undefined): boolean {
  const name = URL.parse(`http://${host ?? ''}/`)?.hostname ?? '';
  return isLoopbackAddress(name) || name.endsWith('.localhost');
}

function dotted(high: string, low: string): string {
  const bytes = Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex');
  return bytes.join('.');
}

/** The address that `4.3.2.1.in-addr.arpa` or a name below `ip6.arpa` stands for, normalized; undefined for others. */
export function addressOfReverseName(name: string): string | undefined {
  const [, reversed = '', family] = /^((?:[0-9a-f]{1,3}\.)+)(in-addr|ip6)\.arpa\.?$/i.exec(name) ?? [];
  const parts = reversed.split('.').filter(Boolean).reverse();
  const address =
    family?.toLowerCase() === 'ip6' ? parts.join('').replaceAll(/(.{4})(?=.)/g, '$1:') : parts.join('.');
  const whole = family?.toLowerCase() === 'ip6' ? parts.length === 32 : parts.length === 4;
  return whole && isIP(address) ? normalizeAddress(address) : undefined;
}

/** Whom an address belongs to, as far as it tells: an IPv4 address, or the /64 that an IPv6 client has as a whole. */
export function networkOf(address: string): string {
  const plain = normalizeAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [head = '', tail] = plain.split('::', 2);
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  return [...groups, ...Array<string>(missing).fill('0')].slice(0, 4).join(':');
}
