/**
 * DER as it is written (X.690): for the few structures that are made by the thousand. An ASN.1 library takes a
 * millisecond and more for each, most of what a request for a certificate costs.
 */

/** Tags of what is written here. */
export const written = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** [2] and [7] of a GeneralName: dNSName, iPAddress. */
  dnsName: 0x82,
  ipAddress: 0x87,
} as const;

/** One element: tag, length, and the contents one after another. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Uint8Array.of(tag, ...lengthOf(content.length)), content]);
}

export function sequence(...contents: readonly Uint8Array[]): Buffer {
  return der(written.sequence, ...contents);
}

/** [N], constructed. */
export function tagged(number: number, ...contents: readonly Uint8Array[]): Buffer {
  return der(0xa0 + number, ...contents);
}

/** A BIT STRING of whole octets. */
export function bitString(content: Uint8Array): Buffer {
  return der(written.bits, Uint8Array.of(0), content);
}

/** An OBJECT IDENTIFIER from its dotted numbers. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(written.oid, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** A Time: UTCTime up to 2049, GeneralizedTime from then on (RFC 5280 section 4.1.2.5). `ms` since the epoch. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+Z$|[-:T]/g, '');
  const isUtc = digits < '2050';
  const tag = isUtc ? written.utcTime : written.generalizedTime;
  return der(tag, Buffer.from(`${isUtc ? digits.slice(2) : digits}Z`));
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return [0x80 + bytes.length, ...bytes];
}

/** Seven bits in each octet, all but the last marked (X.690 section 8.19). */
function base128(number: number): number[] {
  const bytes = [number & 0x7f];
  for (let rest = number >>> 7; rest > 0; rest >>>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}
