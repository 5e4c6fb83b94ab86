/** The X.509 extensions that Latchkey writes, and the subject: as DER. */
import { isIP } from 'node:net';
import { der, objectIdentifier, sequence, written } from './der-writer.ts';
import { certificateName } from './names.ts';

const SUBJECT_ALT_NAME = objectIdentifier('2.5.29.17');
const BASIC_CONSTRAINTS = objectIdentifier('2.5.29.19');
const KEY_USAGE = objectIdentifier('2.5.29.15');
const EXTENDED_KEY_USAGE = objectIdentifier('2.5.29.37');
const SERVER_AUTH = objectIdentifier('1.3.6.1.5.5.7.3.1');
const ACME_IDENTIFIER = objectIdentifier('1.3.6.1.5.5.7.1.31');
const TLS_FEATURE = objectIdentifier('1.3.6.1.5.5.7.1.24');
const COMMON_NAME = objectIdentifier('2.5.4.3');

const TRUE = der(written.boolean, Uint8Array.of(0xff));
/** The first bit, of one that counts (RFC 5280 section 4.2.1.3). */
const DIGITAL_SIGNATURE = der(written.bits, Uint8Array.of(7, 0x80));
const STATUS_REQUEST = der(written.integer, Uint8Array.of(5));

/** @throws PkiError `name-invalid` */
export function subjectAltName(names: readonly string[], critical = false): Buffer {
  return extension(SUBJECT_ALT_NAME, critical, sequence(...names.map(certificateName).map(generalName)));
}

function generalName(name: string): Buffer {
  return isIP(name) ? der(written.ipAddress, addressOctets(name)) : der(written.dnsName, Buffer.from(name));
}

/** The 4 or 16 octets of an address. */
function addressOctets(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number));
  // Without dotted numbers at the end.
  const hex = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = hex.split('::').map((half) => half.split(':').filter(Boolean));
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  return Buffer.from([...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** OCSP must-staple: TLS feature status_request (RFC 7633). */
export function mustStaple(): Buffer {
  return extension(TLS_FEATURE, false, sequence(STATUS_REQUEST));
}

/** acmeIdentifier (RFC 8737 section 3): the SHA-256 of a key authorization, critical. */
export function acmeIdentifier(digest: Uint8Array): Buffer {
  return extension(ACME_IDENTIFIER, true, der(written.octets, digest));
}

/** What a certificate of a server has: no CA, signatures only, serverAuth. */
export function serverUsage(): Buffer[] {
  return [
    extension(BASIC_CONSTRAINTS, true, sequence()),
    extension(KEY_USAGE, true, DIGITAL_SIGNATURE),
    extension(EXTENDED_KEY_USAGE, false, sequence(SERVER_AUTH)),
  ];
}

/** A subject of a commonName alone, or an empty one. */
export function commonName(text: string | undefined): Buffer {
  if (text === undefined) return sequence();
  const attribute = sequence(COMMON_NAME, der(written.utf8, Buffer.from(text)));
  return sequence(der(written.set, attribute));
}

function extension(id: Buffer, critical: boolean, value: Buffer): Buffer {
  return sequence(id, ...(critical ? [TRUE] : []), der(written.octets, value));
}
