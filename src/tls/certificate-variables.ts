/**
 * What mod_ssl's variables say of a certificate: the part of the name after `SSL_CLIENT_` or `SSL_SERVER_`. Nothing is
 * computed before it is asked for. All texts are UTF-8.
 */
import type { X509Certificate } from 'node:crypto';
import { derElements, derInside, partsOf, tags } from '../pki/der.ts';
import { bareValue, oneLine, parseName, rfc2253 } from '../pki/distinguished-name.ts';
import type { DistinguishedName } from '../pki/distinguished-name.ts';

export interface NameStyle {
  /** SSLOptions LegacyDNStringFormat: `/C=DE/CN=a` instead of `CN=a,C=DE`. */
  readonly legacy: boolean;
}

/** mod_ssl's parts of names, and what OpenSSL calls them. */
const parts: Readonly<Record<string, string>> = {
  C: 'C',
  ST: 'ST',
  L: 'L',
  O: 'O',
  OU: 'OU',
  CN: 'CN',
  T: 'title',
  I: 'initials',
  G: 'GN',
  S: 'SN',
  D: 'description',
  UID: 'UID',
  Email: 'emailAddress',
  SerialNumber: 'serialNumber',
};
const partOf: ReadonlyMap<string, string> = new Map(
  Object.entries(parts).map(([part, name]) => [name, part]),
);
const nameOf: ReadonlyMap<string, string> = new Map([
  ...Object.entries(parts).map(([part, name]) => [part.toUpperCase(), name] as const),
  ['SP', 'ST'],
]);

export class CertificateVariables {
  readonly #x509: X509Certificate;
  #subject: DistinguishedName | undefined;
  #issuer: DistinguishedName | undefined;
  #alternatives: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(x509: X509Certificate) {
    this.#x509 = x509;
  }

  /**
   * @param name in any case: `S_DN`, `S_DN_OU_1`, `M_SERIAL`, `CERT`, …
   * @param now ms since the epoch, for V_REMAIN
   * @returns undefined where there is no such thing
   */
  get(name: string, style: NameStyle, now: number): string | undefined {
    const upper = name.toUpperCase();
    const part = /^([SI])_DN_([A-Z]+)(?:_(\d{1,4}))?(?:_RAW)?$/.exec(upper);
    if (part) return this.#part(part[1] === 'S', part[2] ?? '', Number(part[3] ?? 0));
    const alternative = /^SAN_(EMAIL|DNS|OTHER_MSUPN|OTHER_DNSSRV)_(\d{1,4})$/.exec(upper);
    if (alternative) return this.#names().get(alternative[1] ?? '')?.[Number(alternative[2])];
    return this.#whole(upper, style, now);
  }

  /** Names and values of everything that has parts: `S_DN_CN`, `I_DN_O`, `SAN_DNS_0`. */
  *components(): Generator<readonly [name: string, value: string]> {
    for (const [prefix, name] of [
      ['S_DN', this.#subjectName()],
      ['I_DN', this.#issuerName()],
    ] as const) {
      const seen = new Map<string, number>();
      for (const attribute of name.flat()) {
        const part = partOf.get(attribute.name);
        if (part === undefined) continue;
        const count = seen.get(part) ?? 0;
        seen.set(part, count + 1);
        yield [count === 0 ? `${prefix}_${part}` : `${prefix}_${part}_${count}`, bareValue(attribute)];
      }
    }
    for (const [kind, names] of this.#names()) {
      for (const [index, name] of names.entries()) yield [`SAN_${spelling[kind] ?? kind}_${index}`, name];
    }
  }

  #whole(name: string, { legacy }: NameStyle, now: number): string | undefined {
    const x509 = this.#x509;
    switch (name) {
      case 'M_VERSION':
        return String(versionOf(x509));
      case 'M_SERIAL':
        return x509.serialNumber;
      case 'V_START':
        return x509.validFrom;
      case 'V_END':
        return x509.validTo;
      case 'V_REMAIN':
        return String(Math.max(0, Math.floor((x509.validToDate.getTime() - now) / 86_400_000)));
      case 'S_DN':
        return legacy
          ? oneLine(this.#subjectName())
          : rfc2253(this.#subjectName(), () => partsOf(x509).subject);
      case 'I_DN':
        return legacy ? oneLine(this.#issuerName()) : this.#issuerText();
      case 'A_SIG':
        return x509.signatureAlgorithm ?? x509.signatureAlgorithmOid;
      case 'A_KEY':
        return keyAlgorithm(x509);
      case 'CERT':
        return x509.toString();
      case 'CERT_RFC4523_CEA':
        return `{ serialNumber ${BigInt(`0x${x509.serialNumber}`)}, issuer rdnSequence:"${this.#issuerText()}" }`;
      default:
        return undefined;
    }
  }

  #part(ofSubject: boolean, part: string, index: number): string | undefined {
    const wanted = nameOf.get(part);
    const name = ofSubject ? this.#subjectName() : this.#issuerName();
    const found = name.flat().filter((attribute) => attribute.name === wanted)[index];
    return found && bareValue(found);
  }

  #issuerText(): string {
    return rfc2253(this.#issuerName(), () => partsOf(this.#x509).issuer);
  }

  #subjectName(): DistinguishedName {
    return (this.#subject ??= parseName(this.#x509.subject));
  }

  #issuerName(): DistinguishedName {
    return (this.#issuer ??= parseName(this.#x509.issuer));
  }

  #names(): ReadonlyMap<string, readonly string[]> {
    return (this.#alternatives ??= alternatives(this.#x509.subjectAltName ?? ''));
  }
}

/** How mod_ssl writes what is looked up in upper case. */
const spelling: Readonly<Record<string, string>> = {
  EMAIL: 'Email',
  OTHER_MSUPN: 'OTHER_msUPN',
  OTHER_DNSSRV: 'OTHER_dnsSRV',
};

const printedKinds: Readonly<Record<string, string>> = {
  email: 'EMAIL',
  DNS: 'DNS',
  'othername:UPN': 'OTHER_MSUPN',
  'othername:SRVName': 'OTHER_DNSSRV',
};

/** Of the extension as Node prints it: what could be mistaken for a separator is in a JSON string. */
function alternatives(printed: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const entry = /(?:^|, )(email|DNS|othername:UPN|othername:SRVName|[^:,]+):("(?:[^"\\]|\\.)*"|[^,]*)/g;
  for (const [, printedKind = '', text = ''] of printed.matchAll(entry)) {
    const kind = printedKinds[printedKind];
    if (kind === undefined) continue;
    const value = text.startsWith('"') ? unquoted(text) : text;
    found.set(kind, [...(found.get(kind) ?? []), value]);
  }
  return found;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}

function versionOf({ raw }: X509Certificate): number {
  const [body] = derInside(raw);
  const [first] = body ? derElements(body.content) : [];
  if (first?.tag !== tags.optional) return 1;
  return (derElements(first.content)[0]?.content[0] ?? 0) + 1;
}

/** OpenSSL's long names of the key types that Node knows. */
const keyNames: Readonly<Record<string, string>> = {
  rsa: 'rsaEncryption',
  'rsa-pss': 'rsassaPss',
  ec: 'id-ecPublicKey',
  dsa: 'dsaEncryption',
};

function keyAlgorithm({ publicKey }: X509Certificate): string {
  const type = publicKey.asymmetricKeyType ?? '';
  return keyNames[type] ?? type.toUpperCase();
}
