/** Forms of values that mod_tls's directives for clients and for backends share. */
import { cipherCodes, cipherName, unsupportedCiphers } from '../ciphers.ts';
import type { CipherCode } from '../ciphers.ts';
import { Refusal } from '../directive.ts';
import type { TlsVersions } from '../draft.ts';
import type { Scope } from '../scope.ts';

/** TLSProtocol and TLSProxyProtocol. */
export function lowestVersion(name: string, text: string): TlsVersions {
  switch (text.toLowerCase()) {
    case 'default':
    case 'tlsv1.2+':
    case 'tlsv0x0303+':
      return { min: 'TLSv1.2', max: 'TLSv1.3' };
    case 'tlsv1.3+':
    case 'tlsv0x0304+':
      return { min: 'TLSv1.3', max: 'TLSv1.3' };
    default:
  }
  if (/^tlsv/i.test(text)) {
    throw new Refusal(
      `${name}: unrecognized protocol version specifier (try TLSv1.2+ or TLSv1.3+): '${text}'`,
    );
  }
  throw new Refusal(`${name}: value must be 'default', 'TLSv1.2+' or 'TLSv1.3+': '${text}'`);
}

/** TLSCiphersPrefer and TLSProxyCiphersPrefer. A preference for what there is not is no error: it promises nothing. */
export function preferredCiphers(scope: Scope, name: string, words: readonly string[]): CipherCode[] {
  const codes = cipherCodes(name, words, 'default');
  const lacking = unsupportedCiphers(codes).map(cipherName);
  if (lacking.length > 0) {
    scope.warn(
      'tls',
      `AH10319: ${name}: not supported, the preference has no effect: ${lacking.join(' ')}. Supported are the AEAD ciphers of TLS 1.3 and of TLS 1.2 with ECDHE.`,
    );
  }
  return codes;
}
