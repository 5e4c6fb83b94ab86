/** Requests for other servers: which they are, and what they have to be (RFC 9112, sections 3.2.2 and 3.2.3). */
import type { HostSettings } from '../config/settings.ts';
import type { Refusal } from './admission.ts';
import type { LiveExchange } from './live.ts';
import type { Site } from './site.ts';
import { hostLines, parseAuthority, type Target } from './target.ts';

/** The host that is to be the proxy for an absolute URL; undefined where it is no proxy, or the URL its own. */
export function forwardHost(
  exchange: LiveExchange,
  site: Site,
  { scheme, authority }: NonNullable<Target['absolute']>,
): HostSettings | undefined {
  const to = parseAuthority(authority);
  const { connection, request } = exchange;
  if (!to || request.httpVersionMajor !== 1) return undefined;
  const { host, known } = proxyFor(exchange, site, to.hostname);
  const port = to.port ?? (scheme === 'https' ? 443 : 80);
  const ours = known && (scheme === 'https') === connection.secure && port === connection.localPort;
  return host.forwardProxy && !ours ? host : undefined;
}

/** The host that a request for `hostname` is put to: the one of this name, or whom the connection is with. */
function proxyFor(
  { connection }: LiveExchange,
  site: Site,
  hostname: string,
): { readonly host: HostSettings; readonly known: boolean } {
  const { localAddress, localPort, host } = connection;
  const found = site.hosts.forRequest(localAddress, localPort, hostname);
  return found.known ? found : { host, known: false };
}

/** Fills in what the proxy and the logs look at. `host`: of forwardHost(). */
export function admitForward(
  exchange: LiveExchange,
  host: HostSettings,
  authority: string,
): Refusal | undefined {
  return settle(exchange, host, { authority, url: exchange.request.url ?? '' });
}

/** CONNECT, with `host:port` as its target. */
export function admitTunnel(exchange: LiveExchange, site: Site): Refusal | undefined {
  const { request } = exchange;
  const authority = request.url ?? '';
  const to = parseAuthority(authority);
  const { host } = proxyFor(exchange, site, to?.hostname ?? '');
  if (request.httpVersionMajor !== 1 || !host.forwardProxy) {
    return { status: 405, reason: 'CONNECT is not served: this is no forward proxy' };
  }
  if (to?.port === undefined) return { status: 400, reason: 'CONNECT needs a host and a port' };
  return settle(exchange, host, { authority, url: authority });
}

function settle(
  exchange: LiveExchange,
  host: HostSettings,
  { authority, url }: { readonly authority: string; readonly url: string },
): Refusal | undefined {
  const hosts = hostLines(exchange.request.rawHeaders);
  if (hosts.length > 1) return { status: 400, reason: 'More than one Host' };
  if (hosts.some((name) => name !== '' && !parseAuthority(name)))
    return { status: 400, reason: 'Invalid Host' };
  exchange.host = host;
  exchange.directory = host.directory;
  exchange.authority = authority;
  exchange.hostname = parseAuthority(authority)?.hostname ?? '';
  exchange.forwardTo = url;
  exchange.originalPath = url;
  exchange.moveTo({ path: url, encoded: url });
  return undefined;
}
