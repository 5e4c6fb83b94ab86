/**
 * Certificates taken apart as they stand in their DER. OCSP hashes names and keys of certificates: the very bytes
 * count, not what another encoder would make of them.
 */
import type { X509Certificate } from 'node:crypto';
import { PkiError } from './errors.ts';

/** One element: tag, length and content as they were read. */
export interface DerElement {
  readonly tag: number;
  readonly raw: Buffer;
  readonly content: Buffer;
}

/** Tags that DER has for what is looked for here. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  octets: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  /** [6] of a GeneralName. */
  uri: 0x86,
  optional: 0xa0,
} as const;

/** The elements that `bytes` is made of, one after the other. @throws PkiError `der-unreadable` */
export function derElements(bytes: Buffer): DerElement[] {
  return [...eachDerElement(bytes)];
}

/** The same one at a time, for lists that may be long. @throws PkiError `der-unreadable` */
export function* eachDerElement(bytes: Buffer): Generator<DerElement, void> {
  for (let at = 0; at < bytes.length;) {
    const element = elementAt(bytes, at);
    yield element;
    at += element.raw.length;
  }
}

/** The one element that `bytes` begins with, opened. @throws PkiError `der-unreadable` */
export function derInside(bytes: Buffer): DerElement[] {
  return derElements(elementAt(bytes, 0).content);
}

function elementAt(bytes: Buffer, at: number): DerElement {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw unreadable();
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  const begin = at + 2 + lengthBytes;
  // Four bytes are more than anything that is read here may have; 0x80 alone is BER's unknown length.
  if (first === 0x80 || lengthBytes > 4 || begin > bytes.length) throw unreadable();
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  if (begin + length > bytes.length) throw unreadable();
  return {
    tag,
    raw: bytes.subarray(at, begin + length),
    content: bytes.subarray(begin, begin + length),
  };
}

/**
 * ms since the epoch of a Time; UTCTime's years are those from 1950 to 2049 (RFC 5280 section 4.1.2.5.1).
 * @throws PkiError `der-unreadable`
 */
export function derTime({ tag, content }: DerElement): number {
  const text = content.toString('latin1');
  const century = tag === tags.generalizedTime ? '' : text < '5' ? '20' : '19';
  const iso = (century + text).replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const ms = Date.parse(iso);
  if (Number.isNaN(ms)) throw unreadable();
  return ms;
}

export interface CertificateParts {
  /** Content of the INTEGER. */
  readonly serial: Buffer;
  /** DER of the Names. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Content of subjectPublicKey, without the count of unused bits: what OCSP takes the hash of. */
  readonly publicKey: Buffer;
  /** DER of the extensions by OID (content of the OID in hex). */
  readonly extensions: ReadonlyMap<string, Buffer>;
}

/** @throws PkiError `der-unreadable` */
export function partsOf(certificate: X509Certificate): CertificateParts {
  const [body] = derInside(certificate.raw);
  if (!body) throw unreadable();
  const fields = derElements(body.content);
  // A version 1 certificate says no version.
  const start = fields[0]?.tag === tags.optional ? 1 : 0;
  const [serial, , issuer, , subject, key] = fields.slice(start);
  const [, bits] = key ? derElements(key.content) : [];
  if (!serial || !issuer || !subject || !bits) throw unreadable();
  const extensions = fields.find(({ tag }) => tag === 0xa3);
  return {
    serial: serial.content,
    issuer: issuer.raw,
    subject: subject.raw,
    publicKey: bits.content.subarray(1),
    extensions: new Map(extensions ? derInside(extensions.content).map(extension) : []),
  };
}

function extension({ content }: DerElement): [string, Buffer] {
  const fields = derElements(content);
  const [oid, value] = [fields[0], fields.find(({ tag }) => tag === tags.octets)];
  if (!oid || !value) throw unreadable();
  return [oid.content.toString('hex'), value.content];
}

/** 1.3.6.1.5.5.7.1.24 */
const TLS_FEATURE = '2b06010505070118';
/** status_request as an INTEGER. */
const STATUS_REQUEST = '05';

/** Whether the certificate asks its clients to insist on a staple: TLS feature status_request (RFC 7633). */
export function hasMustStaple(certificate: X509Certificate): boolean {
  // Nearly none has it, and taking ten thousand apart takes its time.
  if (!certificate.raw.includes(Buffer.from(TLS_FEATURE, 'hex'))) return false;
  const feature = partsOf(certificate).extensions.get(TLS_FEATURE);
  return feature !== undefined && derInside(feature).some(isStatusRequest);
}

function isStatusRequest({ tag, content }: DerElement): boolean {
  return tag === tags.integer && content.toString('hex') === STATUS_REQUEST;
}

function unreadable(): PkiError {
  return new PkiError('der-unreadable', 'This is not DER');
}
