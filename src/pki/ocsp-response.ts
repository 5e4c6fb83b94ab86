/**
 * Reading an OCSP response (RFC 6960 section 4.2) and judging it as a strict client would (section 3.2): what is
 * stapled must not be refused by whom it is shown to.
 */
import { createHash } from 'node:crypto';
import {
  BasicOCSPResponse,
  id_kp_OCSPSigning,
  id_pkix_ocsp_basic,
  id_pkix_ocsp_nonce,
  OCSPResponse,
  OCSPResponseStatus,
  type ResponseData,
  type SingleResponse,
} from '@peculiar/asn1-ocsp';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { LatchkeyError } from '../base/errors.ts';
import { Certificate } from './certificate.ts';
import { derElements, derInside, partsOf, tags } from './der.ts';
import type { OcspQuestion } from './ocsp-request.ts';
import { signatureProblem, type Signed } from './signed.ts';

export type OcspErrorCode =
  /** Not an OCSP response, or too much of it. */
  | 'ocsp-unreadable'
  /** The responder gives no answer; `refusal` is its word for it. */
  | 'ocsp-refused'
  /** An answer about other certificates. */
  | 'ocsp-other-certificate'
  /** Signed by nobody who may speak for the issuer, or not as it says. */
  | 'ocsp-untrusted'
  | 'ocsp-not-yet-valid'
  | 'ocsp-expired'
  /** The nonce that was asked for is not in it. */
  | 'ocsp-nonce';

export class OcspError extends LatchkeyError<OcspErrorCode> {
  /** `tryLater`, `unauthorized`, `malformedRequest`, `internalError`, `sigRequired`. */
  readonly refusal: string | undefined;

  constructor(code: OcspErrorCode, message: string, options: ErrorOptions & { refusal?: string } = {}) {
    super(code, message, options);
    this.refusal = options.refusal;
  }
}

export type RevocationStatus = 'good' | 'revoked' | 'unknown';

/** What a response says. Times are ms since the epoch. */
export interface OcspAnswer {
  readonly status: RevocationStatus;
  readonly thisUpdate: number;
  /** undefined: newer information may be had at any time. */
  readonly nextUpdate: number | undefined;
  /** End of the certificate of a delegated responder, after which nobody believes the answer; else Infinity. */
  readonly signerNotAfter: number;
  /** Of `revoked`. */
  readonly revokedAt: number | undefined;
  /** CRLReason (RFC 5280 section 5.3.1) of `revoked`, if given: 1 is keyCompromise. */
  readonly reason: number | undefined;
}

/** Bytes at most. A response with a responder's certificate has 1 to 3 KB. */
export const LARGEST_RESPONSE = 64 * 1024;

/** How far a responder's clock may be ahead of ours, ms. */
export const SKEW = 5 * 60_000;

/** Certificates that are looked at for the responder's. */
const MOST_CERTIFICATES = 8;

/**
 * What `der` says on the certificate of `question`, if it may be believed at the time `now` (ms since the epoch).
 * @throws OcspError
 */
export function readOcspResponse(der: Uint8Array, question: OcspQuestion, now: number): OcspAnswer {
  const { basic, data } = parse(Buffer.from(der));
  const single = data.responses.find(({ certID }) => isAbout(certID, question));
  if (!single) {
    throw new OcspError('ocsp-other-certificate', 'The response is about another certificate');
  }
  const signerNotAfter = checkSignature(basic, question.issuer.certificate, now);
  checkExtensions(data, single, question.nonce);
  checkTimes(single, now);
  const { certStatus, thisUpdate, nextUpdate } = single;
  const { revoked } = certStatus;
  return {
    status: revoked ? 'revoked' : certStatus.good === undefined ? 'unknown' : 'good',
    thisUpdate: thisUpdate.getTime(),
    nextUpdate: nextUpdate?.getTime(),
    signerNotAfter,
    revokedAt: revoked?.revocationTime.getTime(),
    reason: revoked?.revocationReason?.reason,
  };
}

interface Parsed {
  readonly basic: ParsedBasic;
  readonly data: ResponseData;
}

interface ParsedBasic extends Signed {
  /** DER of the certificates that came along. */
  readonly certificates: readonly Buffer[];
}

function parse(der: Buffer): Parsed {
  if (der.length > LARGEST_RESPONSE) {
    throw new OcspError('ocsp-unreadable', `The response has more than ${LARGEST_RESPONSE} bytes`);
  }
  const { responseStatus, responseBytes } = decode(() => AsnConvert.parse(der, OCSPResponse));
  if (responseStatus !== OCSPResponseStatus.successful) throw refused(responseStatus);
  if (responseBytes?.responseType !== id_pkix_ocsp_basic) {
    throw new OcspError('ocsp-unreadable', 'The response is of a kind that is not known');
  }
  return decode(() => {
    const bytes = Buffer.from(responseBytes.response.buffer);
    const basic = AsnConvert.parse(bytes, BasicOCSPResponse);
    const [signed, , , wrapped] = derInside(bytes);
    if (!signed) throw new Error('empty');
    return {
      basic: {
        signed: signed.raw,
        algorithm: basic.signatureAlgorithm,
        signature: Buffer.from(basic.signature),
        certificates: wrapped ? derInside(wrapped.content).map(({ raw }) => raw) : [],
      },
      data: basic.tbsResponseData,
    };
  });
}

function decode<Decoded>(work: () => Decoded): Decoded {
  try {
    return work();
  } catch (cause) {
    throw new OcspError('ocsp-unreadable', 'This is not an OCSP response', { cause });
  }
}

function refused(status: OCSPResponseStatus): OcspError {
  const refusal = OCSPResponseStatus[status] ?? `status ${status}`;
  return new OcspError('ocsp-refused', `The responder answers ${refusal}`, { refusal });
}

const HASHES: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** Responders may use other hashes than the request did. */
function isAbout(id: SingleResponse['certID'], { serial, issuerName, issuer }: OcspQuestion): boolean {
  const hash = HASHES[id.hashAlgorithm.algorithm];
  if (hash === undefined || !serial.equals(Buffer.from(id.serialNumber))) return false;
  const digest = (bytes: Buffer) => createHash(hash).update(bytes).digest();
  return (
    digest(issuerName).equals(Buffer.from(id.issuerNameHash.buffer)) &&
    digest(issuer.publicKey).equals(Buffer.from(id.issuerKeyHash.buffer))
  );
}

/** By the issuer, or by whom the issuer has certified for that (RFC 6960 section 4.2.2.2). Gives signerNotAfter. */
function checkSignature(basic: ParsedBasic, issuer: Certificate, now: number): number {
  const named = decode(() => responder(basic.signed));
  const candidates = [issuer, ...basic.certificates.slice(0, MOST_CERTIFICATES).map(certificateOf)];
  const signer = candidates.find((candidate) => candidate && named(candidate));
  if (!signer) throw untrusted('the response has no certificate of the responder that it names');
  const delegated = !isSame(signer, issuer);
  const problem = delegated ? delegationProblem(signer, issuer, now) : undefined;
  if (problem !== undefined) throw untrusted(problem);
  const wrong = signatureProblem(basic, signer.x509.publicKey);
  if (wrong !== undefined) throw untrusted(wrong);
  return delegated ? signer.notAfter : Infinity;
}

/** undefined for one that can't be used, if only for its key. */
function certificateOf(der: Buffer): Certificate | undefined {
  try {
    const certificate = new Certificate(der);
    return certificate.keyType ? certificate : undefined;
  } catch {
    return undefined;
  }
}

/** Tells the responder by what ResponseData has as responderID: a Name, or the SHA-1 of a key. */
function responder(data: Buffer): (candidate: Certificate) => boolean {
  const [first, second] = derInside(data);
  const id = first?.tag === tags.optional ? second : first;
  const value = id?.content ?? Buffer.alloc(0);
  if (id?.tag === 0xa1) return ({ x509 }) => partsOf(x509).subject.equals(value);
  const [keyHash] = derElements(value);
  return ({ x509 }) =>
    id?.tag === 0xa2 &&
    keyHash?.content.equals(createHash('sha1').update(partsOf(x509).publicKey).digest()) === true;
}

function isSame(one: Certificate, other: Certificate): boolean {
  return (
    one.x509.publicKey.equals(other.x509.publicKey) &&
    partsOf(one.x509).subject.equals(partsOf(other.x509).subject)
  );
}

function delegationProblem(signer: Certificate, issuer: Certificate, now: number): string | undefined {
  if (!signer.x509.checkIssued(issuer.x509) || !signer.x509.verify(issuer.x509.publicKey)) {
    return "the responder's certificate is not from the issuer of the certificate asked about";
  }
  // Node's name for the extended key usages.
  if (!(signer.x509.keyUsage as string[] | undefined)?.includes(id_kp_OCSPSigning)) {
    return "the responder's certificate is not for OCSP signing";
  }
  if (now > signer.notAfter) return "the responder's certificate has expired";
  return now + SKEW < signer.notBefore ? "the responder's certificate is not valid yet" : undefined;
}

function untrusted(why: string): OcspError {
  return new OcspError('ocsp-untrusted', `The response can't be trusted: ${why}`);
}

function checkExtensions(
  { responseExtensions = [] }: ResponseData,
  { singleExtensions = [] }: SingleResponse,
  nonce: Uint8Array | undefined,
): void {
  const found = responseExtensions.find(({ extnID }) => extnID === id_pkix_ocsp_nonce);
  const unknown = [...responseExtensions, ...singleExtensions].find((one) => one.critical && one !== found);
  if (unknown) throw untrusted(`it has a critical extension that is not known (${unknown.extnID})`);
  if (!nonce) return;
  const value = found && decode(() => AsnConvert.parse(found.extnValue.buffer, OctetString));
  if (value && Buffer.from(value.buffer).equals(Buffer.from(nonce))) return;
  throw new OcspError('ocsp-nonce', 'The response does not repeat the nonce of the request');
}

function checkTimes({ thisUpdate, nextUpdate }: SingleResponse, now: number): void {
  if (!(thisUpdate.getTime() <= now + SKEW)) {
    const from = Number.isNaN(thisUpdate.getTime()) ? 'an unknown time' : thisUpdate.toUTCString();
    throw new OcspError('ocsp-not-yet-valid', `The response is valid from ${from} on: are the clocks right?`);
  }
  if (nextUpdate && !(nextUpdate.getTime() > now)) {
    const until = Number.isNaN(nextUpdate.getTime()) ? 'an unknown time' : nextUpdate.toUTCString();
    throw new OcspError('ocsp-expired', `The response was valid until ${until}: are the clocks right?`);
  }
}
