/** A CA for tests of OCSP: certificates with a responder's URL, and responses of any kind, good and bad. */
import { createHash, randomBytes, type KeyObject } from 'node:crypto';
import {
  BasicOCSPResponse,
  CertID,
  CertStatus,
  id_pkix_ocsp_basic,
  id_pkix_ocsp_nonce,
  KeyHash,
  OCSPResponse,
  OCSPResponseStatus,
  ResponderID,
  ResponseBytes,
  ResponseData,
  RevokedInfo,
  SingleResponse,
} from '@peculiar/asn1-ocsp';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AccessDescription,
  AlgorithmIdentifier,
  AuthorityInfoAccessSyntax,
  BasicConstraints,
  Certificate as CertificateAsn,
  CRLDistributionPoints,
  CRLReason,
  DistributionPoint,
  DistributionPointName,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ad_ocsp,
  id_ce_basicConstraints,
  id_ce_cRLDistributionPoints,
  id_ce_extKeyUsage,
  id_pe_authorityInfoAccess,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { Certificate } from './certificate.ts';
import { partsOf } from './der.ts';
import { commonName, mustStaple, subjectAltName } from './extensions.ts';
import { generateKey, keyToPem } from './keys.ts';
import type { KeySpec } from './keyspec.ts';
import { publicKeyInfo } from './asn1.testing.ts';
import { signerOf, toArrayBuffer } from './sign.ts';

const DAY = 24 * 60 * 60 * 1000;
const P256: KeySpec = { type: 'EC', name: 'p-256' };
export const ocspSigning = '1.3.6.1.5.5.7.3.9';

export interface Issued {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly keyPem: string;
  /** PEM of the certificate and of its issuer. */
  readonly chainPem: string;
}

export interface IssueOptions {
  readonly names?: readonly string[];
  /** URL of the responder; default none. */
  readonly ocsp?: string | undefined;
  /** URL of the list of revoked certificates; default none. */
  readonly crl?: string | undefined;
  readonly mustStaple?: boolean;
  /** Extended key usages. */
  readonly usages?: readonly string[];
  readonly spec?: KeySpec;
  /** An existing key instead of a new one: quicker, for very many. */
  readonly key?: KeyObject;
  /** ms since the epoch; default: from an hour before the CA's `now`, for 90 days. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

export class OcspTestCa {
  readonly certificate: Certificate;
  readonly key: KeyObject;
  readonly now: number;

  static async create(now: number, name = 'OCSP test CA'): Promise<OcspTestCa> {
    const key = await generateKey(P256);
    const constraints = AsnConvert.serialize(new BasicConstraints({ cA: true }));
    const der = await certify({
      issuer: name,
      signer: key,
      subject: name,
      key,
      notBefore: now - DAY,
      notAfter: now + 3650 * DAY,
      extensions: [extension(id_ce_basicConstraints, constraints)],
    });
    return new OcspTestCa(new Certificate(der), key, now, name);
  }

  readonly #name: string;

  private constructor(certificate: Certificate, key: KeyObject, now: number, name: string) {
    this.certificate = certificate;
    this.key = key;
    this.now = now;
    this.#name = name;
  }

  async issue(options: IssueOptions = {}): Promise<Issued> {
    const { names = ['a.test'], ocsp, crl, usages } = options;
    const key = options.key ?? (await generateKey(options.spec ?? P256));
    const extensions = [subjectAltName(names)];
    if (ocsp !== undefined) extensions.push(authorityInfo(ocsp));
    if (crl !== undefined) extensions.push(distributionPoint(crl));
    if (options.mustStaple) extensions.push(mustStaple());
    if (usages) {
      extensions.push(extension(id_ce_extKeyUsage, AsnConvert.serialize(new ExtendedKeyUsage([...usages]))));
    }
    const der = await certify({
      issuer: this.#name,
      signer: this.key,
      subject: names[0] ?? '',
      key,
      notBefore: options.notBefore ?? this.now - 3_600_000,
      notAfter: options.notAfter ?? this.now + 90 * DAY,
      extensions,
    });
    const certificate = new Certificate(der);
    const chainPem = certificate.pem + this.certificate.pem;
    return { certificate, key, keyPem: keyToPem(key), chainPem };
  }
}

function distributionPoint(url: string): Extension {
  const fullName = [new GeneralName({ uniformResourceIdentifier: url })];
  const point = new DistributionPoint({ distributionPoint: new DistributionPointName({ fullName }) });
  return extension(id_ce_cRLDistributionPoints, AsnConvert.serialize(new CRLDistributionPoints([point])));
}

interface CertifyOptions {
  readonly issuer: string;
  readonly signer: KeyObject;
  readonly subject: string;
  readonly key: KeyObject;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Extension[];
}

async function certify(options: CertifyOptions): Promise<Buffer> {
  const signer = signerOf(options.signer);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: toArrayBuffer(Buffer.concat([Buffer.of(0x4c), randomBytes(15)])),
    signature: signer.algorithm,
    issuer: commonName(options.issuer),
    validity: new Validity({
      notBefore: new Date(options.notBefore),
      notAfter: new Date(options.notAfter),
    }),
    subject: commonName(options.subject),
    subjectPublicKeyInfo: publicKeyInfo(options.key),
    extensions: new Extensions([...options.extensions]),
  });
  const certificate = new CertificateAsn({
    tbsCertificate,
    signatureAlgorithm: signer.algorithm,
    signatureValue: await signer.sign(AsnConvert.serialize(tbsCertificate)),
  });
  return Buffer.from(AsnConvert.serialize(certificate));
}

function authorityInfo(url: string): Extension {
  const location = new GeneralName({ uniformResourceIdentifier: url });
  const access = new AccessDescription({ accessMethod: id_ad_ocsp, accessLocation: location });
  return extension(id_pe_authorityInfoAccess, AsnConvert.serialize(new AuthorityInfoAccessSyntax([access])));
}

function extension(extnID: string, value: ArrayBuffer, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(value) });
}

export interface Answer {
  readonly issuer: Certificate;
  /** Whom it is about: certificates, or a serial number as the request had it. */
  readonly leaf: Certificate | Uint8Array;
  /** Whose key signs; its certificate comes along unless it is the issuer's. */
  readonly signer: { readonly certificate: Certificate; readonly key: KeyObject };
  readonly status?: 'good' | 'revoked' | 'unknown';
  /** ms since the epoch. */
  readonly thisUpdate: number;
  readonly nextUpdate?: number | undefined;
  /** CRLReason of `revoked`; default 1, keyCompromise. */
  readonly reason?: number;
  readonly nonce?: Uint8Array | undefined;
  /** Names the responder by its name instead of its key's hash. */
  readonly byName?: boolean;
  readonly hash?: 'sha1' | 'sha256';
  /** A critical extension nobody knows. */
  readonly critical?: boolean;
}

/** DER of a signed response. */
export async function makeOcspResponse(answer: Answer): Promise<Buffer> {
  const { issuer, signer, status = 'good', nextUpdate, nonce } = answer;
  const single = new SingleResponse({
    certID: certId(answer),
    certStatus: certStatus(status, answer),
    thisUpdate: wholeSeconds(answer.thisUpdate),
  });
  if (nextUpdate !== undefined) single.nextUpdate = wholeSeconds(nextUpdate);
  const parts = partsOf(signer.certificate.x509);
  const keyHash = toArrayBuffer(createHash('sha1').update(parts.publicKey).digest());
  const subject = AsnConvert.parse(signer.certificate.x509.raw, CertificateAsn).tbsCertificate.subject;
  const tbsResponseData = new ResponseData({
    responderID: new ResponderID(answer.byName ? { byName: subject } : { byKey: new KeyHash(keyHash) }),
    producedAt: wholeSeconds(answer.thisUpdate),
    responses: [single],
  });
  const extensions = [];
  if (nonce) {
    extensions.push(
      extension(id_pkix_ocsp_nonce, AsnConvert.serialize(new OctetString(toArrayBuffer(nonce)))),
    );
  }
  if (answer.critical) extensions.push(extension('1.2.3.4', Uint8Array.of(5, 0).buffer, true));
  if (extensions.length > 0) tbsResponseData.responseExtensions = extensions;
  const own = signerOf(signer.key);
  const basic = new BasicOCSPResponse({
    tbsResponseData,
    signatureAlgorithm: own.algorithm,
    signature: await own.sign(AsnConvert.serialize(tbsResponseData)),
  });
  if (signer.certificate !== issuer) {
    basic.certs = [AsnConvert.parse(signer.certificate.x509.raw, CertificateAsn)];
  }
  const responseBytes = new ResponseBytes({
    responseType: id_pkix_ocsp_basic,
    response: new OctetString(AsnConvert.serialize(basic)),
  });
  const response = new OCSPResponse({ responseStatus: OCSPResponseStatus.successful, responseBytes });
  return Buffer.from(AsnConvert.serialize(response));
}

/** DER of a response that refuses. */
export function ocspRefusal(status: keyof typeof OCSPResponseStatus): Buffer {
  const response = new OCSPResponse({ responseStatus: OCSPResponseStatus[status] });
  return Buffer.from(AsnConvert.serialize(response));
}

function certId({ leaf, issuer, hash = 'sha1' }: Answer): CertID {
  const digest = (bytes: Buffer) => toArrayBuffer(createHash(hash).update(bytes).digest());
  const { subject, publicKey } = partsOf(issuer.x509);
  const oid = hash === 'sha1' ? '1.3.14.3.2.26' : '2.16.840.1.101.3.4.2.1';
  return new CertID({
    hashAlgorithm: new AlgorithmIdentifier({ algorithm: oid, parameters: Uint8Array.of(5, 0).buffer }),
    issuerNameHash: new OctetString(digest(subject)),
    issuerKeyHash: new OctetString(digest(publicKey)),
    serialNumber: toArrayBuffer(leaf instanceof Certificate ? partsOf(leaf.x509).serial : leaf),
  });
}

function certStatus(status: Answer['status'], { thisUpdate, reason = 1 }: Answer): CertStatus {
  if (status === 'good') return new CertStatus({ good: null });
  if (status === 'unknown') return new CertStatus({ unknown: null });
  const revoked = new RevokedInfo({
    revocationTime: wholeSeconds(thisUpdate),
    revocationReason: new CRLReason(reason),
  });
  return new CertStatus({ revoked });
}

/** RFC 6960 has no fractions of seconds. */
function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
