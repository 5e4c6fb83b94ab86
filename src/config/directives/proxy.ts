/** The reverse proxy, and the forward one. */
import { Refusal, anywhere, declaring, servers } from '../directive.ts';
import type { Family } from '../directive.ts';
import { words } from '../lexer.ts';
import type { Scope } from '../scope.ts';
import type { ProxyMapping } from '../settings.ts';
import { interval } from '../values.ts';
import { forwardProxyDirectives } from './forward-proxy.ts';

const directive = declaring<Scope>();

const workerParameters = new Set(
  (
    'acquire addressttl connectiontimeout disablereuse enablereuse flushpackets flushwait iobuffersize ' +
    'keepalive lbset max min ping receivebuffersize redirect responsefieldsize retry route smax status ' +
    'timeout ttl upgrade'
  ).split(' '),
);
const flags = new Set(['nocanon', 'interpolate', 'noquery']);

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
    directive({
      name: 'ProxyPreserveHost',
      syntax: 'On|Off',
      contexts: servers,
      default: 'Off',
      doc: 'Gives the client’s Host header to the other server.',
      args: 'FLAG',
      apply(scope, on) {
        scope.host.proxy.preserveHost = on;
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

function proxyPass(scope: Scope, text: string): void {
  const all = words(text);
  const inSection = scope.inside.directory !== undefined;
  if (inSection) refuseFolders(scope, 'ProxyPass');
  const isParameter = (word: string) => /^[^/:]+=/.test(word) || flags.has(word.toLowerCase());
  const plain = all.filter((word) => !isParameter(word));
  if (inSection && plain.length > 1) {
    throw new Refusal('ProxyPass|ProxyPassMatch can not have a path when defined in a location.');
  }
  const from = inSection ? '' : plain.shift();
  const [to, ...more] = plain;
  if (from === undefined || to === undefined) {
    throw new Refusal('ProxyPass|ProxyPassMatch needs a path when not defined in a location');
  }
  if (more.length > 0) {
    throw new Refusal(
      "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be in the form 'key=value'.",
    );
  }
  const mapping: ProxyMapping = {
    kind: 'proxy',
    from: inSection ? (scope.location ?? '/') : from,
    to: to === '!' ? undefined : backend(to),
    parameters: parameters(all.filter(isParameter)),
  };
  if (inSection) scope.directory.proxyPass = mapping;
  else scope.host.mappings.push(mapping);
}

function backend(text: string): string {
  const scheme = /^([a-z][a-z\d+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined || (!URL.canParse(text) && scheme !== 'unix')) {
    throw new Refusal(`ProxyPass URL must be absolute!: ${text}`);
  }
  if (!['http', 'https', 'ws', 'wss'].includes(scheme)) {
    throw new Refusal(
      `ProxyPass: ${scheme}: is not supported yet by this version of Latchkey; use http, https, ws or wss`,
    );
  }
  if (!/^[a-z]+:\/\/[^/]/i.test(text)) throw new Refusal(`ProxyPass URL must be absolute!: ${text}`);
  return text;
}

function parameters(given: readonly string[]): Record<string, string> {
  const result: Record<string, string> = {};
  for (const word of given) {
    const at = word.indexOf('=');
    const key = (at < 0 ? word : word.slice(0, at)).toLowerCase();
    if (at >= 0 && !workerParameters.has(key))
      throw new Refusal(`ProxyPass unknown Worker parameter '${key}'`);
    result[key] = at < 0 ? 'on' : word.slice(at + 1);
  }
  for (const key of ['timeout', 'connectiontimeout', 'retry']) {
    const value = result[key];
    if (value === undefined) continue;
    const ms = interval(`ProxyPass ${key}`, value);
    if (ms === 0 && key !== 'retry') throw new Refusal('ProxyPass Timeout must be at least one second');
  }
  return result;
}
