/** Certificate signing requests (PKCS #10, RFC 2986). */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { bitString, der, objectIdentifier, sequence, tagged, written } from './der-writer.ts';
import { commonName, mustStaple, subjectAltName } from './extensions-der.ts';
import { certificateName, LONGEST_COMMON_NAME } from './names.ts';
import { signerOf } from './sign.ts';

const EXTENSION_REQUEST = objectIdentifier('1.2.840.113549.1.9.14');
const VERSION_1 = der(written.integer, Uint8Array.of(0));

export interface CsrOptions {
  /** The certificate's private key. */
  readonly key: KeyObject;
  /** DNS names (`*.` allowed) and IP addresses; the first DNS name of at most 64 characters is the CN too. */
  readonly names: readonly string[];
  /** Asks for the OCSP must-staple extension (MDMustStaple); default false. */
  readonly mustStaple?: boolean;
}

/**
 * A signed request, DER.
 * @throws PkiError `name-invalid`, `key-cannot-sign`
 */
export async function createCsr(options: CsrOptions): Promise<Buffer> {
  const { key } = options;
  const names = options.names.map(certificateName);
  const extensions = sequence(subjectAltName(names), ...(options.mustStaple ? [mustStaple()] : []));
  const info = sequence(
    VERSION_1,
    commonName(names.find((name) => !isIP(name) && name.length <= LONGEST_COMMON_NAME)),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    tagged(0, sequence(EXTENSION_REQUEST, der(written.set, extensions))),
  );
  const signer = signerOf(key);
  return sequence(info, signer.algorithmDer, bitString(await signer.signDer(info)));
}
