/** What extensions-der.ts writes, as objects of the ASN.1 library that whole certificates of others are made with. */
import { AsnConvert } from '@peculiar/asn1-schema';
import { Extension, Name } from '@peculiar/asn1-x509';
import * as written from './extensions-der.ts';

/** @throws PkiError `name-invalid` */
export function subjectAltName(names: readonly string[], critical = false): Extension {
  return AsnConvert.parse(written.subjectAltName(names, critical), Extension);
}

/** OCSP must-staple: TLS feature status_request (RFC 7633). */
export function mustStaple(): Extension {
  return AsnConvert.parse(written.mustStaple(), Extension);
}

/** A subject of a commonName alone, or an empty one. */
export function commonName(text: string | undefined): Name {
  return AsnConvert.parse(written.commonName(text), Name);
}
