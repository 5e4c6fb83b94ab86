/** What one client address may have of a worker. */
import { Refusal, declaring, serverOnly } from '../directive.ts';
import type { Family } from '../directive.ts';
import type { Scope } from '../scope.ts';
import type { ClientLimitSettings } from '../settings.ts';
import { wholeNumber } from '../values.ts';
import { network } from './access.ts';

const directive = declaring<Scope>();

const LARGEST = 1_000_000;
/** At once, where only the rate is given: that many seconds of it. */
const BURST = 20;

/** Of this machine, private, shared (RFC 6598), link-local: containers and balancers bring everybody by one of these. */
const PRIVATE = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
];

/** What holds where the configuration says nothing: more than all of a large company behind one address needs. */
export const defaultClientLimits: ClientLimitSettings = {
  connections: 4000,
  handshakes: { perSecond: 200, atOnce: 4000 },
  exempt: PRIVATE,
};

export const clientLimits: Family<Scope> = {
  module: 'core',
  title: 'Limits for each client address (Latchkey’s own)',
  directives: [
    directive({
      name: 'ClientConnections',
      syntax: 'number|off',
      contexts: serverOnly,
      default: '4000',
      doc: 'Connections that a client address (IPv6: a /64) may have open in each worker.',
      args: 'TAKE1',
      apply(scope, text) {
        scope.server.clientLimits.connections =
          text.toLowerCase() === 'off' ? undefined : count('ClientConnections', text);
      },
    }),
    directive({
      name: 'ClientHandshakes',
      syntax: 'per-second [at-once]|off',
      contexts: serverOnly,
      default: '200 4000',
      doc: 'TLS connections that a client address (IPv6: a /64) may begin in each worker.',
      args: 'TAKE12',
      apply(scope, rate, burst) {
        scope.server.clientLimits.handshakes = rate.toLowerCase() === 'off' ? undefined : pace(rate, burst);
      },
    }),
    directive({
      name: 'ClientLimitsExempt',
      syntax: 'private|none|address[/bits] …',
      contexts: serverOnly,
      default: 'private',
      doc: 'Addresses without these limits, such as load balancers; private: this machine’s and those of private networks.',
      args: 'ITERATE',
      apply(scope, ...networks) {
        scope.server.clientLimits.exempt = networks.flatMap((text) => exempt(text, networks.length));
      },
    }),
  ],
};

function count(name: string, text: string): number {
  return wholeNumber(name, text, 1, LARGEST);
}

function pace(rate: string, burst: string | undefined): ClientLimitSettings['handshakes'] {
  const perSecond = count('ClientHandshakes', rate);
  const atOnce = burst === undefined ? perSecond * BURST : count('ClientHandshakes', burst);
  return { perSecond, atOnce };
}

function exempt(text: string, words: number): readonly string[] {
  if (text.toLowerCase() === 'private') return PRIVATE;
  if (text.toLowerCase() !== 'none') return [network(text)];
  if (words > 1) throw new Refusal('ClientLimitsExempt none stands alone; remove it or the other words');
  return [];
}
