/** TLS by mod_ssl's directives. */
import { Refusal, declaring, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { nonEmptyFile } from '../values.ts';
import { cipherList, protocolVersions } from './ssl-values.ts';
import { sslBackendDirectives } from './backend-tls.ts';
import { sslClientDirectives } from './client-certificates.ts';
import { sslHandshakeDirectives } from './ssl-handshake.ts';
import { sslSessionDirectives } from './ssl-sessions.ts';
import { sslStaplingDirectives } from './stapling.ts';
import { sslOptionDirectives } from './tls-options.ts';

const directive = declaring<Scope>();

const existing = (scope: Scope, name: string, file: string) => nonEmptyFile(name, pathOf(scope, file));

const located = (scope: Scope, name: string, file: string) => ({
  path: existing(scope, name, file),
  at: here(scope),
});

export const ssl: Family<Scope> = {
  module: 'ssl',
  title: 'TLS (mod_ssl)',
  directives: [
    directive({
      name: 'SSLEngine',
      syntax: 'on|off',
      contexts: servers,
      default: 'on where Listen says https and there is a certificate, else off',
      doc: 'TLS for this host.',
      args: 'TAKE1',
      apply(scope, text) {
        const value = text.toLowerCase();
        if (value === 'optional') {
          throw new Refusal("'SSLEngine optional' is no longer supported; use on or off");
        }
        if (value !== 'on' && value !== 'off') throw new Refusal('Argument must be On or Off');
        scope.host.tls.engine = { on: value === 'on', at: here(scope) };
      },
    }),
    directive({
      name: 'SSLCertificateFile',
      syntax: 'file',
      contexts: servers,
      doc: 'PEM of a certificate and its chain, perhaps its key; again for one of another key type.',
      args: 'TAKE1',
      apply(scope, file) {
        scope.host.tls.certificates.push(located(scope, 'SSLCertificateFile', file));
      },
    }),
    directive({
      name: 'SSLCertificateKeyFile',
      syntax: 'file',
      contexts: servers,
      default: 'the certificate’s file',
      doc: 'PEM of the key; the first belongs to the first certificate, and so on.',
      args: 'TAKE1',
      apply(scope, file) {
        scope.host.tls.keys.push(located(scope, 'SSLCertificateKeyFile', file));
      },
    }),
    directive({
      name: 'SSLCertificateChainFile',
      syntax: 'file',
      contexts: servers,
      doc: 'PEM of certificates to send after those of SSLCertificateFile.',
      args: 'TAKE1',
      apply(scope, file) {
        scope.host.tls.chainFile = existing(scope, 'SSLCertificateChainFile', file);
      },
    }),
    directive({
      name: 'SSLProtocol',
      syntax: '[+|-]protocol …',
      contexts: servers,
      default: 'all',
      doc: 'Versions of TLS: TLSv1.2 and TLSv1.3, all for both.',
      args: 'ITERATE',
      apply(scope, ...protocols) {
        scope.host.tls.versions = protocolVersions(scope, 'SSLProtocol', protocols);
      },
    }),
    directive({
      name: 'SSLCipherSuite',
      syntax: '[SSL|TLSv1.3] ciphers',
      contexts: servers,
      doc: 'OpenSSL’s list of ciphers for TLS 1.2, or of suites for TLS 1.3.',
      args: 'TAKE12',
      apply(scope, first, second) {
        Object.assign(scope.host.tls, cipherList(scope, first, second));
      },
    }),
    directive({
      name: 'SSLHonorCipherOrder',
      syntax: 'On|Off',
      contexts: servers,
      default: 'Off with SSLCipherSuite, else On but for clients that name ChaCha20 first',
      doc: 'The server’s order of ciphers counts, not the client’s.',
      args: 'FLAG',
      apply(scope, on) {
        scope.host.tls.honorCipherOrder = on;
      },
    }),
    directive({
      name: 'SSLStrictSNIVHostCheck',
      syntax: 'On|Off',
      contexts: servers,
      default: 'Off',
      doc: 'Refuses clients that name no host, or one there is not; of a host but the first, 403 for who names none.',
      args: 'FLAG',
      apply(scope, on) {
        scope.host.tls.strictSni = on;
      },
    }),
    ...sslHandshakeDirectives,
    ...sslSessionDirectives,
    ...sslClientDirectives,
    ...sslOptionDirectives,
    ...sslStaplingDirectives,
    ...sslBackendDirectives,
  ],
};
