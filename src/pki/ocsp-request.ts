/** Asking whether a certificate has been revoked (RFC 6960 section 4.1, in the form of RFC 5019). */
import { createHash } from 'node:crypto';
import { CertID, id_pkix_ocsp_nonce, OCSPRequest, Request, TBSRequest } from '@peculiar/asn1-ocsp';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { AlgorithmIdentifier, Extension } from '@peculiar/asn1-x509';
import type { Certificate } from './certificate.ts';
import { partsOf } from './der.ts';
import { toArrayBuffer } from './sign.ts';

const SHA1 = '1.3.14.3.2.26';
/** DER NULL. */
const NULL = Uint8Array.of(5, 0).buffer;

/** A CA as OCSP names it; one for all its certificates. */
export interface OcspIssuer {
  readonly certificate: Certificate;
  /** DER of its name. */
  readonly subject: Buffer;
  /** Content of its subjectPublicKey. */
  readonly publicKey: Buffer;
}

/** Which certificate is asked about. It holds no certificate: a server may have ten thousand of these. */
export interface OcspQuestion {
  /** Content of the INTEGER. */
  readonly serial: Buffer;
  /** DER of the issuer's name, as the certificate has it. */
  readonly issuerName: Buffer;
  readonly issuer: OcspIssuer;
  /** 1 to 128 bytes that the answer must repeat (RFC 9654); default none, so that the answer can be a cached one. */
  readonly nonce?: Uint8Array | undefined;
}

/** @throws PkiError `der-unreadable` */
export function ocspIssuer(certificate: Certificate): OcspIssuer {
  const { subject, publicKey } = partsOf(certificate.x509);
  return { certificate, subject, publicKey };
}

/** @throws PkiError `der-unreadable` */
export function questionAbout(leaf: Certificate, issuer: OcspIssuer): OcspQuestion {
  const parts = partsOf(leaf.x509);
  const issuerName = parts.issuer.equals(issuer.subject) ? issuer.subject : Buffer.from(parts.issuer);
  return { serial: Buffer.from(parts.serial), issuerName, issuer };
}

/**
 * DER of the request. The certificate is named by SHA-1 hashes, which is all that some responders know (RFC 5019
 * section 2.1.1): they identify, and prove nothing.
 */
export function ocspRequest({ serial, issuerName, issuer, nonce }: OcspQuestion): Buffer {
  const reqCert = new CertID({
    hashAlgorithm: new AlgorithmIdentifier({ algorithm: SHA1, parameters: NULL }),
    issuerNameHash: new OctetString(sha1(issuerName)),
    issuerKeyHash: new OctetString(sha1(issuer.publicKey)),
    serialNumber: toArrayBuffer(serial),
  });
  const tbsRequest = new TBSRequest({ requestList: [new Request({ reqCert })] });
  if (nonce) tbsRequest.requestExtensions = [nonceExtension(nonce)];
  return Buffer.from(AsnConvert.serialize(new OCSPRequest({ tbsRequest })));
}

function nonceExtension(nonce: Uint8Array): Extension {
  const value = AsnConvert.serialize(new OctetString(toArrayBuffer(nonce)));
  return new Extension({ extnID: id_pkix_ocsp_nonce, extnValue: new OctetString(value) });
}

function sha1(bytes: Uint8Array): ArrayBuffer {
  return toArrayBuffer(createHash('sha1').update(bytes).digest());
}

/** The URLs of OCSP responders that a certificate names (authorityInfoAccess), http and https only. */
export function responderUrls({ x509 }: Certificate): string[] {
  const lines = (x509.infoAccess ?? '').split('\n');
  return lines
    .map((line) => /^OCSP - URI:([^"]+)$/.exec(line)?.[1] ?? '')
    .filter((url) => /^https?:\/\//i.test(url) && URL.canParse(url));
}
