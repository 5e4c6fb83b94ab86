/** Managed domains that nobody configured: names are ordered when a client calls for them. */
import { isIP } from 'node:net';
import { declaring, Refusal, servers } from '../directive.ts';
import type { Directive } from '../directive.ts';
import { isLoopback } from '../dynamic.ts';
import { here } from '../scope.ts';
import type { Scope } from '../scope.ts';
import { canonicalAddress, duration, httpUrl } from '../values.ts';

const directive = declaring<Scope>();

/** A handshake that waits longer is given up by the client, or by RequestReadTimeout, ms. */
const LONGEST_WAIT = 50_000;

export const onDemandDirectives: readonly Directive<Scope>[] = [
  directive({
    name: 'MDOnDemand',
    syntax: 'on|off',
    contexts: servers,
    default: 'off',
    doc: 'Names that no other certificate is for are ordered when a client calls for them, if MDOnDemandAsk permits it and they lead here.',
    args: 'FLAG',
    apply(scope, on) {
      scope.host.onDemand.enabled = { on, at: here(scope) };
    },
  }),
  directive({
    name: 'MDOnDemandAsk',
    syntax: 'URL',
    contexts: servers,
    doc: 'Asked by GET with `?domain=NAME&client=ADDRESS` whether a name may have a certificate: 200 is yes, 404 is no.',
    args: 'TAKE1',
    apply(scope, text) {
      scope.host.onDemand.ask = askUrl(scope, text);
    },
  }),
  directive({
    name: 'MDOnDemandWait',
    syntax: 'duration',
    contexts: servers,
    default: '20s',
    doc: 'How long a handshake waits for an order; then it gets the host’s own certificate, and the order goes on.',
    args: 'TAKE1',
    apply(scope, text) {
      const ms = duration(text, 's');
      if (ms === undefined || ms === 0 || ms > LONGEST_WAIT) {
        throw new Refusal(`MDOnDemandWait '${text}' must be a duration up to ${LONGEST_WAIT / 1000}s`);
      }
      scope.host.onDemand.wait = ms;
    },
  }),
  directive({
    name: 'MDOnDemandKeep',
    syntax: 'duration',
    contexts: servers,
    default: '30d',
    doc: 'A name that no client has called for so long is dropped, and renewed no more.',
    args: 'TAKE1',
    apply(scope, text) {
      const ms = duration(text, 'd');
      if (ms === undefined || ms < 3_600_000) {
        throw new Refusal(`MDOnDemandKeep '${text}' must be a duration of an hour at least: 30d, 12h`);
      }
      scope.host.onDemand.keep = ms;
    },
  }),
  directive({
    name: 'MDOnDemandAddress',
    syntax: 'address …',
    contexts: servers,
    default: 'this machine’s',
    doc: 'Public addresses that lead to this server, where they are a router’s or a load balancer’s.',
    args: 'ITERATE',
    apply(scope, ...addresses) {
      const wrong = addresses.find((address) => isIP(address) === 0);
      if (wrong !== undefined) throw new Refusal(`MDOnDemandAddress: '${wrong}' is no IP address`);
      scope.host.onDemand.addresses = addresses.map(canonicalAddress);
    },
  }),
];

function askUrl(scope: Scope, text: string): string {
  const url = new URL(httpUrl('MDOnDemandAsk', text));
  // It would be in every message about the service.
  if (url.username !== '' || url.password !== '') {
    throw new Refusal('MDOnDemandAsk: a URL has no password; put a token into its query');
  }
  if (url.hash !== '') throw new Refusal('MDOnDemandAsk: # cannot be in it');
  if (url.protocol === 'http:' && !isLoopback(url.href)) {
    scope.warn(
      'md',
      `MDOnDemandAsk ${url.origin} is not on this machine: who sits in between permits any name; use https`,
    );
  }
  return url.href;
}
