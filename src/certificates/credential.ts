import type { KeyObject } from 'node:crypto';
import { LatchkeyError } from '../base/errors.ts';
import { matchesKey, parseChain } from '../pki/certificate.ts';
import type { Certificate } from '../pki/certificate.ts';
import { keyFromPem, keyToPem, keyType } from '../pki/keys.ts';
import type { TableCertificate } from './table.ts';

export interface CredentialSource {
  /** PEM: the leaf, then its chain. A root at the end is left out, text between the blocks is ignored. */
  readonly chain: string;
  /** PEM of a plain private key of any format, or the key itself. */
  readonly key: string | KeyObject;
  /** DER of an OCSP response. */
  readonly staple?: Uint8Array | undefined;
}

/**
 * One certificate with its key as the table takes it, checked: both can be read, and the key is the leaf's. An
 * expired certificate is accepted: it is served until there is a new one.
 * @throws LatchkeyError `credential-mismatch`, or a PkiError of what could not be read
 */
export function createCredential(source: CredentialSource): TableCertificate {
  return readCredential(source).credential;
}

/** As createCredential(), with the leaf as it was read. */
export function readCredential(source: CredentialSource): {
  credential: TableCertificate;
  leaf: Certificate;
} {
  const key = typeof source.key === 'string' ? keyFromPem(source.key) : source.key;
  const [leaf, ...issuers] = parseChain(source.chain);
  if (!leaf || !matchesKey(leaf, key)) {
    throw new LatchkeyError(
      'credential-mismatch',
      `The private key is not that of the certificate ${leaf?.serial}: key file and certificate file don't belong together`,
    );
  }
  const credential = {
    keyType: keyType(key),
    chainPem: [leaf, ...issuers.filter((issuer) => !isRoot(issuer))].map(({ pem }) => pem).join(''),
    keyPem: keyToPem(key),
    serial: leaf.serial,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    ...(source.staple ? { staple: source.staple } : {}),
  };
  return { credential, leaf };
}

function isRoot({ x509 }: Certificate): boolean {
  return x509.subject === x509.issuer && x509.verify(x509.publicKey);
}
