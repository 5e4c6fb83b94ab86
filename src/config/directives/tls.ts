/** TLS by mod_tls's directives. */
import { isIP } from 'node:net';
import { cipherCodes } from '../ciphers.ts';
import { Refusal, declaring, serverOnly, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import { resolveName } from '../resolve.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { tlsOptionDirectives } from './tls-options.ts';
import { addressAndPort, canonicalAddress, nonEmptyFile } from '../values.ts';
import { tlsBackendDirectives } from './backend-tls.ts';
import { lowestVersion, preferredCiphers } from './tls-values.ts';

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
      doc: 'Refuses clients that name a host there is not. Who names none gets 403, but for an address.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.host.tls.tlsStrictSni = switched('TLSStrictSNI', text);
      },
    }),
    ...tlsOptionDirectives,
    directive({
      name: 'TLSSessionCache',
      syntax: 'none|default|provider[:arguments]',
      contexts: serverOnly,
      default: 'default',
      doc: '`none`: no session is resumed. Else they are, by tickets that all workers open; no provider is needed.',
      args: 'TAKE1',
      apply(scope, text) {
        if (!/^(?:none|default|(?:shmcb|dbm|dc|memcache|redis)(?::.*)?)$/i.test(text))
          throw new Refusal(
            `TLSSessionCache: unknown session cache provider '${text}' (try none, default or shmcb:file)`,
          );
        scope.host.tls.tlsSessions = text.toLowerCase() !== 'none';
      },
    }),
    ...tlsBackendDirectives,
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

function switched(name: string, text: string): boolean {
  const value = text.toLowerCase();
  if (value !== 'on' && value !== 'off') throw new Refusal(`${name}: value must be 'On' or 'Off': '${text}'`);
  return value === 'on';
}
