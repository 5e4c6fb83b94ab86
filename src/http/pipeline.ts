/**
 * The way of a request: admitted, then challenges, then mapped (proxy, redirect, alias, document root), its
 * sections merged, let in or not, redirected to https where it must, and handed to whoever answers it.
 */
import type { Clock } from '../base/clock.ts';
import { explain } from '../base/errors.ts';
import type { Logger, Loggers } from '../base/log.ts';
import type { HostSettings } from '../config/settings.ts';
import { accessDenied, isAuthorized } from './access.ts';
import { admit } from './admission.ts';
import { applyHostRules, applyPlaceRules, applySetEnv } from './environment.ts';
import { handlerByExtension, splitPathInfo } from './cgi/place.ts';
import type { Scripts } from './cgi/scripts.ts';
import type { Handler, ProxyHandler } from './exchange.ts';
import { allowedMethods, serveFile } from './files.ts';
import { applyHeaderRules, applyRequestHeaderRules } from './headers.ts';
import { serveForward } from './forward.ts';
import type { LiveExchange } from './live.ts';
import { mapPath, withQuery } from './mapping.ts';
import type { Destination } from './mapping.ts';
import { serverSoftware, statusPage } from './pages.ts';
import { introduce } from './proxy/request-headers.ts';
import { isRedirect, redirect, sendPage } from './replies.ts';
import type { Site } from './site.ts';
import { cleanPath, encodePath } from './target.ts';
import { tlsRefusal } from './tls-demands.ts';
import { bytes, environmentOf, holds } from './variables.ts';

/** What the room needs from outside. */
export interface Dependencies {
  /** http-01 challenges: the key authorization that a name answers with, if there is one, when asked for `token`. */
  readonly challenges: { http01(host: string, token: string): Promise<string | undefined> };
  readonly loggers: Loggers;
  /** Loggers to a host's own ErrorLog and LogLevel; `loggers` where it is left out. */
  readonly hostLoggers?: (host: HostSettings) => Loggers;
  /** Appends one line (without newline) to an access log. */
  readonly accessLog: (file: string, line: string) => void;
  readonly clock: Clock;
  readonly proxy: ProxyHandler;
  readonly scripts: Pick<Scripts, 'answer'>;
  /** By SetHandler's name. */
  readonly handlers: Readonly<Record<string, Handler>>;
  /** Whether a host has only a stopgap certificate by now; without it, what the handshake had counts. */
  readonly isFallback?: (host: HostSettings) => boolean;
}

const challengePath = '/.well-known/acme-challenge/';
const mostRedirects = 10;
/** After these the rest of the connection can't be trusted, or isn't worth keeping (as httpd decides). */
const closing = new Set([400, 408, 411, 413, 414, 500, 501, 503]);

/** Answers a request. Never rejects: what goes wrong is answered with 500 and logged. */
export async function answer(exchange: LiveExchange, site: Site, deps: Dependencies): Promise<void> {
  exchange.onFail((status, reason) => fail(exchange, site, deps, status, reason));
  exchange.response.onHead = () => completeHead(exchange);
  try {
    const refusal = admit(exchange, site);
    if (refusal) return await exchange.fail(refusal.status, refusal.reason);
    applyHostRules(exchange);
    if (isForChallenge(exchange) && (await answerChallenge(exchange, deps))) return;
    if (isStopgap(exchange, deps)) {
      exchange.stopgap = true;
      return await exchange.fail(503);
    }
    const { forwardTo } = exchange;
    if (forwardTo !== undefined) return await serveForward(exchange, forwardTo, { site, proxy: deps.proxy });
    await serve(exchange, site, deps);
  } catch (error) {
    // Failed from outside meanwhile (too slow, too long): whoever was answering only finds that out.
    if (exchange.response.writableEnded) return;
    logOf(exchange, deps).error(`${prefix(exchange)}${explain(error)}`);
    await exchange.fail(500).catch(() => exchange.response.destroy());
  }
}

function completeHead(exchange: LiveExchange): void {
  const { response, errorStatus } = exchange;
  if (errorStatus !== undefined && response.statusCode === 200) response.statusCode = errorStatus;
  if (closing.has(response.statusCode) || isLast(exchange)) exchange.closes = true;
  if (exchange.closes && exchange.request.httpVersionMajor === 1) response.setHeader('Connection', 'close');
  if (exchange.untyped) response.removeHeader('Content-Type');
  applyHeaderRules(exchange);
  if (!response.hasHeader('Server')) response.setHeader('Server', serverSoftware);
}

/** KeepAlive, MaxKeepAliveRequests. */
function isLast({ earlier, host }: LiveExchange): boolean {
  const { keepAlive, maxKeepAliveRequests } = host.limits;
  return !keepAlive || (maxKeepAliveRequests > 0 && earlier >= maxKeepAliveRequests);
}

function isForChallenge({ path, method }: LiveExchange): boolean {
  return path.startsWith(challengePath) && path !== challengePath && (method === 'GET' || method === 'HEAD');
}

/** Before redirects, proxies and access rules: a CA has to get through whatever the configuration says. */
async function answerChallenge(exchange: LiveExchange, deps: Dependencies): Promise<boolean> {
  const { path, response, hostname } = exchange;
  const authorization =
    hostname === '' ? undefined : await deps.challenges.http01(hostname, path.slice(challengePath.length));
  if (authorization === undefined) {
    if (exchange.known || exchange.settings.domains.length === 0) return false;
    await exchange.fail(404, `No challenge for ${hostname}`);
    return true;
  }
  response.setHeader('Content-Type', 'text/plain');
  response.setHeader('Content-Length', String(Buffer.byteLength(authorization)));
  response.end(authorization);
  return true;
}

function isStopgap({ connection, host }: LiveExchange, deps: Dependencies): boolean {
  if (!connection.secure || host.managedDomain === undefined) return false;
  return deps.isFallback?.(host) ?? connection.fallback === true;
}

/** From the path on; internal redirects (DirectoryIndex, ErrorDocument) begin here again. */
async function serve(exchange: LiveExchange, site: Site, deps: Dependencies): Promise<void> {
  const clean = { path: exchange.path, encoded: exchange.encodedPath };
  const sections = site.sectionsOf(exchange.host);
  const evaluate = (condition: Parameters<typeof holds>[0]) => holds(condition, exchange);
  const destination = mapPath(exchange.host, sections.byLocation(clean.path), clean, exchange.query);
  placeFile(exchange, site, destination);
  exchange.directory = sections.resolve({
    path: clean.path,
    filename: exchange.filename,
    proxyTarget: destination.kind === 'proxy' ? destination.target : undefined,
    evaluate,
  });
  if (destination.kind === 'redirect') return redirectOrFail(exchange, destination.status, destination.to);
  applyPlaceRules(exchange);
  const demand = tlsRefusal(exchange, evaluate);
  if (demand !== undefined) return exchange.fail(403, demand);
  const { require } = exchange.directory;
  const isSet = (name: string) => environmentOf(exchange, name) !== undefined;
  if (require && !(await isAuthorized(require.rule, { ...addresses(exchange), evaluate, isSet }))) {
    return exchange.fail(403, `${accessDenied}: ${exchange.filename ?? clean.path}`);
  }
  const { redirect: inPlace } = exchange.directory;
  if (inPlace) {
    const to = inPlace.to === undefined ? undefined : withQuery(inPlace.to, exchange.query);
    return redirectOrFail(exchange, inPlace.status, to);
  }
  if (redirectedToHttps(exchange)) return;
  if (destination.kind === 'proxy') introduce(exchange);
  applySetEnv(exchange);
  applyRequestHeaderRules(exchange);
  if (destination.kind === 'proxy') return proxy(exchange, deps, destination);
  return handle(exchange, site, deps);
}

/** Where scripts may be, the file is what the path leads to, and the rest is the script's. */
function placeFile(exchange: LiveExchange, site: Site, destination: Destination): void {
  exchange.pathInfo = '';
  exchange.filename = undefined;
  exchange.alias = undefined;
  if (destination.kind !== 'file') return;
  exchange.filename = destination.filename;
  exchange.alias = destination.alias;
  if (site.runsScripts(exchange.host)) Object.assign(exchange, splitPathInfo(destination.filename));
}

function addresses({ connection }: LiveExchange): { remoteAddress: string; localAddress: string } {
  return { remoteAddress: connection.remoteAddress, localAddress: connection.localAddress };
}

async function redirectOrFail(exchange: LiveExchange, status: number, to: string | undefined): Promise<void> {
  if (to === undefined || !isRedirect(status)) return exchange.fail(status);
  return redirect(exchange, status, to);
}

/** MDRequireHttps. */
function redirectedToHttps(exchange: LiveExchange): boolean {
  const { connection, directory, host, method, path } = exchange;
  const mode = directory.requireHttps ?? host.requireHttps;
  if (mode === 'off' || connection.secure || path.startsWith('/.well-known/')) return false;
  const name = exchange.hostname || host.serverName;
  if (name === undefined) return false;
  const permanent = mode === 'permanent';
  const read = method === 'GET' || method === 'HEAD';
  const [once, always] = read ? [302, 301] : [307, 308];
  const where = name.includes(':') ? `[${name}]` : name;
  redirect(
    exchange,
    permanent ? always : once,
    withQuery(`https://${where}${exchange.encodedPath}`, exchange.query),
  );
  return true;
}

async function proxy(
  exchange: LiveExchange,
  deps: Dependencies,
  { target, mapping }: { target: string; mapping: Parameters<ProxyHandler['handle']>[2] },
): Promise<void> {
  exchange.handler = 'proxy-server';
  exchange.invite();
  if (exchange.upgrade) return deps.proxy.upgrade(exchange, target, mapping);
  return deps.proxy.handle(exchange, target, mapping);
}

async function handle(exchange: LiveExchange, site: Site, deps: Dependencies): Promise<void> {
  const name = asksForCertificates(exchange) ? 'certificate-status' : handlerOf(exchange);
  const filename = exchange.filename === undefined ? undefined : exchange.filename + exchange.pathInfo;
  if (exchange.request.method === 'CONNECT') return exchange.fail(405, 'no WebSocket is here');
  if (name !== undefined && name !== 'none' && name !== 'default-handler') {
    exchange.handler = name;
    if (name === 'cgi-script') return runScript(exchange, site, deps);
    const handler = Object.hasOwn(deps.handlers, name) ? deps.handlers[name] : undefined;
    if (!handler) return exchange.fail(500, `handler "${name}" not found for: ${filename ?? exchange.path}`);
    exchange.invite();
    return handler(exchange);
  }
  if (exchange.path === '*') return sendOptions(exchange);
  if (filename === undefined) return exchange.fail(404, `Nothing is at ${exchange.path}`);
  const result = await serveFile(exchange, filename, site.smallFiles);
  switch (result.kind) {
    case 'answered':
      return;
    case 'slash':
      return redirect(exchange, 301, withQuery(`${exchange.encodedPath}/`, exchange.query));
    case 'index':
      return serveInstead(exchange, site, deps, result.path);
    case 'error':
      return fail(exchange, site, deps, result.status, result.reason, result.headers);
    default:
      return result satisfies never;
  }
}

/** SetHandler, else AddHandler, else what ScriptAlias says: each overrules the next. */
function handlerOf({ directory, filename, alias }: LiveExchange): string | undefined {
  const { handler } = directory;
  if (handler !== undefined && handler !== 'none') return handler;
  const byExtension = filename === undefined ? undefined : handlerByExtension(directory, filename);
  return byExtension ?? (alias?.script ? 'cgi-script' : undefined);
}

async function runScript(exchange: LiveExchange, site: Site, deps: Dependencies): Promise<void> {
  exchange.invite();
  const log = logOf(exchange, deps, 'cgi');
  const outcome = await deps.scripts.answer(exchange, (line) => log.error(`${prefix(exchange)}${line}`));
  if (outcome.kind === 'answered') return;
  const { env, path, query } = exchange;
  env.set('REDIRECT_STATUS', '200').set('REDIRECT_URL', bytes(path)).set('REDIRECT_QUERY_STRING', query);
  if (exchange.method !== 'HEAD') exchange.method = 'GET';
  exchange.query = '';
  return serveInstead(exchange, site, deps, outcome.target, 'encoded');
}

/** MDCertificateStatus: whatever else the host has at this place. */
function asksForCertificates({ path, host, settings }: LiveExchange): boolean {
  return (
    path === '/.httpd/certificate-status' && settings.md.certificateStatus && host.managedDomain !== undefined
  );
}

function sendOptions({ response }: LiveExchange): void {
  response.setHeader('Allow', allowedMethods);
  response.setHeader('Content-Length', '0');
  response.end();
}

async function serveInstead(
  exchange: LiveExchange,
  site: Site,
  deps: Dependencies,
  local: string,
  form: 'plain' | 'encoded' = 'plain',
): Promise<void> {
  const mark = local.indexOf('?');
  const path = mark === -1 ? local : local.slice(0, mark);
  if (mark !== -1) exchange.query = local.slice(mark + 1);
  const clean = cleanPath(form === 'encoded' ? path : encodePath(path));
  exchange.redirects += 1;
  if (typeof clean === 'number' || exchange.redirects > mostRedirects) {
    logOf(exchange, deps).error(
      `${prefix(exchange)}Request exceeded the limit of ${mostRedirects} internal redirects`,
    );
    return sendPage(exchange, 500, statusPage(500));
  }
  exchange.forwardTo = undefined;
  exchange.moveTo(clean);
  return serve(exchange, site, deps);
}

/** `headers`: what belongs to the error itself, like Allow or Content-Range. */
async function fail(
  exchange: LiveExchange,
  site: Site,
  deps: Dependencies,
  status: number,
  reason?: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { response } = exchange;
  if (response.writableEnded) return;
  if (reason !== undefined) logFailure(exchange, deps, status, reason);
  if (response.headersSent) return void response.destroy();
  exchange.untyped = false;
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const earlier = exchange.errorStatus;
  const document = earlier === undefined ? exchange.directory.errorDocuments?.[status] : undefined;
  if (document?.kind === 'text') return sendPage(exchange, status, document.text, headers);
  if (document?.kind === 'url') return redirect(exchange, 302, document.url);
  if (document?.kind !== 'path')
    return sendPage(exchange, earlier ?? status, statusPage(earlier ?? status), headers);
  exchange.errorStatus = status;
  exchange.env.set('REDIRECT_STATUS', String(status)).set('REDIRECT_URL', exchange.path);
  if (exchange.method !== 'HEAD') exchange.method = 'GET';
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  return serveInstead(exchange, site, deps, document.path);
}

/** Whose log a reason belongs to, by how it begins. */
const modules = [
  [accessDenied, 'authz_core'],
  ['AH02219', 'ssl'],
  ['AH02222', 'ssl'],
] as const;

function logFailure(exchange: LiveExchange, deps: Dependencies, status: number, reason: string): void {
  const level = status >= 500 || status === 403 ? 'error' : 'info';
  const module = modules.find(([start]) => reason.startsWith(start))?.[1] ?? 'core';
  logOf(exchange, deps, module).log(level, `${prefix(exchange)}${reason}`);
}

function logOf({ host }: LiveExchange, deps: Dependencies, module = 'core'): Logger {
  return (deps.hostLoggers?.(host) ?? deps.loggers)(module);
}

function prefix({ connection }: LiveExchange): string {
  const port = connection.remotePort === undefined ? '' : `:${connection.remotePort}`;
  return `[client ${connection.remoteAddress}${port}] `;
}
