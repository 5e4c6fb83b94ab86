/**
 * Which certificates a client can use, told from its ClientHello as OpenSSL would tell it (RFC 8446 section 4.4.2.2,
 * RFC 5246 section 7.4.2, RFC 8422 section 5.1). Whoever is said to be able to use one can. Where it isn't certain
 * (what no client of today sends, rare keys) the answer is no: then OpenSSL chooses, and nobody knows what.
 */
import { X509Certificate } from 'node:crypto';
import type { TableCertificate } from '../certificates/table.ts';
import { capabilitiesOf } from './capabilities.ts';
import type { ClientHello } from './clienthello.ts';
import type { TlsPolicy } from './policy.ts';

/** What matters of a certificate's key: RSA, or EC on a curve. */
export type CertificateKind = 'rsa' | 'prime256v1' | 'secp384r1' | 'secp521r1';

interface Needs {
  /** Signature schemes of TLS 1.3: one of them. */
  readonly schemes: readonly number[];
  /** Signature algorithms of TLS 1.2: one of them. SHA-1 doesn't count, as for OpenSSL. */
  readonly algorithms: readonly number[];
  /** Suites of TLS 1.2: one of them. */
  readonly suites: readonly number[];
  /** The group of the key, in TLS 1.2. */
  readonly group: number | undefined;
}

const TLS12 = 0x0303;
const TLS13 = 0x0304;
const ECDSA = [0x0403, 0x0503, 0x0603];
const RSA_PSS = [0x0804, 0x0805, 0x0806];
const RSA_PKCS1 = [0x0401, 0x0501, 0x0601];
/** ECDHE with AES-GCM, ChaCha20-Poly1305, AES-CBC. */
const ECDHE_ECDSA = [0xc02b, 0xc02c, 0xcca9, 0xc009, 0xc00a, 0xc023, 0xc024];
const ECDHE_RSA = [0xc02f, 0xc030, 0xcca8, 0xc013, 0xc014, 0xc027, 0xc028];
/** Elliptic curves for the key exchange of TLS 1.2; hybrids with post-quantum parts are TLS 1.3's alone. */
const CURVES = [0x1d, 0x17, 0x18, 0x19, 0x1e];

const needs: Readonly<Record<CertificateKind, Needs>> = {
  rsa: { schemes: RSA_PSS, algorithms: [...RSA_PSS, ...RSA_PKCS1], suites: ECDHE_RSA, group: undefined },
  prime256v1: { schemes: [0x0403], algorithms: ECDSA, suites: ECDHE_ECDSA, group: 0x17 },
  secp384r1: { schemes: [0x0503], algorithms: ECDSA, suites: ECDHE_ECDSA, group: 0x18 },
  secp521r1: { schemes: [0x0603], algorithms: ECDSA, suites: ECDHE_ECDSA, group: 0x19 },
};

/** undefined for a key of another kind. */
export function kindOf({ chainPem }: Pick<TableCertificate, 'chainPem'>): CertificateKind | undefined {
  const { asymmetricKeyType, asymmetricKeyDetails } = new X509Certificate(chainPem).publicKey;
  if (asymmetricKeyType === 'rsa') return 'rsa';
  const curve = asymmetricKeyDetails?.namedCurve;
  return curve === 'prime256v1' || curve === 'secp384r1' || curve === 'secp521r1' ? curve : undefined;
}

/** Whether a client, served with a certificate of this kind alone under this policy, can certainly use it. */
export function canUse(hello: ClientHello, kind: CertificateKind, policy: TlsPolicy): boolean {
  // It speaks of the signatures on certificates as well, which nobody here has looked at.
  if (hello.signatureAlgorithmsCert !== undefined) return false;
  const { schemes, algorithms, suites, group } = needs[kind];
  const own = capabilitiesOf(policy);
  const shares = (wanted: readonly number[], theirs: readonly number[], ours: ReadonlySet<number>) =>
    wanted.some((code) => ours.has(code) && theirs.includes(code));
  const { supportedVersions, signatureAlgorithms, cipherSuites, groups } = hello;
  if (supportedVersions.includes(TLS13) && policy.maxVersion === 'TLSv1.3') {
    return shares(schemes, signatureAlgorithms, own.signatureAlgorithms);
  }
  return (
    supportedVersions.includes(TLS12) &&
    shares(algorithms, signatureAlgorithms, own.signatureAlgorithms) &&
    shares(suites, cipherSuites, own.cipherSuites) &&
    shares(CURVES, groups, own.groups) &&
    (group === undefined || groups.includes(group))
  );
}
