/** A backend's head, laid on our response. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ProxyMapping } from '../../config/settings.ts';
import type { Exchange } from '../exchange.ts';
import { hopByHop } from './hop-by-hop.ts';

/** Headers that name a place: ProxyPassReverse rewrites them. */
const places: ReadonlySet<string> = new Set(['location', 'content-location', 'uri']);

/** `[name, value]` of each header that passes on. */
export function responseHeaders(
  headers: IncomingHttpHeaders,
  status: number,
  map: (url: string) => string,
): [string, string | string[]][] {
  const drop = hopByHop(headers.connection);
  const passed: [string, string | string[]][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || drop(name)) continue;
    // RFC 9110, section 8.6.
    if (name === 'content-length' && status === 204) continue;
    passed.push([name, places.has(name) ? mapped(value, map) : value]);
  }
  return passed;
}

function mapped(value: string | string[], map: (url: string) => string): string | string[] {
  return typeof value === 'string' ? map(value) : value.map(map);
}

/** ProxyPassReverse: a URL of the backend as the client has to write it; other URLs stay. */
export function reverseMap(exchange: Exchange, mapping: ProxyMapping, url: string): string {
  const { host, directory } = exchange;
  if (exchange.forwardTo !== undefined) return url;
  const rules = [
    ...(directory.proxyPassReverse ?? []).map((to) => ({ from: mapping.from, to })),
    ...host.proxy.reverse,
  ];
  for (const { from, to } of rules) {
    const rest = after(to.startsWith('/') ? pathOf(url) : url, to);
    if (rest === undefined) continue;
    const path = from.endsWith('/') && rest.startsWith('/') ? from + rest.slice(1) : from + rest;
    const authority = exchange.authority || (host.serverName ?? exchange.connection.localAddress);
    return `${exchange.connection.secure ? 'https' : 'http'}://${authority}${path}`;
  }
  return url;
}

/** What follows `prefix`, if it ends where a path segment does. */
function after(url: string, prefix: string): string | undefined {
  if (!url.toLowerCase().startsWith(prefix.toLowerCase())) return undefined;
  const rest = url.slice(prefix.length);
  return prefix.endsWith('/') || /^(?:$|[/?#])/.test(rest) ? rest : undefined;
}

function pathOf(url: string): string {
  return url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '');
}
