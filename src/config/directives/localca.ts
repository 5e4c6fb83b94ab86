/** The embedded certificate authority. */
import { Refusal, declaring, serverOnly } from '../directive.ts';
import type { Family } from '../directive.ts';
import { pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { addressAndPort, canonicalAddress, duration, onOff, portNumber } from '../values.ts';

const directive = declaring<Scope>();

/** Where its ACME server listens unless said. Account URLs hold the port, so it stays the same. */
export const defaultLocalCa = { address: '127.0.0.1', port: 14_443, lifetime: 7 * 86_400_000 } as const;

export const localCa: Family<Scope> = {
  module: 'localca',
  title: 'The embedded CA',
  directives: [
    directive({
      name: 'LocalCA',
      syntax: 'on|off [address:port]',
      contexts: serverOnly,
      default: `off ${defaultLocalCa.address}:${defaultLocalCa.port}`,
      doc: 'Runs the embedded CA, which `MDCertificateAuthority local` asks.',
      args: 'TAKE12',
      apply(scope, text, where) {
        scope.server.localCa.enabled = onOff(text);
        if (where === undefined) return;
        const parsed = addressAndPort(where);
        const address = canonicalAddress(parsed?.address ?? defaultLocalCa.address);
        if (!parsed || !/^(127\.\d+\.\d+\.\d+|::1)$/.test(address)) {
          throw new Refusal(
            `LocalCA: '${where}' is no address:port of this machine's loopback (127.0.0.1, [::1])`,
          );
        }
        scope.server.localCa.address = address;
        scope.server.localCa.port = parsed.port;
      },
    }),
    directive({
      name: 'LocalCADir',
      syntax: 'folder',
      contexts: serverOnly,
      default: 'ca',
      doc: 'Where its root and state are kept.',
      args: 'TAKE1',
      apply(scope, folder) {
        scope.server.localCa.dir = pathOf(scope, folder);
      },
    }),
    directive({
      name: 'LocalCALifetime',
      syntax: 'duration',
      contexts: serverOnly,
      default: '7d',
      doc: 'How long its certificates are valid: 7d, 12h, 90s.',
      args: 'TAKE1',
      apply(scope, text) {
        const lifetime = duration(text, 'd');
        if (lifetime === undefined || lifetime < 1000) {
          throw new Refusal(`LocalCALifetime has unrecognized format: '${text}'; use 7d, 12h, 90s`);
        }
        scope.server.localCa.lifetime = lifetime;
      },
    }),
    directive({
      name: 'LocalCAPorts',
      syntax: 'http:port [https:port]',
      contexts: serverOnly,
      default: 'http:80 https:443',
      doc: 'Where it validates http-01 and tls-alpn-01.',
      args: 'TAKE12',
      apply(scope, ...maps) {
        for (const map of maps) {
          if (map === undefined) continue;
          const [, which, text = ''] = /^(https?):(\d+)$/i.exec(map) ?? [];
          const port = portNumber(text);
          if (port === undefined) throw new Refusal(`LocalCAPorts: '${map}' is not http:port or https:port`);
          if (which?.toLowerCase() === 'http') scope.server.localCa.httpPort = port;
          else scope.server.localCa.tlsPort = port;
        }
      },
    }),
    directive({
      name: 'LocalCAResolver',
      syntax: 'address:port',
      contexts: serverOnly,
      default: 'the system’s',
      doc: 'The DNS server that it asks; names under .localhost are loopback anyway.',
      args: 'TAKE1',
      apply(scope, text) {
        if (!addressAndPort(text)?.address)
          throw new Refusal(`LocalCAResolver: '${text}' is no address:port`);
        scope.server.localCa.resolver = text;
      },
    }),
    directive({
      name: 'LocalCAExternalAccountRequired',
      syntax: 'on|off',
      contexts: serverOnly,
      default: 'off',
      doc: 'Whether accounts need an external account binding.',
      args: 'FLAG',
      apply(scope, on) {
        scope.server.localCa.externalAccountRequired = on;
      },
    }),
  ],
};
