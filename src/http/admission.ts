/**
 * What a request has to be before anybody looks at what it asks for: its size, its target, its Host, and
 * whether the connection may carry requests of that host.
 */
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { HostSettings, HostTls, Settings } from '../config/settings.ts';
import type { LiveExchange } from './live.ts';
import { admitForward, admitTunnel, forwardHost } from './forward-admission.ts';
import type { Site } from './site.ts';
import { cleanPath, hostLines, parseAuthority, parseTarget } from './target.ts';

export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/** Fills in host, authority, path and query of the exchange; gives the reason where it can't be served. */
export function admit(exchange: LiveExchange, site: Site): Refusal | undefined {
  const malformed = admitFraming(exchange);
  if (malformed) return malformed;
  const scheme = exchange.connection.secure ? 'https' : 'http';
  if (exchange.method === 'CONNECT') return admitTunnel(exchange, site) ?? oversized(exchange);
  const target = parseTarget(exchange.rawPath, scheme, exchange.method);
  if (!target) return { status: 400, reason: 'Invalid request target' };
  const { absolute } = target;
  const proxy = absolute && forwardHost(exchange, site, absolute);
  if (proxy) {
    return admitForward(exchange, proxy, absolute.authority) ?? oversized(exchange) ?? admitBody(exchange);
  }
  exchange.rawPath = target.rawPath;
  exchange.query = target.query;
  return (
    admitAuthority(exchange, site, target.authority) ??
    oversized(exchange) ??
    admitPath(exchange) ??
    admitMethod(exchange) ??
    admitBody(exchange)
  );
}

function admitAuthority(exchange: LiveExchange, site: Site, given: string | undefined): Refusal | undefined {
  const { request, connection } = exchange;
  const hosts = hostLines(request.rawHeaders);
  const pseudo = request.httpVersionMajor === 2 ? request.headers[':authority']?.toString() : undefined;
  const host = hosts[0];
  if (hosts.length > 1) return { status: 400, reason: 'More than one Host' };
  if (pseudo !== undefined && host !== undefined && pseudo.toLowerCase() !== host.toLowerCase()) {
    return { status: 400, reason: 'Host and :authority differ' };
  }
  const authority = pseudo ?? given ?? host;
  if (host === undefined && pseudo === undefined && needsHost(exchange)) {
    return { status: 400, reason: 'No Host' };
  }
  // An absolute target overrides Host, but an invalid Host is invalid all the same.
  if (given !== undefined && host !== undefined && !parseAuthority(host)) {
    return { status: 400, reason: 'Invalid Host' };
  }
  const parsed = authority === undefined ? { hostname: '' } : parseAuthority(authority);
  if (!parsed) return { status: 400, reason: 'Invalid Host' };
  exchange.authority = authority ?? '';
  exchange.hostname = parsed.hostname;
  if (given !== undefined) request.headers.host = given;
  const found = site.hosts.forRequest(connection.localAddress, connection.localPort, parsed.hostname);
  exchange.host = found.host;
  exchange.known = found.known;
  exchange.directory = found.host.directory;
  return connection.secure ? admitByHandshake(exchange, site) : undefined;
}

/** What the handshake was for decides what may be asked for on its connection. */
function admitByHandshake({ connection, host, hostname }: LiveExchange, site: Site): Refusal | undefined {
  // As in both modules: it is not known whom they meant when they looked at the certificate. An address can't be
  // named there (RFC 6066 section 3).
  const nameless = connection.sni === undefined && isIP(hostname) === 0 && host !== site.settings.base;
  if (nameless && (connection.host.tls.strictSni || host.tls.strictSni)) {
    return { status: 403, reason: 'The client has named no host in its handshake (SNI)' };
  }
  if (sharePolicy(site.settings.sniPolicy, connection.host, host)) return undefined;
  return { status: 421, reason: `${hostname} needs another TLS policy than this connection has` };
}

function needsHost({ request }: LiveExchange): boolean {
  return request.httpVersionMajor > 1 || request.httpVersionMinor > 0;
}

/** Whether a connection of host `one` may carry requests of `other`: SSLVHostSNIPolicy. */
function sharePolicy(policy: Settings['sniPolicy'], one: HostSettings, other: HostSettings): boolean {
  if (one === other || policy === 'insecure') return true;
  if (policy === 'strict' && one.serverName !== other.serverName) return false;
  // Everything but the certificates: those are what clients look at before they share a connection. Whose order of
  // ciphers counted nobody is less secure by.
  return isDeepStrictEqual(asked(one.tls, policy), asked(other.tls, policy));
}

function asked(tls: HostTls, policy: Settings['sniPolicy']): Partial<HostTls> {
  const { clientAuth, clientCa, clientCaPath, clientDepth, clientRevocation } = tls;
  const ofClients = { clientAuth, clientCa, clientCaPath, clientDepth, clientRevocation };
  if (policy === 'authonly') return ofClients;
  const { minVersion, maxVersion, ciphers, ciphersuites, groups, signatureAlgorithms } = tls;
  return { ...ofClients, minVersion, maxVersion, ciphers, ciphersuites, groups, signatureAlgorithms };
}

function oversized({ request, host }: LiveExchange): Refusal | undefined {
  const { requestLine, requestFields, requestFieldSize } = host.limits;
  const { rawHeaders } = request;
  const line = (request.method ?? '').length + (request.url ?? '').length + ' '.length + ' HTTP/1.1'.length;
  if (requestLine > 0 && line > requestLine) return { status: 414, reason: 'Request line too long' };
  if (requestFields > 0 && rawHeaders.length / 2 > requestFields) {
    return { status: 400, reason: 'Too many header fields' };
  }
  if (requestFieldSize === 0) return undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const size = (rawHeaders[i] ?? '').length + ': '.length + (rawHeaders[i + 1] ?? '').length;
    if (size > requestFieldSize) return { status: 400, reason: 'A header field is too long' };
  }
  return undefined;
}

function admitPath(exchange: LiveExchange): Refusal | undefined {
  const clean = cleanPath(exchange.rawPath);
  if (typeof clean === 'number') return { status: clean, reason: `Invalid path: ${exchange.rawPath}` };
  exchange.moveTo(clean);
  exchange.originalPath = clean.path;
  return undefined;
}

function admitMethod({ method }: LiveExchange): Refusal | undefined {
  return method === 'TRACE' ? { status: 405, reason: `${method} is not served` } : undefined;
}

/** What Node's parser takes and others might read differently (RFC 9112, sections 2.3 and 6.1). */
function admitFraming({ request }: LiveExchange): Refusal | undefined {
  if ('stream' in request) return undefined;
  if (request.httpVersionMajor !== 1) return { status: 400, reason: 'No such version of HTTP/1' };
  const coding = request.headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  if (request.httpVersionMinor === 0) return { status: 400, reason: 'Transfer-Encoding in HTTP/1.0' };
  if (coding.toLowerCase() === 'chunked') return undefined;
  return { status: 400, reason: `Transfer-Encoding ${coding} is not known` };
}

function admitBody({ request, host }: LiveExchange): Refusal | undefined {
  const { requestBody } = host.limits;
  const announced = Number(request.headers['content-length'] ?? 0);
  if (requestBody > 0 && announced > requestBody) return { status: 413, reason: 'Request body too large' };
  return undefined;
}
