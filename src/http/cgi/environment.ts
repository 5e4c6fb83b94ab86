/** The environment of scripts (RFC 3875 section 4.1), with httpd's additions. */
import type { IncomingHttpHeaders } from 'node:http';
import { dirname } from 'node:path/posix';
import { mapPath } from '../mapping.ts';
import type { LiveExchange } from '../live.ts';
import { exportedTlsVariables } from '../tls-variables.ts';
import { cleanPath, encodePath } from '../target.ts';
import { protocolOf, variableOf } from '../variables.ts';

/** httpd's, where the server was started without one. */
const defaultPath = '/bin:/usr/bin:/usr/local/bin';

/** `hasBody`: the script gets the request's body. */
export function environmentFor(exchange: LiveExchange, hasBody: boolean): Record<string, string> {
  const { connection, env, directory, host } = exchange;
  const entries: Iterable<readonly [string, string]>[] = [
    connection.secure ? [['HTTPS', 'on']] : [],
    exportedTlsVariables(exchange),
    env,
    fromHeaders(exchange.request.headers, directory.cgiPassAuth === true),
    Object.entries(metaVariables(exchange, hasBody)),
  ];
  const result: Record<string, string> = {
    PATH: process.env['PATH'] ?? defaultPath,
    SERVER_ADMIN: host.serverAdmin ?? '[no address given]',
  };
  const libraries = process.env['LD_LIBRARY_PATH'];
  if (libraries !== undefined) result['LD_LIBRARY_PATH'] = libraries;
  for (const each of entries) for (const [name, value] of each) result[variableName(name)] = text(value);
  return result;
}

function metaVariables(exchange: LiveExchange, hasBody: boolean): Record<string, string> {
  const { pathInfo, path, filename = '', request } = exchange;
  const ask = (name: string) => variableOf(exchange, name);
  const user = ask('REMOTE_USER');
  return {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: ask('SERVER_SOFTWARE'),
    SERVER_SIGNATURE: '',
    SERVER_PROTOCOL: protocolOf(exchange),
    SERVER_NAME: ask('SERVER_NAME'),
    SERVER_ADDR: ask('SERVER_ADDR'),
    SERVER_PORT: ask('SERVER_PORT'),
    REMOTE_ADDR: ask('REMOTE_ADDR'),
    REMOTE_PORT: ask('REMOTE_PORT'),
    DOCUMENT_ROOT: ask('DOCUMENT_ROOT'),
    CONTEXT_PREFIX: ask('CONTEXT_PREFIX'),
    CONTEXT_DOCUMENT_ROOT: ask('CONTEXT_DOCUMENT_ROOT'),
    REQUEST_SCHEME: ask('REQUEST_SCHEME'),
    REQUEST_METHOD: exchange.method,
    REQUEST_URI: requestUri(exchange),
    QUERY_STRING: exchange.query,
    SCRIPT_NAME: utf8(path.slice(0, path.length - pathInfo.length)),
    SCRIPT_FILENAME: utf8(filename),
    ...(pathInfo === '' ? {} : { PATH_INFO: utf8(pathInfo), PATH_TRANSLATED: utf8(translated(exchange)) }),
    ...(user === '' ? {} : { REMOTE_USER: user, AUTH_TYPE: ask('AUTH_TYPE') }),
    ...ofBody(request.headers, hasBody),
  };
}

function ofBody(headers: IncomingHttpHeaders, hasBody: boolean): Record<string, string> {
  const { 'content-length': length, 'content-type': type } = headers;
  return {
    ...(length === undefined || !hasBody ? {} : { CONTENT_LENGTH: length }),
    ...(type === undefined ? {} : { CONTENT_TYPE: type }),
  };
}

/** CGIVar REQUEST_URI: as the client sent it, or as it is after internal redirects. */
function requestUri(exchange: LiveExchange): string {
  if (exchange.directory.cgiRequestUri !== 'current-uri') return exchange.request.url ?? '';
  return exchange.encodedPath + (exchange.query === '' ? '' : `?${exchange.query}`);
}

/** Where PATH_INFO would lead if it were a path of the host. */
function translated({ host, pathInfo }: LiveExchange): string {
  const clean = cleanPath(encodePath(pathInfo));
  if (typeof clean === 'number') return '';
  const destination = mapPath(
    { documentRoot: host.documentRoot, mappings: onlyAliases(host.mappings) },
    {},
    clean,
    '',
  );
  return destination.kind === 'file' ? destination.filename : '';
}

function onlyAliases(mappings: LiveExchange['host']['mappings']): LiveExchange['host']['mappings'] {
  return mappings.filter(({ kind }) => kind === 'alias');
}

/**
 * HTTP_… of the request's headers. `Proxy` would be taken for the address of a proxy (CVE-2016-5385), names with
 * other characters than letters, digits and hyphens could stand in for another header, and who logged in how is
 * the script's business only if CGIPassAuth says so.
 */
function* fromHeaders(headers: IncomingHttpHeaders, passAuth: boolean): Generator<readonly [string, string]> {
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || !/^[a-z0-9-]+$/.test(name) || unwanted.has(name)) continue;
    if (!passAuth && (name === 'authorization' || name === 'proxy-authorization')) continue;
    yield [`HTTP_${name.toUpperCase().replaceAll('-', '_')}`, [value].flat().join(', ')];
  }
  const authority = headers.host ?? headers[':authority'];
  if (typeof authority === 'string') yield ['HTTP_HOST', authority];
}

const unwanted: ReadonlySet<string> = new Set(['proxy', 'content-type', 'content-length']);

/** A name that a shell can have, as httpd makes it. */
function variableName(name: string): string {
  return name.replaceAll(/\W/g, '_').replace(/^\d/, '_');
}

/** Texts of a request are byte strings, and Node gives a process UTF-8. */
function text(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8').replaceAll('\0', '');
}

function utf8(value: string): string {
  return Buffer.from(value, 'utf8').toString('latin1');
}

/** Scripts begin in their own folder. */
export function folderOf(filename: string): string {
  return dirname(filename);
}
