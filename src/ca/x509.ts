/** Certificates as ASN.1 (RFC 5280): putting one together and signing it. What goes in is authority.ts's affair. */
import { createHash, createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { id_kp_OCSPSigning, id_pkix_ocsp, id_pkix_ocsp_nocheck } from '@peculiar/asn1-ocsp';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AccessDescription,
  AuthorityInfoAccessSyntax,
  AuthorityKeyIdentifier,
  BasicConstraints,
  CRLDistributionPoints,
  Certificate,
  DistributionPoint,
  DistributionPointName,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_cRLDistributionPoints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectKeyIdentifier,
  id_kp_serverAuth,
  id_pe_authorityInfoAccess,
} from '@peculiar/asn1-x509';
import type { Name } from '@peculiar/asn1-x509';
import { commonName, mustStaple, subjectAltName } from '../pki/extensions.ts';
import { LONGEST_COMMON_NAME } from '../pki/names.ts';
import { signerOf, toArrayBuffer } from '../pki/sign.ts';
import type { Identifier } from './identifiers.ts';

export interface Signer {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

export interface Period {
  /** ms since the epoch; certificates count whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** A self-signed root. */
export async function buildRoot(name: string, key: KeyObject, period: Period): Promise<X509Certificate> {
  const spki = publicKeyDer(key);
  const own = commonName(name);
  return signed(key, {
    subject: own,
    issuer: own,
    spki,
    period,
    extensions: caExtensions(spki, undefined, 1),
  });
}

/** An intermediate that may sign server certificates, and no further CA. */
export async function buildIntermediate(
  subject: Name,
  key: KeyObject,
  root: Signer,
  period: Period,
): Promise<X509Certificate> {
  const spki = publicKeyDer(key);
  const extensions = caExtensions(spki, subjectKeyId(root.certificate), 0);
  return signed(root.key, {
    subject,
    issuer: subjectOf(root.certificate),
    spki,
    period,
    extensions,
  });
}

/** A delegated OCSP responder (RFC 6960 section 4.2.2.2). Nobody asks whether it was revoked itself: it has to be short-lived. */
export async function buildResponder(
  name: string,
  key: KeyObject,
  issuer: Signer,
  period: Period,
): Promise<X509Certificate> {
  const spki = publicKeyDer(key);
  return signed(issuer.key, {
    subject: commonName(name),
    issuer: subjectOf(issuer.certificate),
    spki,
    period,
    extensions: [
      extension(id_ce_basicConstraints, new BasicConstraints(), true),
      extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
      extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_OCSPSigning])),
      new Extension({ extnID: id_pkix_ocsp_nocheck, extnValue: new OctetString(NULL) }),
      ...keyIdentifiers(spki, subjectKeyId(issuer.certificate)),
    ],
  });
}

const NULL = Uint8Array.of(5, 0);

/** Where one can ask whether a certificate was revoked. */
export interface RevocationUrls {
  readonly ocsp: string;
  readonly crl: string;
}

export interface LeafContent {
  readonly identifiers: readonly Identifier[];
  /** DER of its public key. */
  readonly spki: Buffer;
  readonly period: Period;
  /** Undefined: the certificate names no such place. */
  readonly revocation: RevocationUrls | undefined;
  /** Servers have to staple a response (RFC 7633). */
  readonly mustStaple: boolean;
}

/** A server's certificate for exactly these identifiers. */
export async function buildLeaf(content: LeafContent, issuer: Signer): Promise<X509Certificate> {
  const { identifiers, spki, period, revocation } = content;
  const common = identifiers.find((i) => i.type === 'dns' && i.value.length <= LONGEST_COMMON_NAME);
  const names = identifiers.map(({ value }) => value);
  const rsa = createPublicKey({ key: spki, format: 'der', type: 'spki' }).asymmetricKeyType === 'rsa';
  const usage = KeyUsageFlags.digitalSignature | (rsa ? KeyUsageFlags.keyEncipherment : 0);
  const extensions = [
    extension(id_ce_basicConstraints, new BasicConstraints(), true),
    extension(id_ce_keyUsage, new KeyUsage(usage), true),
    extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth])),
    // Critical where there is no subject (RFC 5280, 4.2.1.6).
    subjectAltName(names, common === undefined),
    ...keyIdentifiers(spki, subjectKeyId(issuer.certificate)),
    ...(revocation ? revocationExtensions(revocation) : []),
    ...(content.mustStaple ? [mustStaple()] : []),
  ];
  return signed(issuer.key, {
    subject: commonName(common?.value),
    issuer: subjectOf(issuer.certificate),
    spki,
    period,
    extensions,
  });
}

function revocationExtensions({ ocsp, crl }: RevocationUrls): Extension[] {
  const accessLocation = new GeneralName({ uniformResourceIdentifier: ocsp });
  const access = new AccessDescription({ accessMethod: id_pkix_ocsp, accessLocation });
  const fullName = [new GeneralName({ uniformResourceIdentifier: crl })];
  const point = new DistributionPoint({ distributionPoint: new DistributionPointName({ fullName }) });
  return [
    extension(id_pe_authorityInfoAccess, new AuthorityInfoAccessSyntax([access])),
    extension(id_ce_cRLDistributionPoints, new CRLDistributionPoints([point])),
  ];
}

interface Content {
  readonly subject: Name;
  readonly issuer: Name;
  readonly spki: Buffer;
  readonly period: Period;
  readonly extensions: readonly Extension[];
}

async function signed(key: KeyObject, content: Content): Promise<X509Certificate> {
  const signer = signerOf(key);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: randomSerial(),
    signature: signer.algorithm,
    issuer: content.issuer,
    validity: new Validity({
      notBefore: new Date(content.period.notBefore),
      notAfter: new Date(content.period.notAfter),
    }),
    subject: content.subject,
    subjectPublicKeyInfo: AsnConvert.parse(content.spki, SubjectPublicKeyInfo),
    extensions: new Extensions([...content.extensions]),
  });
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: signer.algorithm,
    signatureValue: await signer.sign(AsnConvert.serialize(tbsCertificate)),
  });
  return new X509Certificate(Buffer.from(AsnConvert.serialize(certificate)));
}

/** 142 random bits, positive, of one length: at most 20 octets are allowed (RFC 5280, 4.1.2.2). */
function randomSerial(): ArrayBuffer {
  const serial = randomBytes(18);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return toArrayBuffer(serial);
}

function caExtensions(spki: Buffer, issuer: Buffer | undefined, pathLenConstraint: number): Extension[] {
  const usage = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature;
  return [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint }), true),
    extension(id_ce_keyUsage, new KeyUsage(usage), true),
    ...keyIdentifiers(spki, issuer),
  ];
}

function keyIdentifiers(spki: Buffer, issuer: Buffer | undefined): Extension[] {
  const own = extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(toArrayBuffer(keyIdOf(spki))));
  if (!issuer) return [own];
  return [own, authorityKeyId(issuer)];
}

/** Whose key signs, by its identifier. */
export function authorityKeyId(issuer: Buffer): Extension {
  const keyIdentifier = new KeyIdentifier(toArrayBuffer(issuer));
  return extension(id_ce_authorityKeyIdentifier, new AuthorityKeyIdentifier({ keyIdentifier }));
}

export function extension(extnID: string, value: unknown, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

/** RFC 7093 section 2, method 1: SHA-256 of the key's bits, cut to 160 bits. */
function keyIdOf(spki: Buffer): Buffer {
  const { subjectPublicKey } = AsnConvert.parse(spki, SubjectPublicKeyInfo);
  return createHash('sha256').update(Buffer.from(subjectPublicKey)).digest().subarray(0, 20);
}

/** The identifier an issuer gave itself: it may be a CA that somebody else made. */
export function subjectKeyId(issuer: X509Certificate): Buffer {
  const { tbsCertificate } = AsnConvert.parse(issuer.raw, Certificate);
  const own = tbsCertificate.extensions?.find((e) => e.extnID === id_ce_subjectKeyIdentifier);
  if (!own) return keyIdOf(publicKeyDer(issuer.publicKey));
  return Buffer.from(AsnConvert.parse(own.extnValue, SubjectKeyIdentifier).buffer);
}

export function subjectOf(issuer: X509Certificate): Name {
  return AsnConvert.parse(issuer.raw, Certificate).tbsCertificate.subject;
}

function publicKeyDer(key: KeyObject): Buffer {
  const open = key.type === 'private' ? createPublicKey(key) : key;
  return open.export({ format: 'der', type: 'spki' });
}
