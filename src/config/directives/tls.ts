/** TLS by mod_tls's directives. */
import { Refusal, declaring, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import type { TlsVersions } from '../draft.ts';
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
        const where = addressAndPort(text);
        if (!where) throw new Refusal(`TLSEngine: invalid address/port in '${text}'`);
        scope.server.tlsEngines.push({
          address: where.address === undefined ? undefined : canonicalAddress(where.address),
          port: where.port,
          at: here(scope),
        });
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
        scope.host.tls.tlsVersions = lowest(text);
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
  ],
};

function switched(name: string, text: string): boolean {
  const value = text.toLowerCase();
  if (value !== 'on' && value !== 'off') throw new Refusal(`${name}: value must be 'On' or 'Off': '${text}'`);
  return value === 'on';
}

function lowest(text: string): TlsVersions {
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
      `TLSProtocol: unrecognized protocol version specifier (try TLSv1.2+ or TLSv1.3+): '${text}'`,
    );
  }
  throw new Refusal(`TLSProtocol: value must be 'default', 'TLSv1.2+' or 'TLSv1.3+': '${text}'`);
}
