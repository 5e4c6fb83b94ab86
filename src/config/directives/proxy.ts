/** The reverse proxy, and the forward one. */
import { Refusal, anywhere, declaring, servers } from '../directive.ts';
import type { Directive, Family } from '../directive.ts';
import { words } from '../lexer.ts';
import { balancerName } from '../proxies.ts';
import type { Scope } from '../scope.ts';
import type { CookieRewrite, ProxyMapping, ProxyParameters } from '../settings.ts';
import { interval, onOff, wholeNumber } from '../values.ts';
import { forwardProxyDirectives } from './forward-proxy.ts';
import { backendUrl, isParameter, parametersOf } from './proxy-workers.ts';
import { compile } from './sections.ts';

const directive = declaring<Scope>();

export const proxy: Family<Scope> = {
  module: 'proxy',
  title: 'Proxy',
  directives: [
    directive({
      name: 'ProxyPass',
      syntax: '[path] URL|! [key=value …]',
      contexts: anywhere,
      doc: 'Hands requests below a path to another server; `!` does not. In <Location> without the path.',
      args: 'RAW_ARGS',
      apply: proxyPass,
    }),
    directive({
      name: 'ProxyPassMatch',
      syntax: 'regex URL|! [key=value …]',
      contexts: servers,
      doc: 'As ProxyPass, for paths that match; `$1` … of the URL are the groups, without any the path is added.',
      args: 'RAW_ARGS',
      apply: proxyPassMatch,
    }),
    directive({
      name: 'ProxyPassInherit',
      syntax: 'On|Off',
      contexts: servers,
      default: 'On',
      doc: 'Whether the base server’s ProxyPass lines count for the virtual host, after its own.',
      args: 'FLAG',
      apply(scope, on) {
        scope.host.proxy.inherit = on;
      },
    }),
    directive({
      name: 'ProxyPassReverse',
      syntax: '[path] URL',
      contexts: anywhere,
      doc: 'Maps the other server’s Location headers back. In <Location> without the path.',
      args: 'TAKE12',
      apply(scope, first, second) {
        const url = second ?? first;
        const inSection = scope.inside.directory !== undefined;
        if (inSection === (second !== undefined)) {
          throw new Refusal(
            inSection
              ? 'ProxyPassReverse can not have a path when defined in a location'
              : 'ProxyPassReverse needs a path when not defined in a location',
          );
        }
        if (inSection) {
          refuseFolders(scope, 'ProxyPassReverse');
          scope.directory.proxyPassReverse = [...(scope.directory.proxyPassReverse ?? []), url];
        } else scope.host.proxy.reverse.push({ from: first, to: url });
      },
    }),
    cookieRewrite('ProxyPassReverseCookieDomain', 'domain'),
    cookieRewrite('ProxyPassReverseCookiePath', 'path'),
    directive({
      name: 'ProxyPreserveHost',
      syntax: 'On|Off',
      contexts: anywhere,
      default: 'Off',
      doc: 'Gives the client’s Host header to the other server.',
      args: 'FLAG',
      apply(scope, on) {
        scope.directory.proxyPreserveHost = on;
      },
    }),
    directive({
      name: 'ProxyAddHeaders',
      syntax: 'On|Off',
      contexts: anywhere,
      default: 'On',
      doc: 'Tells the other server of the client: X-Forwarded-For, -Host, -Server and -Proto.',
      args: 'FLAG',
      apply(scope, on) {
        scope.directory.proxyAddHeaders = on;
      },
    }),
    directive({
      name: 'ProxyErrorOverride',
      syntax: 'On|Off [status …]',
      contexts: anywhere,
      default: 'Off',
      doc: 'Answers with our error documents instead of the other server’s; for these statuses, or all errors.',
      args: 'TAKE_ARGV',
      apply(scope, word = '', ...statuses) {
        if (!onOff(word)) scope.directory.proxyErrorOverride = [];
        else {
          const codes = statuses.map((text) => wholeNumber('ProxyErrorOverride', text, 400, 599));
          scope.directory.proxyErrorOverride = codes.length > 0 ? codes : 'all';
        }
      },
    }),
    directive({
      name: 'ProxyMaxForwards',
      syntax: 'number',
      contexts: servers,
      default: '-1',
      doc: 'Max-Forwards for requests that have none; -1: none is added.',
      args: 'TAKE1',
      apply(scope, text) {
        if (text !== '-1') scope.host.proxy.maxForwards = wholeNumber('ProxyMaxForwards', text, 0, 1_000_000);
      },
    }),
    directive({
      name: 'ProxyTimeout',
      syntax: 'seconds',
      contexts: servers,
      default: 'Timeout',
      doc: 'How long the other server may say nothing.',
      args: 'TAKE1',
      apply(scope, text) {
        const ms = interval('ProxyTimeout', text);
        if (ms === 0) throw new Refusal('Proxy Timeout must be at least 1 second.');
        scope.host.proxy.timeout = ms;
      },
    }),
    ...forwardProxyDirectives,
  ],
};

function refuseFolders(scope: Scope, name: string): void {
  if (scope.inside.directory?.startsWith('Location')) return;
  throw new Refusal(`${name} cannot occur within <${scope.inside.directory}> section`);
}

function cookieRewrite(name: string, attribute: CookieRewrite['attribute']): Directive<Scope> {
  return directive({
    name,
    syntax: `internal-${attribute} public-${attribute}`,
    contexts: anywhere,
    doc: `Maps the ${attribute} of the other server’s cookies back.`,
    args: 'TAKE2',
    apply(scope, from, to) {
      scope.directory.proxyCookies = [...(scope.directory.proxyCookies ?? []), { attribute, from, to }];
    },
  });
}

interface Pass {
  /** What stands before the URL; undefined in <Location>. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly parameters: ProxyParameters;
}

function readPass(scope: Scope, name: string, text: string): Pass {
  const all = words(text);
  const inSection = scope.inside.directory !== undefined;
  const plain = all.filter((word) => !isParameter(word));
  if (inSection && plain.length > 1) {
    throw new Refusal('ProxyPass|ProxyPassMatch can not have a path when defined in a location.');
  }
  const from = inSection ? undefined : plain.shift();
  const [to, ...more] = plain;
  if ((from === undefined && !inSection) || to === undefined) {
    throw new Refusal('ProxyPass|ProxyPassMatch needs a path when not defined in a location');
  }
  if (more.length > 0) {
    throw new Refusal(
      "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be in the form 'key=value'.",
    );
  }
  const balancer = balancerName(to);
  const parameters = parametersOf(scope, name, all.filter(isParameter), balancer !== undefined);
  // Parameters of a balancer are its own, wherever they are given.
  if (balancer !== undefined) scope.host.proxy.workers.push({ url: balancer, parameters });
  return { from, to: to === '!' ? undefined : to, parameters };
}

function proxyPass(scope: Scope, text: string): void {
  if (scope.inside.directory !== undefined) refuseFolders(scope, 'ProxyPass');
  const { from, to, parameters } = readPass(scope, 'ProxyPass', text);
  const mapping: ProxyMapping = {
    kind: 'proxy',
    from: from ?? scope.location ?? '/',
    to: to === undefined ? undefined : backendUrl('ProxyPass', to),
    parameters,
  };
  if (from === undefined) scope.directory.proxyPass = mapping;
  else scope.host.mappings.push(mapping);
}

function proxyPassMatch(scope: Scope, text: string): void {
  const { from = '', to, parameters } = readPass(scope, 'ProxyPassMatch', text);
  // Up to its first group: a client must not choose which server is connected to.
  if (to !== undefined) backendUrl('ProxyPassMatch', to.replace(/\$\d.*$/, ''));
  scope.host.mappings.push({ kind: 'proxy', from: compile(from), to, parameters });
}
