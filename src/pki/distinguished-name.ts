/**
 * Distinguished names as texts: RFC 2253 as mod_ssl prints it, and X509_NAME_oneline's form. Node has OpenSSL print
 * a name with one line for each RDN, escaped as RFC 2253 has it; only values of unknown types are to be read in
 * the DER.
 */
import { derElements, derInside } from './der.ts';

export interface Attribute {
  /** OpenSSL's short name (`CN`, `emailAddress`), or the OID where it has none. */
  readonly name: string;
  /** UTF-8, escaped by RFC 2253 section 2.4. */
  readonly escaped: string;
}

/** RDNs in the order of the certificate; more than one attribute where one is multi-valued. */
export type DistinguishedName = readonly (readonly Attribute[])[];

/** @param printed `X509Certificate.subject` or `.issuer`: undefined where the name is empty */
export function parseName(printed: string | undefined): DistinguishedName {
  if (printed === undefined || printed === '') return [];
  // What is in a value is escaped: neither newlines nor plus signs are.
  return printed.split('\n').map((line) => line.split(' + ').map(attribute));
}

function attribute(text: string): Attribute {
  const equals = text.indexOf('=');
  return { name: text.slice(0, equals), escaped: text.slice(equals + 1) };
}

/** `CN=a,O=b`: the last RDN first. `der`: of the Name, for attributes that OpenSSL doesn't know. */
export function rfc2253(name: DistinguishedName, der: () => Buffer): string {
  const unknown = name.some((attributes) => attributes.some(isUnknown)) ? values(der()) : [];
  let at = 0;
  const texts = name.map((attributes) =>
    attributes
      .map((one) => `${one.name}=${hexOf(one, unknown[at++]) ?? one.escaped}`)
      .reverse()
      .join('+'),
  );
  return texts.reverse().join(',');
}

function isUnknown({ name }: Attribute): boolean {
  return /^\d+(?:\.\d+)+$/.test(name);
}

function hexOf(one: Attribute, value: Buffer | undefined): string | undefined {
  return isUnknown(one) && value ? `#${value.toString('hex').toUpperCase()}` : undefined;
}

/** DER of the attributes' values, in the order of the certificate. */
function values(name: Buffer): (Buffer | undefined)[] {
  return derInside(name)
    .flatMap((rdn) => derElements(rdn.content))
    .map((pair) => derElements(pair.content)[1]?.raw);
}

/** `/O=b/CN=a`, bytes that aren't printable ASCII as `\xHH`. */
export function oneLine(name: DistinguishedName): string {
  return name
    .map((attributes) => attributes.map((one) => `${one.name}=${printable(plain(one.escaped))}`).join('+'))
    .map((rdn) => `/${rdn}`)
    .join('');
}

function printable(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replaceAll(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
    .replaceAll(/[/+]/g, '\\$&');
}

function plain(escaped: string): string {
  return escaped.replaceAll(/\\([0-9A-F]{2}|.)/gs, (_, what: string) =>
    what.length === 2 ? String.fromCharCode(Number.parseInt(what, 16)) : what,
  );
}

/** A value alone, as in SSL_CLIENT_S_DN_CN: only control characters and backslashes stay escaped. */
export function bareValue({ escaped }: Attribute): string {
  return escaped.replaceAll(/\\([0-9A-F]{2}|.)/gs, (whole, what: string) =>
    what.length === 2 || what === '\\' ? whole : what,
  );
}
