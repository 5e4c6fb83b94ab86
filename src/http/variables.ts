/**
 * What expressions, header formats and logs may ask of a request, by httpd's names. All texts are byte strings
 * (one character per byte); absent is the empty text.
 */
import { lstatSync, statSync } from 'node:fs';
import { evaluate } from '../config/expression-evaluate.ts';
import type { ExpressionContext, FileFacts } from '../config/expression-evaluate.ts';
import type { Expression } from '../config/expression.ts';
import type { LiveExchange } from './live.ts';
import { serverSoftware } from './pages.ts';
import { exportedTlsVariable, tlsVariable } from './tls-variables.ts';

/** Of expressions, in the request's place. */
export function contextOf(exchange: LiveExchange): ExpressionContext {
  return {
    variable: (name) => variableOf(exchange, name),
    header: (name) => requestHeader(exchange, name),
    responseHeader: (name) => responseHeader(exchange, name),
    env: (name) => exchange.env.get(name) ?? '',
    note: (name) => exchange.notes.get(name) ?? '',
    remoteAddress: exchange.connection.remoteAddress,
    now: () => exchange.started,
    file: factsOf,
  };
}

export function holds(condition: Expression, exchange: LiveExchange): boolean {
  return evaluate(condition, contextOf(exchange));
}

export function variableOf(exchange: LiveExchange, name: string): string {
  if (name.startsWith('SSL_')) return tlsVariable(exchange, name);
  return variables[name]?.(exchange) ?? '';
}

/** Who the client is, by SSLUserName; empty where nobody says. */
export function userOf(exchange: LiveExchange): string {
  const { userName } = exchange.directory;
  return userName === undefined ? '' : tlsVariable(exchange, userName);
}

const variables: Readonly<Record<string, (exchange: LiveExchange) => string | undefined>> = {
  REQUEST_METHOD: (x) => x.method,
  REQUEST_SCHEME: (x) => (x.connection.secure ? 'https' : 'http'),
  REQUEST_URI: (x) => bytes(x.path),
  DOCUMENT_URI: (x) => bytes(x.path),
  REQUEST_FILENAME: (x) => bytes(x.filename ?? ''),
  SCRIPT_FILENAME: (x) => bytes(x.filename ?? ''),
  QUERY_STRING: (x) => x.query,
  IS_SUBREQ: () => 'false',
  THE_REQUEST: requestLine,
  REMOTE_ADDR: (x) => x.connection.remoteAddress,
  REMOTE_HOST: (x) => x.connection.remoteAddress,
  REMOTE_USER: userOf,
  AUTH_TYPE: (x) => (userOf(x) === '' ? '' : 'ClientCert'),
  REMOTE_PORT: (x) => String(x.connection.remotePort ?? ''),
  CONN_REMOTE_ADDR: (x) => x.connection.remoteAddress,
  SERVER_ADDR: (x) => x.connection.localAddress,
  SERVER_NAME: (x) => x.hostname || x.host.serverName,
  SERVER_PORT: (x) => String(x.connection.localPort),
  SERVER_ADMIN: (x) => x.host.serverAdmin,
  SERVER_SOFTWARE: () => serverSoftware,
  SERVER_PROTOCOL: protocolOf,
  SERVER_PROTOCOL_VERSION: (x) => String(x.request.httpVersionMajor * 1000 + x.request.httpVersionMinor),
  SERVER_PROTOCOL_VERSION_MAJOR: (x) => String(x.request.httpVersionMajor),
  SERVER_PROTOCOL_VERSION_MINOR: (x) => String(x.request.httpVersionMinor),
  DOCUMENT_ROOT: (x) => bytes(x.host.documentRoot ?? ''),
  CONTEXT_PREFIX: ({ alias }) => bytes(typeof alias?.from === 'string' ? alias.from : ''),
  CONTEXT_DOCUMENT_ROOT: ({ alias, host }) =>
    bytes((typeof alias?.from === 'string' ? alias.to : host.documentRoot) ?? ''),
  PATH_INFO: (x) => bytes(x.pathInfo),
  CONTENT_TYPE: (x) => responseHeader(x, 'content-type'),
  HANDLER: (x) => x.handler,
  HTTP2: (x) => onOff(x.request.httpVersionMajor === 2),
  HTTPS: (x) => onOff(x.connection.secure),
  IPV6: (x) => onOff(x.connection.remoteAddress.includes(':')),
  REQUEST_STATUS: (x) => (x.response.headersSent ? String(x.response.statusCode) : ''),
};

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}

/** The environment that requests have (mod_ssl's and CGI's): what `%{…}e` sees. */
export function environmentOf(exchange: LiveExchange, name: string): string | undefined {
  const own = exchange.env.get(name);
  if (own !== undefined) return own;
  if (name === 'HTTPS') return exchange.connection.secure ? 'on' : undefined;
  return name.startsWith('SSL_') ? exportedTlsVariable(exchange, name) : undefined;
}

export function requestHeader({ request }: LiveExchange, name: string): string {
  const lower = name.toLowerCase();
  if (lower === 'host' && request.headers.host === undefined) return header(request.headers[':authority']);
  return header(request.headers[lower]);
}

export function responseHeader({ response }: LiveExchange, name: string): string {
  return header(response.getHeader(name));
}

function header(value: string | number | readonly string[] | undefined): string {
  if (value === undefined) return '';
  return typeof value === 'object' ? value.join(', ') : String(value);
}

export function protocolOf({ request }: LiveExchange): string {
  return `HTTP/${request.httpVersionMajor}.${request.httpVersionMinor}`;
}

/** The request line as it came; of HTTP/2, as it would have been. */
export function requestLine(exchange: LiveExchange): string {
  return `${exchange.request.method} ${exchange.request.url} ${protocolOf(exchange)}`;
}

/** UTF-8 as a byte string. */
export function bytes(text: string): string {
  // oxlint-disable-next-line eslint/no-control-regex -- ASCII is what is looked for
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** For file tests in expressions; synchronous because expressions are. */
function factsOf(path: string): FileFacts | undefined {
  const name = Buffer.from(path, 'latin1');
  const link = lstatSync(name, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  const stats = tryStat(name);
  if (!stats) return undefined;
  const other = stats.isDirectory() ? 'directory' : 'other';
  return {
    kind: stats.isFile() ? 'file' : other,
    link,
    size: stats.size,
    executable: (stats.mode & 0o111) !== 0,
  };
}

function tryStat(name: Buffer) {
  try {
    return statSync(name, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
