/** Signs whatever is asked for: the honest half of the hostile CA. */
import { AsnConvert } from '@peculiar/asn1-schema';
import { CertificationRequest } from '@peculiar/asn1-csr';
import { Certificate, Extensions, TBSCertificate, Validity, Version } from '@peculiar/asn1-x509';
import { commonName } from '../pki/extensions.ts';
import { generateKey } from '../pki/keys.ts';
import { toPem } from '../pki/pem.ts';
import { signerOf } from '../pki/sign.ts';

const DAY = 24 * 60 * 60 * 1000;

export interface IssueOptions {
  /** ms since the epoch; default: now, for 90 days. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

/**
 * A certificate (PEM) with the key and the extensions of a CSR (DER), by an issuer that nobody knows: its key is a new
 * one each time.
 */
export async function issueFor(csr: Uint8Array, options: IssueOptions = {}): Promise<string> {
  const { notBefore = Date.now(), notAfter = notBefore + 90 * DAY } = options;
  const { certificationRequestInfo: wanted } = AsnConvert.parse(csr, CertificationRequest);
  const signer = signerOf(await generateKey({ type: 'EC', name: 'p-256' }));
  const [requested] = wanted.attributes[0]?.values ?? [];
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: crypto.getRandomValues(new Uint8Array(8)).fill(0x5a, 0, 1).buffer,
    signature: signer.algorithm,
    issuer: commonName('Hostile CA'),
    subject: wanted.subject,
    validity: new Validity({ notBefore: new Date(notBefore), notAfter: new Date(notAfter) }),
    subjectPublicKeyInfo: wanted.subjectPKInfo,
    ...(requested && { extensions: AsnConvert.parse(requested, Extensions) }),
  });
  const signatureValue = await signer.sign(AsnConvert.serialize(tbsCertificate));
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: signer.algorithm,
    signatureValue,
  });
  return toPem('CERTIFICATE', new Uint8Array(AsnConvert.serialize(certificate)));
}
