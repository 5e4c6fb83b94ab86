/** Certificate signing requests (PKCS #10, RFC 2986). */
import type { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { Attributes, CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Attribute, Extensions } from '@peculiar/asn1-x509';
import { commonName, mustStaple, subjectAltName } from './extensions.ts';
import { certificateName, LONGEST_COMMON_NAME } from './names.ts';
import { publicKeyInfo, signerOf } from './sign.ts';

const id_extensionRequest = '1.2.840.113549.1.9.14';

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
  const extensions = [subjectAltName(names)];
  if (options.mustStaple) extensions.push(mustStaple());
  const info = new CertificationRequestInfo({
    subject: commonName(names.find((name) => !isIP(name) && name.length <= LONGEST_COMMON_NAME)),
    subjectPKInfo: publicKeyInfo(key),
    attributes: new Attributes([
      new Attribute({
        type: id_extensionRequest,
        values: [AsnConvert.serialize(new Extensions(extensions))],
      }),
    ]),
  });
  const signer = signerOf(key);
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: signer.algorithm,
    signature: await signer.sign(AsnConvert.serialize(info)),
  });
  return Buffer.from(AsnConvert.serialize(request));
}
