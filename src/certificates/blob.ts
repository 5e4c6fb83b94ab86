/**
 * How a certificate set is written in a shared table: DER instead of PEM, issuer chains by hash, and the version
 * up front, so that it is read without the rest. One P-256 set takes about 1.2 KB.
 *
 *     1      format (1)
 *     16     version: SHA-256 of all that follows, shortened
 *     1      flags: 1 = fallback
 *     1      number of certificates, then for each:
 *       1+n    key type, ASCII
 *       1+n    serial number
 *       8, 8   notBefore, notAfter (doubles, ms)
 *       32     SHA-256 of the issuer chain's blob; zeros: no chain
 *       4+n    leaf, DER
 *       4+n    private key, PKCS#8 DER
 *       4+n    OCSP response, DER; empty: none
 *
 * An issuer chain's blob is 4+n bytes for each certificate. Numbers are big-endian.
 */
import { createHash } from 'node:crypto';
import { LatchkeyError } from '../base/errors.ts';
import { pemBlocks, toPem } from '../pki/pem.ts';
import type { CertificateSet, TableCertificate } from './table.ts';

const FORMAT = 1;
const VERSION_END = 17;
const NO_CHAIN = Buffer.alloc(32);
/** A set beyond this is a mistake, not a certificate. */
const LARGEST = 2 ** 20;

export interface EncodedSet {
  readonly version: string;
  readonly blob: Buffer;
  /** Blobs of issuer chains by hash (hex). */
  readonly chains: ReadonlyMap<string, Buffer>;
}

/** Throws LatchkeyError `table-bad-set`. */
export function encodeSet(set: Omit<CertificateSet, 'version'>): EncodedSet {
  if (set.certificates.length === 0 || set.certificates.length > 255) throw badSet('has no certificates');
  const chains = new Map<string, Buffer>();
  const parts: Buffer[] = [Buffer.of(set.fallback ? 1 : 0, set.certificates.length)];
  for (const certificate of set.certificates) parts.push(...encodeCertificate(certificate, chains));
  const body = Buffer.concat(parts);
  if (body.length > LARGEST) throw badSet(`takes ${body.length} bytes`);
  const version = digest(body).subarray(0, VERSION_END - 1);
  return {
    version: version.toString('base64url'),
    blob: Buffer.concat([Buffer.of(FORMAT), version, body]),
    chains,
  };
}

function encodeCertificate(certificate: TableCertificate, chains: Map<string, Buffer>): Buffer[] {
  const [leaf, ...issuers] = derBlocks(certificate.chainPem, 'CERTIFICATE');
  const [key] = derBlocks(certificate.keyPem, 'PRIVATE KEY');
  if (!/^[\w-]{1,64}$/.test(certificate.keyType)) throw badSet('has no key type');
  if (!leaf) throw badSet('has no certificate in PEM');
  if (!key) throw badSet('has no plain PKCS#8 key in PEM');
  if (!/^(?:[0-9A-F]{2}){1,64}$/.test(certificate.serial)) throw badSet('has no serial number');
  const dates = Buffer.alloc(16);
  dates.writeDoubleBE(certificate.notBefore, 0);
  dates.writeDoubleBE(certificate.notAfter, 8);
  return [
    short(Buffer.from(certificate.keyType, 'latin1')),
    short(Buffer.from(certificate.serial, 'hex')),
    dates,
    encodeChain(issuers, chains),
    long(leaf),
    long(key),
    long(certificate.staple ?? Buffer.alloc(0)),
  ];
}

/** By text alone: what is inside was checked when the set was made. */
function derBlocks(pem: string, wanted: string): Buffer[] {
  return pemBlocks(pem)
    .filter(({ label }) => label === wanted)
    .map((block) => Buffer.from(block.pem.replace(/-----.*-----/g, ''), 'base64'));
}

function encodeChain(issuers: readonly Buffer[], chains: Map<string, Buffer>): Buffer {
  if (issuers.length === 0) return NO_CHAIN;
  const blob = Buffer.concat(issuers.map(long));
  const hash = digest(blob);
  chains.set(hash.toString('hex'), blob);
  return hash;
}

/** The version of a set's blob; undefined where it isn't one. */
export function versionOf(blob: Buffer): string | undefined {
  if (blob.length < VERSION_END || blob[0] !== FORMAT) return undefined;
  return blob.toString('base64url', 1, VERSION_END);
}

/** The hashes (hex) of the chains that a set's blob refers to; empty where it isn't one. */
export function chainsOf(blob: Buffer): string[] {
  const found = new Set<string>();
  decodeSet(blob, (hash) => {
    found.add(hash);
    return Buffer.alloc(0);
  });
  return [...found];
}

/** undefined where anything is not as encodeSet() writes it, or `chain` doesn't know an issuer chain. */
export function decodeSet(
  blob: Buffer,
  chain: (hash: string) => Buffer | undefined,
): CertificateSet | undefined {
  const version = versionOf(blob);
  if (version === undefined) return undefined;
  const body = blob.subarray(VERSION_END);
  if (digest(body).toString('base64url', 0, VERSION_END - 1) !== version) return undefined;
  try {
    const reader = new Reader(body);
    const fallback = reader.byte() === 1;
    const certificates: TableCertificate[] = [];
    for (let left = reader.byte(); left > 0; left--) {
      const certificate = decodeCertificate(reader, chain);
      if (!certificate) return undefined;
      certificates.push(certificate);
    }
    return { version, fallback, certificates };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function decodeCertificate(
  reader: Reader,
  chain: (hash: string) => Buffer | undefined,
): TableCertificate | undefined {
  const keyType = reader.bytes(reader.byte()).toString('latin1');
  const serial = reader.bytes(reader.byte()).toString('hex').toUpperCase();
  const notBefore = reader.double();
  const notAfter = reader.double();
  const hash = reader.bytes(32);
  const issuers = hash.equals(NO_CHAIN) ? Buffer.alloc(0) : chain(hash.toString('hex'));
  const leaf = reader.bytes(reader.long());
  const key = reader.bytes(reader.long());
  const staple = reader.bytes(reader.long());
  if (!issuers) return undefined;
  return {
    keyType,
    chainPem: toPem('CERTIFICATE', leaf) + decodeChain(issuers),
    keyPem: toPem('PRIVATE KEY', key),
    serial,
    notBefore,
    notAfter,
    // A copy: what a table reads may be overwritten by its next read.
    ...(staple.length > 0 ? { staple: Buffer.from(staple) } : {}),
  };
}

function decodeChain(blob: Buffer): string {
  const reader = new Reader(blob);
  let pem = '';
  while (reader.left > 0) pem += toPem('CERTIFICATE', reader.bytes(reader.long()));
  return pem;
}

/** Whether a chain's blob is what `hash` says. */
export function isChain(blob: Buffer, hash: string): boolean {
  return digest(blob).toString('hex') === hash;
}

/** Throws RangeError beyond the end. */
class Reader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get left(): number {
    return this.#buffer.length - this.#offset;
  }

  bytes(length: number): Buffer {
    if (length > this.left) throw new RangeError('beyond the end of the blob');
    this.#offset += length;
    return this.#buffer.subarray(this.#offset - length, this.#offset);
  }

  byte(): number {
    this.#offset += 1;
    return this.#buffer.readUInt8(this.#offset - 1);
  }

  long(): number {
    this.#offset += 4;
    return this.#buffer.readUInt32BE(this.#offset - 4);
  }

  double(): number {
    this.#offset += 8;
    return this.#buffer.readDoubleBE(this.#offset - 8);
  }
}

function short(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function long(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function badSet(what: string): LatchkeyError<'table-bad-set'> {
  return new LatchkeyError('table-bad-set', `A certificate set for the table ${what}`);
}
