/** Preflight: what is looked at before a CA does. */
import { Resolver } from 'node:dns';
import { declaring, Refusal, serverOnly } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Scope } from '../scope.ts';

const directive = declaring<Scope>();

export const preflight: readonly Directive<Scope>[] = [
  directive({
    name: 'MDPreflight',
    syntax: 'on|off|address[:port] …',
    contexts: serverOnly,
    default: 'on',
    doc: 'Whether new domains are looked at as their CA is going to look (DNS, CAA, reachability), and by which DNS servers instead of the system’s. Advice only: see `latchkey doctor`.',
    args: 'ITERATE',
    apply(scope, ...args) {
      const [first = ''] = args;
      const word = args.length === 1 && /^(?:on|off)$/i.test(first);
      if (!word) checkServers(args);
      scope.server.md.preflight = {
        enabled: !word || first.toLowerCase() === 'on',
        resolvers: word ? [] : args,
      };
    },
  }),
];

function checkServers(servers: readonly string[]): void {
  try {
    new Resolver().setServers(servers);
  } catch {
    throw new Refusal(
      `MDPreflight: '${servers.join(' ')}' is neither on, off, nor DNS servers (192.0.2.53 or 192.0.2.53:5353)`,
    );
  }
}
