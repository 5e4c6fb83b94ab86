/**
 * Lists of revoked certificates (RFC 5280 section 5) as whoever lets in holders of certificates needs them: kept, and
 * asked at once. On node:crypto alone: workers load this. Lists for several issuers and lists of changes are refused:
 * what they don't say would be taken for good.
 */
import { verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { derElements, derInside, derTime, eachDerElement, tags } from './der.ts';
import type { DerElement } from './der.ts';
import { PkiError } from './errors.ts';
import { pemBlocks } from './pem.ts';

export interface RevocationList {
  /** DER of the Name. */
  readonly issuer: Buffer;
  /** ms since the epoch. */
  readonly thisUpdate: number;
  /** undefined: it says none. */
  readonly nextUpdate: number | undefined;
  /** Serial number: content of the INTEGER. */
  has(serial: Buffer): boolean;
  isSignedBy(key: KeyObject): boolean;
}

const LIMITS = { size: 64 * 1024 * 1024, blocks: 5000 };

/**
 * All lists of a PEM text; other blocks are skipped.
 * @throws PkiError `list-unreadable`, `pem-unreadable`
 */
export function parseRevocationLists(pem: string): RevocationList[] {
  const blocks = pemBlocks(pem, LIMITS).filter(({ label }) => label === 'X509 CRL');
  return blocks.map((block) => revocationList(derOf(block.pem)));
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ''), 'base64');
}

/** @throws PkiError `list-unreadable` */
export function revocationList(der: Buffer): RevocationList {
  try {
    return read(der);
  } catch (cause) {
    if (cause instanceof PkiError && cause.code === 'list-unreadable') throw cause;
    throw unreadable('This is not a certificate revocation list', { cause });
  }
}

const isTime = (element: DerElement | undefined): element is DerElement =>
  element?.tag === tags.utcTime || element?.tag === tags.generalizedTime;

function read(der: Buffer): RevocationList {
  const [body, algorithm, signature] = derInside(der);
  if (!body || !algorithm || !signature) throw unreadable('It has no signature');
  const fields = derElements(body.content);
  if (fields[0]?.tag === tags.integer) fields.shift();
  const [, issuer, begin, ...rest] = fields;
  if (!issuer || !isTime(begin)) throw unreadable('It has no issuer or no time');
  const next = isTime(rest[0]) ? rest.shift() : undefined;
  const entries = rest[0]?.tag === tags.sequence ? rest.shift() : undefined;
  refuseChanges(rest.find(({ tag }) => tag === tags.optional));
  const serials = serialsIn(entries);
  const [oid] = derElements(algorithm.content);
  const name = oid?.content.toString('hex') ?? '';
  return {
    issuer: issuer.raw,
    thisUpdate: derTime(begin),
    nextUpdate: next && derTime(next),
    has: (serial) => serials.has(serial.toString('hex')),
    isSignedBy: (key) => isSigned(body.raw, name, key, signature.content.subarray(1)),
  };
}

/** 2.5.29.27: a list of changes. */
const DELTA = '551d1b';
/** 2.5.29.29: an entry is of another issuer. */
const CERTIFICATE_ISSUER = Buffer.from('0603551d1d', 'hex');

function refuseChanges(extensions: DerElement | undefined): void {
  if (!extensions) return;
  for (const { content } of derInside(extensions.content)) {
    const oid = derElements(content)[0]?.content.toString('hex');
    if (oid === DELTA) throw unreadable('It is a list of changes to another list: give the whole one');
  }
}

function serialsIn(entries: DerElement | undefined): Set<string> {
  if (!entries) return new Set();
  if (entries.content.includes(CERTIFICATE_ISSUER))
    throw unreadable('It is a list for several issuers: give one for each');
  const serials = new Set<string>();
  for (const { content } of eachDerElement(entries.content)) {
    const { value: serial } = eachDerElement(content).next();
    if (serial?.tag !== tags.integer) throw unreadable('An entry has no serial number');
    serials.add(serial.content.toString('hex'));
  }
  return serials;
}

/** By the OID of the signature's algorithm; null: the key's own. */
const HASHES: Readonly<Record<string, string | null>> = {
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2b6570': null,
};

function isSigned(body: Buffer, algorithm: string, key: KeyObject, signature: Buffer): boolean {
  const hash = HASHES[algorithm];
  if (hash === undefined) return false;
  try {
    return verify(hash, body, key, signature);
  } catch {
    // A key of another kind than the algorithm says.
    return false;
  }
}

function unreadable(message: string, options?: ErrorOptions): PkiError {
  return new PkiError('list-unreadable', message, options);
}
