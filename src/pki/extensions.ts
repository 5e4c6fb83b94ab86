/** The X.509 extensions that Latchkey writes. */
import { isIP } from 'node:net';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  BasicConstraints,
  ExtendedKeyUsage,
  Extension,
  GeneralName,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_kp_serverAuth,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  AttributeTypeAndValue,
  AttributeValue,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509';
import { certificateName } from './names.ts';

const id_pe_acmeIdentifier = '1.3.6.1.5.5.7.1.31';
const id_pe_tlsFeature = '1.3.6.1.5.5.7.1.24';
const id_at_commonName = '2.5.4.3';

/** @throws PkiError `name-invalid` */
export function subjectAltName(names: readonly string[], critical = false): Extension {
  const general = names
    .map(certificateName)
    .map((name) => new GeneralName(isIP(name) ? { iPAddress: name } : { dNSName: name }));
  return extension(id_ce_subjectAltName, critical, AsnConvert.serialize(new SubjectAlternativeName(general)));
}

/** OCSP must-staple: TLS feature status_request (RFC 7633). */
export function mustStaple(): Extension {
  return extension(id_pe_tlsFeature, false, Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x05).buffer);
}

/** acmeIdentifier (RFC 8737 section 3): the SHA-256 of a key authorization, critical. */
export function acmeIdentifier(digest: ArrayBuffer): Extension {
  return extension(id_pe_acmeIdentifier, true, AsnConvert.serialize(new OctetString(digest)));
}

/** What a certificate of a server has: no CA, signatures only, serverAuth. */
export function serverUsage(): Extension[] {
  return [
    extension(id_ce_basicConstraints, true, AsnConvert.serialize(new BasicConstraints({ cA: false }))),
    extension(id_ce_keyUsage, true, AsnConvert.serialize(new KeyUsage(KeyUsageFlags.digitalSignature))),
    extension(id_ce_extKeyUsage, false, AsnConvert.serialize(new ExtendedKeyUsage([id_kp_serverAuth]))),
  ];
}

/** A subject of a commonName alone, or an empty one. */
export function commonName(text: string | undefined): Name {
  if (text === undefined) return new Name();
  const value = new AttributeValue({ utf8String: text });
  return new Name([
    new RelativeDistinguishedName([new AttributeTypeAndValue({ type: id_at_commonName, value })]),
  ]);
}

function extension(extnID: string, critical: boolean, value: ArrayBuffer): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(value) });
}
