/** What ACME calls a certificate when asked about its renewal (RFC 9773 section 4.1). */
import { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AuthorityKeyIdentifier,
  Certificate as Asn1Certificate,
  id_ce_authorityKeyIdentifier,
} from '@peculiar/asn1-x509';
import type { CertificateInfo } from './certificate.ts';

/** `AUTHORITY-KEY-ID.SERIAL`, both base64url; undefined for a certificate that does not name its issuer's key. */
export function ariCertId({ pem }: Pick<CertificateInfo, 'pem'>): string | undefined {
  const { tbsCertificate } = AsnConvert.parse(new X509Certificate(pem).raw, Asn1Certificate);
  const extension = tbsCertificate.extensions?.find(({ extnID }) => extnID === id_ce_authorityKeyIdentifier);
  if (!extension) return undefined;
  const { keyIdentifier } = AsnConvert.parse(extension.extnValue.buffer, AuthorityKeyIdentifier);
  if (!keyIdentifier) return undefined;
  const part = (bytes: ArrayBuffer) => Buffer.from(bytes).toString('base64url');
  return `${part(keyIdentifier.buffer)}.${part(tbsCertificate.serialNumber)}`;
}
