/**
 * URL space to file space and elsewhere, in httpd's precedence: ProxyPass, Redirect, Alias, DocumentRoot; of
 * each kind the first that matches.
 */
import type { DirectorySettings, HostSettings, Mapping, ProxyMapping } from '../config/settings.ts';
import { toBytes } from '../config/expression-tree.ts';
import { matchedFile, matchedUrl } from './substitution.ts';
import type { CleanPath } from './target.ts';

export type AliasMapping = Extract<Mapping, { readonly kind: 'alias' }>;

export type Destination =
  | { readonly kind: 'proxy'; readonly target: string; readonly mapping: ProxyMapping }
  | { readonly kind: 'redirect'; readonly status: number; readonly to: string | undefined }
  | { readonly kind: 'file'; readonly filename: string; readonly alias?: AliasMapping }
  | { readonly kind: 'nowhere' };

/** `location`: what the `<Location>`s of the path say; a ProxyPass in one comes first. `query`: without `?`. */
export function mapPath(
  host: Pick<HostSettings, 'mappings' | 'documentRoot'>,
  location: DirectorySettings,
  clean: CleanPath,
  query: string,
): Destination {
  const proxy =
    (location.proxyPass && matches(location.proxyPass, clean.path) ? location.proxyPass : undefined) ??
    firstOf(host.mappings, 'proxy', clean.path);
  // `ProxyPass /path !` ends the search among proxies only.
  if (proxy?.to !== undefined) {
    const target =
      typeof proxy.from === 'string'
        ? proxyTarget(proxy.to, remainder({ from: proxy.from }, clean))
        : matchedTarget(proxy.to, proxy.from, clean);
    return { kind: 'proxy', mapping: proxy, target: withQuery(target, query) };
  }
  const redirect = firstOf(host.mappings, 'redirect', clean.path);
  if (redirect) {
    const to = redirect.to === undefined ? undefined : redirectTarget(redirect.from, redirect.to, clean);
    return { kind: 'redirect', status: redirect.status, to: to && withQuery(to, query) };
  }
  const alias = firstOf(host.mappings, 'alias', clean.path);
  if (alias) return aliased(alias, clean.path);
  if (host.documentRoot === undefined || clean.path === '*') return { kind: 'nowhere' };
  return { kind: 'file', filename: host.documentRoot.replace(/\/$/, '') + clean.path };
}

function firstOf<Kind extends Mapping['kind']>(
  mappings: readonly Mapping[],
  kind: Kind,
  path: string,
): Extract<Mapping, { readonly kind: Kind }> | undefined {
  for (const mapping of mappings) {
    if (mapping.kind === kind && matches(mapping, path)) return mapping as Extract<Mapping, { kind: Kind }>;
  }
  return undefined;
}

function redirectTarget(from: string | RegExp, to: string, clean: CleanPath): string | undefined {
  return typeof from === 'string' ? to + remainder({ from }, clean) : matchedUrl(from, to, clean.path);
}

function aliased(alias: AliasMapping, path: string): Destination {
  const { from, to } = alias;
  const filename = typeof from === 'string' ? to + path.slice(from.length) : matchedFile(from, to, path);
  if (filename === undefined) return { kind: 'nowhere' };
  return { kind: 'file', filename, alias };
}

/** `/a` matches `/a` and `/a/b`; `/a/` only what begins with it. */
function matches({ from }: Mapping, path: string): boolean {
  if (typeof from !== 'string') return from.test(toBytes(path));
  return from.endsWith('/') ? path.startsWith(from) : path === from || path.startsWith(`${from}/`);
}

/** What follows the prefix, encoded as it came. */
function remainder({ from }: { readonly from: string }, { encoded }: CleanPath): string {
  let at = -1;
  for (let left = from.split('/').length - 1; left > 0; left--) at = encoded.indexOf('/', at + 1);
  if (from.endsWith('/')) return encoded.slice(at + 1);
  const next = encoded.indexOf('/', at + 1);
  return next === -1 ? '' : encoded.slice(next);
}

/** The path must never run into the authority: `http://b` and `.evil.test` are two things. */
function proxyTarget(to: string, rest: string): string {
  return isBare(to) && !rest.startsWith('/') ? `${to}/${rest}` : to + rest;
}

function isBare(to: string): boolean {
  return /^(?:unix:[^|]*\|)?[a-z][a-z\d]*:\/\/[^/]*$/i.test(to);
}

/** ProxyPassMatch: without a group in `to`, the whole path is added. */
function matchedTarget(to: string, pattern: RegExp, { path, encoded }: CleanPath): string {
  const first = to.search(/\$\d/);
  if (first === -1) return proxyTarget(to, encoded);
  return proxyTarget(to.slice(0, first), matchedUrl(pattern, to.slice(first), path) ?? '');
}

/** A target that has a query of its own keeps it. */
export function withQuery(url: string, query: string): string {
  return query === '' || url.includes('?') ? url : `${url}?${query}`;
}
