/** Certificates of an HTTP store, by mod_dynssl's directives. */
import { Refusal, declaring, serverOnly, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import { bearerToken, isLoopback, storeUrl } from '../dynamic.ts';
import { here, pathOf } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { nonEmptyFile, wholeNumber } from '../values.ts';

const directive = declaring<Scope>();

const MOST = 2 ** 31 - 1;
const DAY = 86_400_000;

export const dynssl: Family<Scope> = {
  module: 'dynssl',
  title: 'Certificates of a store, at the handshake (mod_dynssl)',
  directives: [
    directive({
      name: 'DynSSLEnable',
      syntax: 'on|off',
      contexts: servers,
      default: 'off',
      doc: 'Names that no other certificate is for are served with those of the store.',
      args: 'FLAG',
      apply(scope, on) {
        scope.host.dynamic.enabled = { on, at: here(scope) };
      },
    }),
    directive({
      name: 'DynSSLStoreURL',
      syntax: 'URL …',
      contexts: servers,
      doc: 'The store: http(s)://host/path or unix:/socket|http://host/path, asked for URL/name; those that follow when one fails.',
      args: 'ITERATE',
      apply(scope, ...urls) {
        scope.host.dynamic.urls = urls.map((text) => storeUrl(text, (path) => pathOf(scope, path)));
        for (const { display, url, socketPath } of scope.host.dynamic.urls) {
          if (socketPath !== undefined || isLoopback(url)) continue;
          const how = url.startsWith('http:')
            ? 'private keys cross the network in the clear; use https, or a proxy on this machine'
            : 'private keys cross the network; let a store or a proxy on this machine answer';
          scope.warn('dynssl', `DynSSLStoreURL ${display} is not on this machine: ${how}`);
        }
      },
    }),
    directive({
      name: 'DynSSLStoreToken',
      syntax: 'token',
      contexts: servers,
      doc: 'Sent to the store as `Authorization: Bearer token`.',
      args: 'TAKE1',
      apply(scope, token) {
        scope.host.dynamic.token = bearerToken('DynSSLStoreToken', token);
      },
    }),
    directive({
      name: 'DynSSLStoreSSLVerify',
      syntax: 'on|off',
      contexts: servers,
      default: 'on',
      doc: 'Verifies the certificate of an https store.',
      args: 'FLAG',
      apply(scope, on) {
        scope.host.dynamic.verify = on;
        if (!on) {
          scope.warn(
            'dynssl',
            'DynSSLStoreSSLVerify off: whoever answers in the store’s place is believed; name its CA in DynSSLStoreCAFile instead',
          );
        }
      },
    }),
    directive({
      name: 'DynSSLStoreCAFile',
      syntax: 'file',
      contexts: servers,
      default: 'what the system trusts',
      doc: 'PEM of the authorities that an https store is verified by.',
      args: 'TAKE1',
      apply(scope, file) {
        scope.host.dynamic.caFile = nonEmptyFile('DynSSLStoreCAFile', pathOf(scope, file));
      },
    }),
    number(
      'DynSSLTimeout',
      'milliseconds',
      '2000',
      'How long a question to the store may take.',
      (scope, ms) => {
        scope.host.dynamic.timeout = ms;
      },
    ),
    number(
      'DynSSLMaxAnswer',
      'bytes',
      '65536',
      'The longest answer of the store, with certificate, chain and key (Latchkey’s own).',
      (scope, bytes) => {
        scope.host.dynamic.maxAnswer = bytes;
      },
      [1024, 1_048_576],
    ),
    number(
      'DynSSLCacheTTL',
      'seconds',
      '300',
      'A certificate is cached that long at least, however near its end is.',
      (scope, seconds) => {
        scope.host.dynamic.cacheFloor = seconds * 1000;
      },
    ),
    number(
      'DynSSLCacheRenewDays',
      'days',
      '7',
      'So long before a certificate expires the store is asked for the next one.',
      (scope, days) => {
        scope.host.dynamic.renewBefore = days * DAY;
      },
      [0, 36_500],
    ),
    number(
      'DynSSLCircuitBreaker',
      'number',
      '5',
      'After so many failures in a row the store is left alone.',
      (scope, failures) => {
        scope.host.dynamic.breakerFailures = failures;
      },
    ),
    number(
      'DynSSLCircuitReset',
      'seconds',
      '30',
      'How long; then one question is a probe.',
      (scope, seconds) => {
        scope.host.dynamic.breakerReset = seconds * 1000;
      },
    ),
    directive({
      name: 'DynSSLSharedCache',
      syntax: 'size[k|m|g]',
      contexts: serverOnly,
      default: '512m',
      doc: 'What all cached certificates may take, for all workers and stores; 32m to 32g.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.server.dynamicCacheBytes = cacheSize(text);
      },
    }),
    directive({
      name: 'DynSSLSnapshot',
      syntax: 'file',
      contexts: serverOnly,
      doc: 'Keeps what is cached here, encrypted, so that a start is warm; in a folder of User’s (Latchkey’s own).',
      args: 'TAKE1',
      apply(scope, file) {
        scope.server.dynamicSnapshot = pathOf(scope, file);
      },
    }),
  ],
};

function number(
  name: string,
  unit: string,
  initial: string,
  doc: string,
  set: (scope: Scope, value: number) => void,
  [least, most]: readonly [number, number] = [1, MOST / 1000],
) {
  return directive({
    name,
    syntax: unit,
    contexts: servers,
    default: initial,
    doc,
    args: 'TAKE1',
    apply: (scope, text) => set(scope, wholeNumber(name, text, least, Math.floor(most))),
  });
}

const units: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

function cacheSize(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,12})([kmg]?)$/i.exec(text) ?? [];
  const bytes = digits === '' ? NaN : Number(digits) * (units[unit.toLowerCase()] ?? 1);
  if (bytes >= 32 * 2 ** 20 && bytes <= 32 * 2 ** 30) return bytes;
  throw new Refusal(`DynSSLSharedCache '${text}' must be from 32m to 32g`);
}
