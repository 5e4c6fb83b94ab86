/** The headers that a backend gets, as mod_proxy_http sends them. */
import type { Exchange } from '../exchange.ts';
import { dropNamed, hopByHop } from './hop-by-hop.ts';
import type { Target } from './target.ts';

/**
 * Settles what a client says of its own connection. Done before RequestHeader: what the configuration says counts,
 * and the client can't take it away.
 */
export function introduce({
  request,
  connection,
  directory,
}: Pick<Exchange, 'request' | 'connection' | 'directory'>): void {
  dropNamed(request.headers);
  if (directory.proxyAddHeaders !== false)
    request.headers['x-forwarded-proto'] = connection.secure ? 'https' : 'http';
}

/** Made anew by us, or answered by us (`Expect`). */
const own: ReadonlySet<string> = new Set(['host', 'content-length', 'expect']);

/** Names and values in turn. `length`: of the body, where it is known. */
export function requestHeaders(exchange: Exchange, target: Target, length: string | undefined): string[] {
  const { request, connection, host, directory } = exchange;
  const adds = directory.proxyAddHeaders !== false && exchange.forwardTo === undefined;
  const drop = hopByHop(request.headers.connection);
  const headers: string[] = ['host', hostFor(exchange, target)];
  const forwarded = { for: '', host: '', server: '' };
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(':') || own.has(name) || drop(name)) continue;
    const key = adds ? chains.get(name) : undefined;
    if (key) forwarded[key] = String(value);
    else if (typeof value === 'string') headers.push(name, value);
    else for (const each of value) headers.push(name, each);
  }
  if (length !== undefined) headers.push('content-length', length);
  if (!adds) return headers;
  headers.push('x-forwarded-for', chain(forwarded.for, connection.remoteAddress));
  if (exchange.authority !== '') headers.push('x-forwarded-host', chain(forwarded.host, exchange.authority));
  headers.push('x-forwarded-server', chain(forwarded.server, host.serverName ?? connection.localAddress));
  return headers;
}

const chains: ReadonlyMap<string, 'for' | 'host' | 'server'> = new Map([
  ['x-forwarded-for', 'for'],
  ['x-forwarded-host', 'host'],
  ['x-forwarded-server', 'server'],
]);

function chain(before: string, now: string): string {
  return before === '' ? now : `${before}, ${now}`;
}

/** Counts Max-Forwards down, or adds ProxyMaxForwards; false where a request may be forwarded no further. */
export function countForwards({ request, host }: Exchange): boolean {
  const given = request.headers['max-forwards'];
  if (given === undefined) {
    if (host.proxy.maxForwards !== undefined)
      request.headers['max-forwards'] = String(host.proxy.maxForwards);
    return true;
  }
  const left = Number.parseInt(String(given), 10) - 1;
  if (!(left >= 0)) return false;
  request.headers['max-forwards'] = String(left);
  return true;
}

function hostFor({ directory, authority, forwardTo }: Exchange, target: Target): string {
  if (forwardTo !== undefined) return target.host;
  return directory.proxyPreserveHost && authority !== '' ? authority : target.host;
}
