/**
 * The forward proxy (ProxyRequests On): who asks for another server's URL, or for a tunnel to it, gets through
 * where a Require says so. Without any Require nobody does: a proxy must not be open by accident.
 */
import type { ForwardProxySettings, ProxyMapping } from '../config/settings.ts';
import { accessDenied, isAuthorized } from './access.ts';
import type { ProxyHandler } from './exchange.ts';
import { applyRequestHeaderRules } from './headers.ts';
import type { LiveExchange } from './live.ts';
import { dropNamed } from './proxy/hop-by-hop.ts';
import type { Site } from './site.ts';
import { parseAuthority } from './target.ts';
import { environmentOf, holds } from './variables.ts';

/** No ProxyPass stands behind it: no parameters, and nothing to map back. */
const unmapped: ProxyMapping = { kind: 'proxy', from: '', to: undefined, parameters: {} };

/** `url`: what was asked for, whole; of a tunnel, `host:port`. */
export async function serveForward(
  exchange: LiveExchange,
  url: string,
  { site, proxy }: { readonly site: Site; readonly proxy: ProxyHandler },
): Promise<void> {
  const evaluate = (condition: Parameters<typeof holds>[0]) => holds(condition, exchange);
  const { connection, host, method } = exchange;
  exchange.directory = site
    .sectionsOf(host)
    .resolve({ path: url, filename: undefined, proxyTarget: url, evaluate });
  const rule = exchange.directory.require?.rule;
  if (!rule) return exchange.fail(403, `${accessDenied}: no Require lets anybody use the proxy for ${url}`);
  const isSet = (name: string) => environmentOf(exchange, name) !== undefined;
  const { remoteAddress, localAddress } = connection;
  const visitor = { remoteAddress, localAddress, evaluate, isSet };
  if (!(await isAuthorized(rule, visitor))) return exchange.fail(403, `${accessDenied}: ${url}`);
  exchange.handler = 'proxy-server';
  if (method === 'CONNECT') return connect(exchange, url, proxy);
  dropNamed(exchange.request.headers);
  applyRequestHeaderRules(exchange);
  exchange.invite();
  return exchange.upgrade ? proxy.upgrade(exchange, url, unmapped) : proxy.handle(exchange, url, unmapped);
}

function connect(exchange: LiveExchange, url: string, proxy: ProxyHandler): Promise<void> {
  const to = parseAuthority(url);
  if (to?.port === undefined) return exchange.fail(400, `No host and port to connect to: ${url}`);
  const { hostname, port } = to;
  if (!isAllowed(exchange.host.forwardProxy, port)) {
    return exchange.fail(403, `Connect to remote machine blocked: AllowCONNECT has no port ${port}`);
  }
  return proxy.connect(exchange, { hostname, port });
}

function isAllowed(forward: ForwardProxySettings | undefined, port: number): boolean {
  return forward?.connectPorts.some(({ from, to }) => from <= port && port <= to) ?? false;
}
