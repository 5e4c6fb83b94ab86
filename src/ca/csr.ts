/** Certificate signing requests (RFC 2986) as a CA reads them: nothing in one is believed. */
import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { CertificationRequest } from '@peculiar/asn1-csr';
import type { CertificationRequestInfo } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Extensions, SubjectAlternativeName, id_ce_subjectAltName } from '@peculiar/asn1-x509';
import type { Extension } from '@peculiar/asn1-x509';
import { explain } from '../base/errors.ts';
import { signatureProblem } from '../pki/signed.ts';
import { CaError } from './errors.ts';
import { readIdentifier } from './identifiers.ts';
import type { Identifier } from './identifiers.ts';

export interface SigningRequest {
  /** The DER of the public key (SubjectPublicKeyInfo). */
  readonly spki: Buffer;
  /** Names of the subject's common name and the subject alternative name, each once. */
  readonly identifiers: readonly Identifier[];
  /** The certificate shall demand that a response is stapled (RFC 7633). */
  readonly mustStaple: boolean;
}

const COMMON_NAME = '2.5.4.3';
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const TLS_FEATURE = '1.3.6.1.5.5.7.1.24';
/** SEQUENCE of one INTEGER, the extension status_request. */
const STATUS_REQUEST = '3003020105';

const curves = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/** Bounds of RSA keys, in bits: below is weak, above costs the verifier seconds. */
const RSA_BITS = { least: 2048, most: 8192 };

/**
 * Reads a DER request, checks that whoever made it holds the key, and that the key is good enough. Throws
 * CaError `ca-bad-csr`.
 */
export function readSigningRequest(der: Buffer): SigningRequest {
  const request = parse(der);
  const spki = Buffer.from(AsnConvert.serialize(request.certificationRequestInfo.subjectPKInfo));
  const key = publicKey(spki);
  checkKey(key);
  checkSignature(request, key);
  const extensions = requestedExtensions(request.certificationRequestInfo);
  const identifiers = identifiersOf(request.certificationRequestInfo, extensions);
  return { spki, identifiers, mustStaple: mustStaple(extensions) };
}

function parse(der: Buffer): CertificationRequest {
  try {
    return AsnConvert.parse(der, CertificationRequest);
  } catch (cause) {
    throw bad('it is not a PKCS#10 request in DER', cause);
  }
}

function publicKey(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (cause) {
    throw bad('its public key can not be read', cause);
  }
}

function checkKey(key: KeyObject): void {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'rsa') {
    const bits = details?.modulusLength ?? 0;
    if (bits >= RSA_BITS.least && bits <= RSA_BITS.most && (details?.publicExponent ?? 0n) >= 65537n) return;
    throw bad(`RSA keys have ${RSA_BITS.least} to ${RSA_BITS.most} bits here, this one has ${bits}`);
  }
  if (key.asymmetricKeyType === 'ec' && curves.has(details?.namedCurve ?? '')) return;
  const kind = details?.namedCurve ?? key.asymmetricKeyType;
  throw bad(`keys are RSA or EC on P-256, P-384 or P-521 here, this one is ${kind}`);
}

function checkSignature(request: CertificationRequest, key: KeyObject): void {
  const problem = signatureProblem(
    {
      signed: Buffer.from(request.certificationRequestInfoRaw ?? new ArrayBuffer(0)),
      algorithm: request.signatureAlgorithm,
      signature: Buffer.from(request.signature),
    },
    key,
  );
  if (problem !== undefined) throw bad(problem);
}

function identifiersOf(info: CertificationRequestInfo, extensions: readonly Extension[]): Identifier[] {
  const found = new Map<string, Identifier>();
  for (const name of [...commonNames(info), ...alternativeNames(extensions)]) {
    const identifier = readIdentifier(name.type, name.value);
    if ('wrong' in identifier) throw bad(`${JSON.stringify(name.value.slice(0, 253))}: ${identifier.wrong}`);
    found.set(`${identifier.type}:${identifier.value}`, identifier);
  }
  return [...found.values()];
}

interface Named {
  readonly type: 'dns' | 'ip';
  readonly value: string;
}

function commonNames(info: CertificationRequestInfo): Named[] {
  return info.subject
    .flatMap((relative) => [...relative])
    .filter((attribute) => attribute.type === COMMON_NAME)
    .map((attribute) => attribute.value.toString())
    .map((value) => ({ type: /^[\d.]+$|:/.test(value) ? 'ip' : 'dns', value }));
}

function alternativeNames(extensions: readonly Extension[]): Named[] {
  const names: Named[] = [];
  for (const { extnID, extnValue } of extensions) {
    if (extnID !== id_ce_subjectAltName) continue;
    for (const name of decode(extnValue.buffer, SubjectAlternativeName)) {
      if (name.dNSName !== undefined) names.push({ type: 'dns', value: name.dNSName });
      else if (name.iPAddress !== undefined) names.push({ type: 'ip', value: name.iPAddress });
      else throw bad('it asks for a name that is neither a DNS name nor an IP address');
    }
  }
  return names;
}

function mustStaple(extensions: readonly Extension[]): boolean {
  const features = extensions.filter(({ extnID }) => extnID === TLS_FEATURE);
  // Issued without, any other would look granted.
  if (features.some(({ extnValue }) => Buffer.from(extnValue.buffer).toString('hex') !== STATUS_REQUEST)) {
    throw bad('of the TLS features, only status_request (must-staple) can be had');
  }
  return features.length > 0;
}

function requestedExtensions(info: CertificationRequestInfo): Extension[] {
  // asn1-csr types them as always there; they are optional in what openssl writes.
  const attributes = (info.attributes as CertificationRequestInfo['attributes'] | undefined) ?? [];
  return [...attributes]
    .filter((attribute) => attribute.type === EXTENSION_REQUEST)
    .flatMap((attribute) => attribute.values)
    .flatMap((value) => [...decode(value, Extensions)]);
}

function decode<T>(der: ArrayBuffer, type: new () => T): T {
  try {
    return AsnConvert.parse(der, type);
  } catch (cause) {
    throw bad('its extensions can not be read', cause);
  }
}

function bad(reason: string, cause?: unknown): CaError {
  const why = cause === undefined ? '' : ` (${explain(cause)})`;
  return new CaError('ca-bad-csr', `the certificate request is refused: ${reason}${why}`);
}
