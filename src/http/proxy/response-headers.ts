/** A backend's head, laid on our response. */
import type { IncomingHttpHeaders } from 'node:http';
import type { CookieRewrite, ProxyMapping } from '../../config/settings.ts';
import type { Exchange } from '../exchange.ts';
import { hopByHop } from './hop-by-hop.ts';

/** Headers that name a place: ProxyPassReverse rewrites them. */
const places: ReadonlySet<string> = new Set(['location', 'content-location', 'uri']);

/** `[name, value]` of each header that passes on. */
export function responseHeaders(
  headers: IncomingHttpHeaders,
  status: number,
  map: (url: string) => string,
  cookies: readonly CookieRewrite[] = [],
): [string, string | string[]][] {
  const drop = hopByHop(headers.connection);
  const passed: [string, string | string[]][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || drop(name)) continue;
    // RFC 9110, section 8.6.
    if (name === 'content-length' && status === 204) continue;
    if (places.has(name)) passed.push([name, mapped(value, map)]);
    else if (name === 'set-cookie' && cookies.length > 0)
      passed.push([name, mapped(value, (cookie) => cookieMap(cookie, cookies))]);
    else passed.push([name, value]);
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
    ...(directory.proxyPassReverse ?? []).map((to) => ({ from: placeOf(mapping), to })),
    ...host.proxy.reverse,
  ].flatMap(({ from, to }) => ofMembers(exchange, to).map((url) => ({ from, to: url })));
  for (const { from, to } of rules) {
    const rest = after(to.startsWith('/') ? pathOf(url) : url, to);
    if (rest === undefined) continue;
    const path = from.endsWith('/') && rest.startsWith('/') ? from + rest.slice(1) : from + rest;
    const authority = exchange.authority || (host.serverName ?? exchange.connection.localAddress);
    return `${exchange.connection.secure ? 'https' : 'http'}://${authority}${path}`;
  }
  return url;
}

/** Where a ProxyPass in <Location> stands. */
function placeOf({ from }: ProxyMapping): string {
  return typeof from === 'string' ? from : '/';
}

/** `ProxyPassReverse / balancer://name/` means each member's URL. */
function ofMembers({ host }: Exchange, to: string): string[] {
  const [, name = '', rest = ''] = /^(balancer:\/\/[^/]*)(.*)$/i.exec(to) ?? [];
  if (name === '') return [to];
  const balancer = host.proxy.balancers.find((one) => one.name === name.toLowerCase());
  return balancer?.members.map(({ url }) => url + rest) ?? [];
}

/** ProxyPassReverseCookieDomain and -Path: of each attribute the first rule that fits. */
function cookieMap(cookie: string, rules: readonly CookieRewrite[]): string {
  return cookie.replaceAll(
    /(;\s*(domain|path)\s*=\s*)([^;\s]*)/gi,
    (whole: string, start: string, attribute: string, value: string) => {
      for (const rule of rules) {
        if (rule.attribute !== attribute.toLowerCase()) continue;
        if (rule.attribute === 'domain' && value.toLowerCase() === rule.from.toLowerCase())
          return start + rule.to;
        if (rule.attribute === 'path' && value.startsWith(rule.from))
          return start + rule.to + value.slice(rule.from.length);
      }
      return whole;
    },
  );
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
