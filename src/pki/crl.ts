/**
 * Reading lists of revoked certificates (RFC 5280 section 5). Some have tens of megabytes, and few of their
 * entries are of any interest: they are gone through once, entry by entry, and nothing of them is kept.
 */
import { setImmediate } from 'node:timers/promises';
import { AsnConvert } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier } from '@peculiar/asn1-x509';
import { LatchkeyError } from '../base/errors.ts';
import type { Certificate } from './certificate.ts';
import { type DerElement, derElements, derInside, derTime, eachDerElement, partsOf, tags } from './der.ts';
import { signatureProblem } from './signed.ts';

export type CrlErrorCode =
  /** Not a revocation list. */
  | 'crl-unreadable'
  /** Of another issuer, of another place, or of some of its certificates only. */
  | 'crl-other'
  | 'crl-untrusted';

export class CrlError extends LatchkeyError<CrlErrorCode> {}

/** Which list is expected, and what is looked for in it. */
export interface CrlQuestion {
  readonly issuer: Certificate;
  /** Where it came from. */
  readonly url: string;
  /** See crlSerial(). */
  readonly serials: ReadonlySet<string>;
}

export interface CrlAnswer {
  /** ms since the epoch. */
  readonly thisUpdate: number;
  /** When there is a newer one at the latest; undefined where it does not say. */
  readonly nextUpdate: number | undefined;
  /** Those of the question that are on the list. */
  readonly revoked: ReadonlySet<string>;
}

/** Entries that are looked at before others have a turn. */
const SLICE = 5000;

/** Hex of OIDs: issuingDistributionPoint, the one critical extension that is understood. */
const ISSUING_POINT = '551d1c';
const DISTRIBUTION_POINTS = '551d1f';

/** A certificate's serial number as a CrlQuestion has it: the content of the INTEGER in hex. */
export function crlSerial({ x509 }: Certificate): string {
  return partsOf(x509).serial.toString('hex');
}

/** Where a certificate says that its list is (cRLDistributionPoints): http and https only. */
export function crlUrls({ x509 }: Certificate): string[] {
  const extension = partsOf(x509).extensions.get(DISTRIBUTION_POINTS);
  if (!extension) return [];
  const whole = derInside(extension).map(({ content }) => derElements(content));
  // Lists of some reasons only, or of another issuer than the certificate's, have a second field.
  const names = whole.flatMap(([point, ...rest]) => (point && rest.length === 0 ? uris(point) : []));
  return names.filter((url) => /^https?:\/\//i.test(url) && URL.canParse(url));
}

/**
 * What the list says on the certificates of the question. Who is on an old list is revoked all the same: its times
 * are not judged.
 * @throws CrlError
 */
export async function readCrl(der: Buffer, question: CrlQuestion): Promise<CrlAnswer> {
  try {
    return await read(der, question);
  } catch (cause) {
    if (cause instanceof CrlError) throw cause;
    throw new CrlError('crl-unreadable', 'This is not a list of revoked certificates', { cause });
  }
}

async function read(der: Buffer, question: CrlQuestion): Promise<CrlAnswer> {
  const [body, algorithm, bits] = derInside(der);
  if (!body || !algorithm || !bits) throw unreadable();
  const fields = derElements(body.content);
  // A version 1 list says no version.
  const [inner, issuer, ...rest] = fields.slice(fields[0]?.tag === tags.integer ? 1 : 0);
  const times = rest.filter(({ tag }) => tag === tags.utcTime || tag === tags.generalizedTime);
  const [thisUpdate, nextUpdate] = times.map(derTime);
  if (!inner || !issuer || thisUpdate === undefined) throw unreadable();
  if (!issuer.raw.equals(partsOf(question.issuer.x509).subject)) {
    throw new CrlError('crl-other', 'The list is of another issuer than the certificate');
  }
  if (!inner.raw.equals(algorithm.raw)) throw untrusted('it names two signature algorithms');
  const signed = {
    signed: body.raw,
    algorithm: AsnConvert.parse(algorithm.raw, AlgorithmIdentifier),
    signature: bits.content.subarray(1),
  };
  const problem = signatureProblem(signed, question.issuer.x509.publicKey);
  if (problem !== undefined) throw untrusted(problem);
  const extensions = rest.find(({ tag }) => tag === tags.optional);
  if (extensions) checkExtensions(extensions, question.url);
  const entries = rest.find(({ tag }) => tag === tags.sequence)?.content ?? Buffer.alloc(0);
  return { thisUpdate, nextUpdate, revoked: await among(question.serials, entries) };
}

async function among(serials: ReadonlySet<string>, entries: Buffer): Promise<Set<string>> {
  const found = new Set<string>();
  let seen = 0;
  for (const { content } of eachDerElement(entries)) {
    seen += 1;
    if (seen % SLICE === 0) await setImmediate();
    const { value: serial } = eachDerElement(content).next();
    if (serial?.tag !== tags.integer) throw unreadable();
    const hex = serial.content.toString('hex');
    if (serials.has(hex)) found.add(hex);
  }
  return found;
}

/** A list for one part of the certificates says so, and must not be taken for that of another part. */
function checkExtensions({ content }: DerElement, url: string): void {
  for (const extension of derInside(content)) {
    const [oid, ...fields] = derElements(extension.content);
    const id = oid?.content.toString('hex');
    const value = fields.find(({ tag }) => tag === tags.octets);
    if (id === ISSUING_POINT && value) checkPoint(value.content, url);
    else if (fields[0]?.tag === tags.boolean) {
      throw untrusted(`it has a critical extension that is not known (${id})`);
    }
  }
}

/** Context tags of IssuingDistributionPoint: of CAs only, some reasons, others' certificates, attributes only. */
const PARTIAL: ReadonlySet<number> = new Set([0x82, 0x83, 0x84, 0x85]);

function checkPoint(point: Buffer, url: string): void {
  const fields = derInside(point);
  if (fields.some(({ tag }) => PARTIAL.has(tag))) {
    throw new CrlError('crl-other', 'The list is not one of all revoked certificates of its issuer');
  }
  const names = fields.filter(({ tag }) => tag === tags.optional).flatMap(uris);
  if (names.length > 0 && !names.includes(url)) {
    throw new CrlError('crl-other', `The list is the one of ${names.join(', ')}`);
  }
}

/** Of a DistributionPointName in its [0]. */
function uris({ content }: DerElement): string[] {
  return derElements(content)
    .filter(({ tag }) => tag === tags.optional)
    .flatMap((fullName) => derElements(fullName.content))
    .filter(({ tag }) => tag === tags.uri)
    .map((name) => name.content.toString('latin1'));
}

function unreadable(): CrlError {
  return new CrlError('crl-unreadable', 'This is not a list of revoked certificates');
}

function untrusted(why: string): CrlError {
  return new CrlError('crl-untrusted', `The list can't be trusted: ${why}`);
}
