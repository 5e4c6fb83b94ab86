/** Forms of values that mod_ssl's directives for clients and for backends share. */
import { statSync } from 'node:fs';
import { explain } from '../../base/errors.ts';
import { Refusal } from '../directive.ts';
import type { ServerDraft, TlsVersion, TlsVersions } from '../draft.ts';
import type { Scope } from '../scope.ts';

/** Lists that OpenSSL has accepted: ten thousand hosts mostly have the same. */
const accepted = new WeakMap<ServerDraft, Set<string>>();

/** The arguments of SSLCipherSuite and SSLProxyCipherSuite. */
export function cipherList(
  scope: Scope,
  first: string,
  second: string | undefined,
): { ciphers: string } | { ciphersuites: string } {
  const protocol = second === undefined ? 'SSL' : first;
  const list = second ?? first;
  if (protocol.toUpperCase() === 'SSL') return { ciphers: known(scope, list) };
  if (protocol.toLowerCase() === 'tlsv1.3') return { ciphersuites: known(scope, list) };
  throw new Refusal(`protocol '${protocol}' not supported; use SSL or TLSv1.3`);
}

function known(scope: Scope, list: string): string {
  const before = accepted.get(scope.server) ?? new Set();
  accepted.set(scope.server, before);
  if (before.has(list)) return list;
  try {
    // Loaded only where there is a list: that takes 8 ms of a start.
    process.getBuiltinModule('node:tls').createSecureContext({ ciphers: list });
  } catch (error) {
    throw new Refusal(`OpenSSL does not accept the list '${list}': ${explain(error)}`);
  }
  before.add(list);
  return list;
}

const offered: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3'];
const past = ['sslv3', 'tlsv1', 'tlsv1.1'];

/** A bare name replaces what stands before it, as in mod_ssl. */
export function protocolVersions(scope: Scope, directive: string, words: readonly string[]): TlsVersions {
  let versions = new Set<TlsVersion>();
  for (const word of words) {
    const sign = /^[+-]/.exec(word)?.[0];
    const named = versionsNamed(scope, directive, word, sign);
    if (sign === '-') versions = new Set([...versions].filter((one) => !named.includes(one)));
    else if (sign === '+') versions = new Set([...versions, ...named]);
    else {
      if (versions.size > 0) {
        scope.warn(
          'ssl',
          `${directive}: Protocol '${word}' overrides already set parameter(s). Check if a +/- prefix is missing.`,
        );
      }
      versions = new Set(named);
    }
  }
  const kept = offered.filter((one) => versions.has(one));
  const [min] = kept;
  const max = kept.at(-1);
  if (min === undefined || max === undefined) {
    throw new Refusal(`${directive}: no protocol is left; TLSv1.2 and TLSv1.3 are what is offered`);
  }
  return { min, max };
}

function versionsNamed(
  scope: Scope,
  directive: string,
  word: string,
  sign: string | undefined,
): readonly TlsVersion[] {
  const name = word.slice(sign === undefined ? 0 : 1).toLowerCase();
  if (name === 'all') return offered;
  const version = offered.find((one) => one.toLowerCase() === name);
  if (version) return [version];
  if (name === 'sslv2' && sign === '-') return [];
  if (name === 'sslv2') throw new Refusal(`${directive}: SSLv2 is no longer supported`);
  if (!past.includes(name)) throw new Refusal(`${directive}: Illegal protocol '${word}'`);
  if (sign !== '-') scope.warn('ssl', `${directive}: ${word} is not offered; TLS begins with TLSv1.2 here`);
  return [];
}

/** The arguments of SSLCARevocationCheck and SSLProxyCARevocationCheck. */
export function revocationCheck(
  name: string,
  mode: string,
  option: string | undefined,
): { readonly check: 'chain' | 'leaf' | 'none'; readonly optional: boolean } {
  const check = (['chain', 'leaf', 'none'] as const).find((one) => one === mode.toLowerCase());
  if (!check) throw new Refusal(`${name}: Invalid argument '${mode}'`);
  if (option !== undefined && option.toLowerCase() !== 'no_crl_for_cert_ok')
    throw new Refusal(`${name}: unrecognized flag '${option}'`);
  return { check, optional: option !== undefined };
}

/** A folder that is there; its files are read by whoever may. */
export function certificateFolder(name: string, path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  throw new Refusal(`${name}: directory '${path}' does not exist`);
}
