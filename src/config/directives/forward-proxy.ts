/** The forward proxy: requests for other servers, and tunnels to them. */
import { type Directive, Refusal, declaring, servers } from '../directive.ts';
import { here, type Scope } from '../scope.ts';
import type { PortRange } from '../settings.ts';
import { portNumber } from '../values.ts';

const directive = declaring<Scope>();

export const forwardProxyDirectives: readonly Directive<Scope>[] = [
  directive({
    name: 'ProxyRequests',
    syntax: 'On|Off',
    contexts: servers,
    default: 'Off',
    doc: 'Whether clients may ask for other servers’ URLs, and for tunnels; only those that a Require in <Proxy *> lets in.',
    args: 'FLAG',
    apply(scope, on) {
      scope.host.proxyRequests = on ? { at: here(scope) } : 'off';
    },
  }),
  directive({
    name: 'AllowCONNECT',
    syntax: 'port[-port] …',
    contexts: servers,
    default: '443 563',
    doc: 'The ports that tunnels may lead to.',
    args: 'ITERATE',
    apply(scope, ...ranges) {
      scope.host.connectPorts = [...(scope.host.connectPorts ?? []), ...ranges.map(portRange)];
    },
  }),
];

function portRange(text: string): PortRange {
  const [, from = '', to = from] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const range = { from: portNumber(from), to: portNumber(to) };
  if (range.from === undefined || range.to === undefined || range.from > range.to) {
    throw new Refusal(`AllowCONNECT: '${text}' is no port and no range of ports, such as 443 or 8000-8099`);
  }
  return { from: range.from, to: range.to };
}
