/** OCSP messages (RFC 6960) as a responder reads and writes them. */
import { createHash } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import {
  BasicOCSPResponse,
  CertStatus,
  KeyHash,
  OCSPRequest,
  OCSPResponse,
  OCSPResponseStatus,
  ResponderID,
  ResponseBytes,
  ResponseData,
  RevokedInfo,
  SingleResponse,
  id_pkix_ocsp_basic,
  id_pkix_ocsp_nonce,
} from '@peculiar/asn1-ocsp';
import type { CertID } from '@peculiar/asn1-ocsp';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { CRLReason, Certificate } from '@peculiar/asn1-x509';
import type { Extension } from '@peculiar/asn1-x509';
import { signerOf } from '../pki/sign.ts';
import type { Revocation } from './revocations.ts';
import type { Signer } from './x509.ts';

export type { CertID } from '@peculiar/asn1-ocsp';

export interface StatusRequest {
  readonly certIds: readonly CertID[];
  /** RFC 9654: whoever sends one wants an answer made for this question. */
  readonly nonce: Extension | undefined;
}

/** Certificates in one question at most. */
const MOST_ASKED = 16;
/** RFC 9654 section 2.1, and two octets that say so. */
const LONGEST_NONCE = 128 + 3;

/** RFC 5280 section 4.1.2.2: 20 octets, and one more for the sign. */
const LONGEST_SERIAL = 21;
/** A NULL: none of the hashes has others. */
const LONGEST_PARAMETERS = 2;

/** undefined for what is no request, or one beyond all bounds. A signature on it is not looked at. */
export function readStatusRequest(der: Uint8Array): StatusRequest | undefined {
  let request: OCSPRequest;
  try {
    request = AsnConvert.parse(der, OCSPRequest);
  } catch {
    return undefined;
  }
  const { requestList, requestExtensions = [] } = request.tbsRequest;
  const nonce = requestExtensions.find(({ extnID }) => extnID === id_pkix_ocsp_nonce);
  if (requestList.length === 0 || requestList.length > MOST_ASKED) return undefined;
  if (nonce && nonce.extnValue.byteLength > LONGEST_NONCE) return undefined;
  const certIds = requestList.map(({ reqCert }) => reqCert);
  return certIds.every(isShort) ? { certIds, nonce } : undefined;
}

function isShort({ serialNumber, hashAlgorithm: { parameters } }: CertID): boolean {
  return serialNumber.byteLength <= LONGEST_SERIAL && (parameters?.byteLength ?? 0) <= LONGEST_PARAMETERS;
}

/** Upper-case hex, as OpenSSL prints it. */
export function serialOf({ serialNumber }: CertID): string {
  return Buffer.from(serialNumber).toString('hex').toUpperCase();
}

const hashes: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** How questions name an issuer: by hashes of its name and key. */
export class IssuerIdentity {
  readonly #name: Buffer;
  readonly #key: Buffer;

  constructor(issuer: X509Certificate) {
    const { subject, subjectPublicKeyInfo } = AsnConvert.parse(issuer.raw, Certificate).tbsCertificate;
    this.#name = Buffer.from(AsnConvert.serialize(subject));
    this.#key = Buffer.from(subjectPublicKeyInfo.subjectPublicKey);
  }

  issued({ hashAlgorithm, issuerNameHash, issuerKeyHash }: CertID): boolean {
    const hash = hashes[hashAlgorithm.algorithm];
    if (hash === undefined) return false;
    const digest = (data: Buffer) => createHash(hash).update(data).digest();
    return (
      digest(this.#name).equals(Buffer.from(issuerNameHash.buffer)) &&
      digest(this.#key).equals(Buffer.from(issuerKeyHash.buffer))
    );
  }
}

/** What is known of a certificate. */
export type Standing = 'good' | 'unknown' | Revocation;

export interface Statement {
  readonly standings: readonly (readonly [CertID, Standing])[];
  /** ms; they count whole seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly nonce: Extension | undefined;
}

/** A signed answer, DER, by a delegated responder, whose certificate goes along. */
export async function writeStatement(statement: Statement, { key, certificate }: Signer): Promise<Buffer> {
  const signer = signerOf(key);
  const responder = AsnConvert.parse(certificate.raw, Certificate);
  const { subjectPublicKey } = responder.tbsCertificate.subjectPublicKeyInfo;
  const keyHash = createHash('sha1').update(Buffer.from(subjectPublicKey)).digest();
  const thisUpdate = wholeSeconds(statement.thisUpdate);
  const nextUpdate = wholeSeconds(statement.nextUpdate);
  const tbsResponseData = new ResponseData({
    responderID: new ResponderID({ byKey: new KeyHash(keyHash) }),
    producedAt: thisUpdate,
    responses: statement.standings.map(
      ([certID, standing]) =>
        new SingleResponse({ certID, certStatus: certStatus(standing), thisUpdate, nextUpdate }),
    ),
    ...(statement.nonce && { responseExtensions: [statement.nonce] }),
  });
  const response = new BasicOCSPResponse({
    tbsResponseData,
    signatureAlgorithm: signer.algorithm,
    signature: await signer.sign(AsnConvert.serialize(tbsResponseData)),
    certs: [responder],
  });
  return responseDer(
    OCSPResponseStatus.successful,
    new ResponseBytes({
      responseType: id_pkix_ocsp_basic,
      response: new OctetString(AsnConvert.serialize(response)),
    }),
  );
}

function certStatus(standing: Standing): CertStatus {
  if (standing === 'good') return new CertStatus({ good: null });
  if (standing === 'unknown') return new CertStatus({ unknown: null });
  const { at, reason } = standing;
  const revocationTime = wholeSeconds(at);
  // RFC 5280, 5.3.1: "unspecified" is said by silence.
  const given = reason === 0 ? {} : { revocationReason: new CRLReason(reason) };
  return new CertStatus({ revoked: new RevokedInfo({ revocationTime, ...given }) });
}

const errors = {
  malformedRequest: OCSPResponseStatus.malformedRequest,
  internalError: OCSPResponseStatus.internalError,
  /** The certificate is of another issuer (RFC 5019 section 2.2.3). */
  unauthorized: OCSPResponseStatus.unauthorized,
} as const;

/** An answer that says nothing of a certificate: it is not signed. */
export function writeError(error: keyof typeof errors): Buffer {
  return responseDer(errors[error]);
}

function responseDer(responseStatus: OCSPResponseStatus, responseBytes?: ResponseBytes): Buffer {
  const response = new OCSPResponse({ responseStatus, ...(responseBytes && { responseBytes }) });
  return Buffer.from(AsnConvert.serialize(response));
}

/** Fractions of a second must not be there (RFC 6960 section 4.2.2.1, RFC 5280 section 4.1.2.5.2). */
function wholeSeconds(time: number): Date {
  return new Date(Math.floor(time / 1000) * 1000);
}

/** The bytes of what a question asks for, to know it again. */
export function certIdBytes(certId: CertID): Buffer {
  return Buffer.from(AsnConvert.serialize(certId));
}
