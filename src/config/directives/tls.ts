/** TLS by mod_tls's directives. */
import { isIP } from 'node:net';
import { cipherCodes, cipherName, unsupportedCiphers } from '../ciphers.ts';
import type { CipherCode } from '../ciphers.ts';
import { Refusal, declaring, serverOnly, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import type { TlsVersions } from '../draft.ts';
import { resolveName } from '../resolve.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { addressAndPort, canonicalAddress, nonEmptyFile } from '../values.ts';

const directive = declaring<Scope>();

export const tls: Family<Scope> = {
  module: 'tls',
  title: 'TLS (mod_tls)',
  directives: [
    directive({
      name: 'TLSEngine',
      aliases: ['TLSListen'],
      syntax: '[address:]port',
      contexts: servers,
      doc: 'TLS for all hosts at this address and port, by the directives below.',
      args: 'TAKE1',
      apply(scope, text) {
        for (const place of places(text)) scope.server.tlsEngines.push({ ...place, at: here(scope) });
      },
    }),
    directive({
      name: 'TLSCertificate',
      syntax: 'certificate [key]',
      contexts: servers,
      doc: 'PEM of certificate and chain, and of the key if it is in a file of its own; may be repeated.',
      args: 'TAKE12',
      apply(scope, certificate, key) {
        scope.host.tls.tlsCertificates.push({
          certificate: nonEmptyFile('TLSCertificate', pathOf(scope, certificate)),
          key: key === undefined ? undefined : nonEmptyFile('TLSCertificate', pathOf(scope, key)),
          at: here(scope),
        });
      },
    }),
    directive({
      name: 'TLSProtocol',
      syntax: 'default|TLSv1.2+|TLSv1.3+',
      contexts: servers,
      default: 'default (TLSv1.2+)',
      doc: 'The lowest version of TLS.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.host.tls.tlsVersions = lowestVersion('TLSProtocol', text);
      },
    }),
    directive({
      name: 'TLSCiphersPrefer',
      aliases: ['TLSCipherPrefer'],
      syntax: 'cipher[:cipher …] …|default',
      contexts: servers,
      default: 'default',
      doc: 'Ciphers that come first in the server’s order, which TLSHonorClientOrder off makes count.',
      args: 'ITERATE',
      apply(scope, ...words) {
        scope.host.tls.cipherPrefer = preferredCiphers(scope, 'TLSCiphersPrefer', words);
      },
    }),
    directive({
      name: 'TLSCiphersSuppress',
      aliases: ['TLSCipherSuppress'],
      syntax: 'cipher[:cipher …] …|none',
      contexts: servers,
      default: 'none',
      doc: 'Ciphers that are not offered; without all of its ciphers, a version of TLS isn’t either.',
      args: 'ITERATE',
      apply(scope, ...words) {
        scope.host.tls.cipherSuppress = cipherCodes('TLSCiphersSuppress', words, 'none');
      },
    }),
    directive({
      name: 'TLSHonorClientOrder',
      syntax: 'on|off',
      contexts: servers,
      default: 'on',
      doc: 'The client’s order of ciphers counts, not the server’s.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.host.tls.honorClientOrder = switched('TLSHonorClientOrder', text);
      },
    }),
    directive({
      name: 'TLSStrictSNI',
      syntax: 'on|off',
      contexts: servers,
      default: 'on',
      doc: 'Refuses clients that name a host there is not.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.host.tls.tlsStrictSni = switched('TLSStrictSNI', text);
      },
    }),
    directive({
      name: 'TLSSessionCache',
      syntax: 'none|default|provider[:arguments]',
      contexts: serverOnly,
      default: 'default',
      doc: 'Is read and has no effect: sessions are resumed by tickets, which all workers share.',
      args: 'TAKE1',
      apply(_scope, text) {
        if (/^(?:none|default|(?:shmcb|dbm|dc|memcache|redis)(?::.*)?)$/i.test(text)) return;
        throw new Refusal(
          `TLSSessionCache: unknown session cache provider '${text}' (try none, default or shmcb:file)`,
        );
      },
    }),
  ],
};

function places(text: string): { address: string | undefined; port: number }[] {
  const invalid = new Refusal(`TLSEngine: invalid address/port in '${text}'`);
  const where = addressAndPort(text);
  if (!where) throw invalid;
  const { address, port } = where;
  if (address === undefined) return [{ address, port }];
  const found = isIP(address.replace(/%.*/, '')) === 0 ? resolveName(address) : [address];
  if (found.length === 0) throw invalid;
  return found.map((one) => ({ address: canonicalAddress(one), port }));
}

export function switched(name: string, text: string): boolean {
  const value = text.toLowerCase();
  if (value !== 'on' && value !== 'off') throw new Refusal(`${name}: value must be 'On' or 'Off': '${text}'`);
  return value === 'on';
}

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
