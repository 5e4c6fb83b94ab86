/**
 * Cipher suites by mod_tls's directives. What is offered is a set that was chosen with care: an administrator may
 * prefer some of it and suppress some of it, and never gets anything that isn't in it.
 */
import { modernCiphers, modernSuites } from '../tls/suites.ts';
import { cipherRegistry } from './cipher-registry.ts';
import { Refusal } from './directive.ts';
import type { TlsVersions } from './draft.ts';

/** One of the numbers that a ClientHello lists. */
export type CipherCode = number;

export interface CipherChoice {
  readonly preferred: readonly CipherCode[];
  readonly suppressed: readonly CipherCode[];
}

export interface ChosenCiphers {
  /** OpenSSL's lists; undefined: ours. */
  readonly ciphers: string | undefined;
  readonly ciphersuites: string | undefined;
  readonly versions: TlsVersions;
}

interface Registry {
  /** By IANA's name, OpenSSL's name and `TLS13_…`, in upper case. */
  readonly codes: ReadonlyMap<string, CipherCode>;
  /** IANA's. */
  readonly names: ReadonlyMap<CipherCode, string>;
}

let loaded: Registry | undefined;

/** Read when first needed: a configuration that names no cipher doesn't wait for it. */
function registry(): Registry {
  return (loaded ??= readRegistry());
}

function readRegistry(): Registry {
  const codes = new Map<string, CipherCode>();
  const names = new Map<CipherCode, string>();
  for (const line of cipherRegistry.trim().split('\n')) {
    const [number = '', name = '', openssl] = line.split(' ');
    const code = Number.parseInt(number, 16);
    names.set(code, name);
    for (const each of [name, openssl]) if (each !== undefined) codes.set(each.toUpperCase(), code);
    // Suites of TLS 1.3 are numbered from 0x1301; rustls calls them so.
    if (code >> 8 === 0x13) codes.set(name.toUpperCase().replace(/^TLS_/, 'TLS13_'), code);
  }
  return { codes, names };
}

/**
 * The numbers of ciphers as TLSCiphersPrefer and its like name them: `:` or blanks between, IANA's names, OpenSSL's,
 * `TLS_CIPHER_0xNNNN`; `keyword` for none at all. Refuses a name that nobody knows.
 */
export function cipherCodes(
  directive: string,
  words: readonly string[],
  keyword: 'default' | 'none',
): CipherCode[] {
  const named = words.flatMap((word) => word.split(':')).filter((word) => word !== '');
  const [only] = named;
  if (named.length === 1 && only?.toLowerCase() === keyword) return [];
  return [...new Set(named.map((name) => codeOf(directive, name)))];
}

function codeOf(directive: string, name: string): CipherCode {
  const number = /^TLS_CIPHER_0x([\da-f]{1,4})$/i.exec(name)?.[1];
  if (number !== undefined) return Number.parseInt(number, 16);
  const code = registry().codes.get(name.toUpperCase());
  if (code === undefined) throw new Refusal(`${directive}: cipher not recognized '${name}'`);
  return code;
}

/** As IANA calls it; one without a name by its number. */
export function cipherName(code: CipherCode): string {
  return registry().names.get(code) ?? `TLS_CIPHER_0x${code.toString(16).padStart(4, '0')}`;
}

/** Of `codes`, those that are not offered whatever is preferred. */
export function unsupportedCiphers(codes: readonly CipherCode[]): CipherCode[] {
  const offered = [...modernCiphers, ...modernSuites].map((name) => registry().codes.get(name));
  return codes.filter((code) => !offered.includes(code));
}

/**
 * Lists for OpenSSL: what is preferred first, then the rest of what is offered, without what is suppressed. A version
 * without a cipher is not offered. undefined where none is left.
 */
export function chooseCiphers(choice: CipherChoice, versions: TlsVersions): ChosenCiphers | undefined {
  if (choice.preferred.length + choice.suppressed.length === 0)
    return { ciphers: undefined, ciphersuites: undefined, versions };
  const ciphers = arrange(modernCiphers, choice);
  const suites = arrange(modernSuites, choice);
  const min = versions.min === 'TLSv1.2' && ciphers.length > 0 ? 'TLSv1.2' : 'TLSv1.3';
  const max = versions.max === 'TLSv1.3' && suites.length > 0 ? 'TLSv1.3' : 'TLSv1.2';
  if (min > max) return undefined;
  // A list of a version that is not spoken must not be empty: it is left as it is.
  return {
    ciphers: ciphers.length > 0 ? ciphers.join(':') : undefined,
    ciphersuites: suites.length > 0 ? suites.join(':') : undefined,
    versions: { min, max },
  };
}

function arrange(names: readonly string[], { preferred, suppressed }: CipherChoice): string[] {
  const rank = (name: string) => {
    const at = preferred.indexOf(registry().codes.get(name) ?? -1);
    return at < 0 ? preferred.length : at;
  };
  return names
    .filter((name) => !suppressed.includes(registry().codes.get(name) ?? -1))
    .toSorted((a, b) => rank(a) - rank(b));
}
