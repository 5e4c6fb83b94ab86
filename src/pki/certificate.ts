/** Reading certificates. On node:crypto alone: workers load this, and nothing that parses ASN.1 in JavaScript. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { PkiError } from './errors.ts';
import { keyType } from './keys.ts';
import type { KnownCertificates } from './known-certificates.ts';
import { canonicalName, covers } from './names.ts';
import { pemBlocks } from './pem.ts';
import { renewalId } from './renewal-id.ts';

/** What Latchkey wants to know of a certificate. */
export interface CertificateInfo {
  /** Upper-case hex, as OpenSSL prints it. */
  readonly serial: string;
  /** ms since the epoch. */
  readonly notBefore: number;
  /** ms since the epoch. */
  readonly notAfter: number;
  /** dNSNames and iPAddresses of the subjectAltName in lower case; the commonName where there are none. */
  readonly names: readonly string[];
  /** `/C=US/O=Example/CN=Issuer`, as mod_md's status has it (X509_NAME_oneline). */
  readonly issuerName: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string;
  /** `rsa`, `ec`, … as keyType() names them. */
  readonly keyType: string;
  /** With a newline at the end. */
  readonly pem: string;
  /** What ARI calls it (RFC 9773 section 4.1); undefined where it has no authority key identifier. */
  readonly renewalId: string | undefined;
}

/** A certificate, read lazily: each value is computed when asked for. */
export class Certificate implements CertificateInfo {
  readonly x509: X509Certificate;
  #names: readonly string[] | undefined;
  /** `null` until it has been looked for. */
  #renewalId: string | undefined | null = null;

  /**
   * @param source PEM (its first certificate) or DER
   * @throws PkiError `certificate-unreadable`
   */
  constructor(source: string | Uint8Array) {
    try {
      this.x509 = new X509Certificate(source);
    } catch (cause) {
      throw new PkiError('certificate-unreadable', 'This is not an X.509 certificate', { cause });
    }
  }

  get serial(): string {
    return this.x509.serialNumber;
  }

  get notBefore(): number {
    return this.x509.validFromDate.getTime();
  }

  get notAfter(): number {
    return this.x509.validToDate.getTime();
  }

  get names(): readonly string[] {
    return (this.#names ??= namesOf(this.x509));
  }

  get issuerName(): string {
    return oneLine(this.x509.issuer);
  }

  get sha256(): string {
    return this.x509.fingerprint256.replaceAll(':', '').toLowerCase();
  }

  get renewalId(): string | undefined {
    if (this.#renewalId === null) this.#renewalId = renewalId(this.x509);
    return this.#renewalId;
  }

  get keyType(): string {
    return keyType(this.x509.publicKey);
  }

  get pem(): string {
    return this.x509.toString();
  }
}

export interface ChainOptions {
  /** Certificates at most; default 16. */
  readonly length?: number;
  /** Where they may be at hand already. */
  readonly known?: KnownCertificates;
}

/**
 * All certificates of a PEM text in their order (leaf first, by custom). Blocks of other kinds are skipped.
 * @throws PkiError `pem-unreadable`, `certificate-unreadable`: garbage, none at all, or too many.
 */
export function parseChain(pem: string, { length = 16, known }: ChainOptions = {}): Certificate[] {
  const blocks = pemBlocks(pem).filter(({ label }) => CERTIFICATE_LABELS.has(label));
  if (blocks.length === 0)
    throw new PkiError('certificate-unreadable', 'There is no certificate in this text');
  if (blocks.length > length) {
    throw new PkiError(
      'certificate-unreadable',
      `A chain of ${blocks.length} certificates: at most ${length} are read`,
    );
  }
  return blocks.map((block) => known?.read(block.pem) ?? new Certificate(block.pem));
}

/** The second is OpenSSL's, which some old tools write. */
const CERTIFICATE_LABELS: ReadonlySet<string> = new Set(['CERTIFICATE', 'X509 CERTIFICATE']);

/** Whether a certificate is good for `name` (a DNS name, also `*.rest` itself, or an IP address). */
export function coversName(certificate: Pick<CertificateInfo, 'names'>, name: string): boolean {
  return covers(certificate.names, name);
}

/** Whether `key` is the private key of this certificate. */
export function matchesKey(certificate: Certificate, key: KeyObject): boolean {
  return certificate.x509.checkPrivateKey(key);
}

/** DNS names that a certificate is good for: its dNSNames, or the commonName where there are none (RFC 6125, 6.4.4). */
export function dnsNames({ names, x509 }: Certificate): readonly string[] {
  const alternative = names.filter((name) => !isIP(name));
  return alternative.length > 0 ? alternative : commonNameOf(x509);
}

function namesOf(x509: X509Certificate): readonly string[] {
  return x509.subjectAltName === undefined ? commonNameOf(x509) : altNames(x509.subjectAltName);
}

function commonNameOf(x509: X509Certificate): readonly string[] {
  const common: unknown = x509.toLegacyObject().subject.CN;
  return typeof common === 'string' ? [canonicalName(common)] : [];
}

/**
 * Node prints the extension as `DNS:a.example, IP Address:192.0.2.1, DNS:"odd\u002cname"`: whatever could be
 * mistaken for a separator is in a JSON string, and a name that needs that is none a client could ask for.
 */
function altNames(printed: string): string[] {
  return Array.from(printed.matchAll(/(?:^|, )(?:DNS|IP Address):([^,"]+)(?=, |$)/g), ([, name = '']) =>
    canonicalName(name),
  );
}

/** From one RFC 2253 line for each attribute to X509_NAME_oneline's form. */
function oneLine(name: string): string {
  return name
    .split('\n')
    .map((attribute) => `/${attribute.replace(/\\(.)/g, '$1')}`)
    .join('');
}
