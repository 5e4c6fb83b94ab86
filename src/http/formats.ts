/**
 * LogFormat: a format string compiled once into what writes a line of the access log (mod_log_config, and of
 * mod_logio `%I`, `%O`). What comes from the client is escaped: no line can be forged.
 */
import { httpTime } from './times.ts';
import type { LiveExchange } from './live.ts';
import { logNames, tlsVariable } from './tls-variables.ts';
import {
  bytes,
  environmentOf,
  protocolOf,
  requestHeader,
  requestLine,
  responseHeader,
  userOf,
  variableOf,
} from './variables.ts';

/** What is known once a request is over. */
export interface Outcome {
  readonly exchange: LiveExchange;
  /** ms since the epoch. */
  readonly ended: number;
  /** The client went away before the end. */
  readonly aborted: boolean;
  readonly keepAlive: boolean;
}

export type LineWriter = (outcome: Outcome) => string;

type Item = (outcome: Outcome, argument: string) => string | number | undefined;

const directive = /%([<>]*)(?:(!?)(\d{3}(?:,\d{3})*))?([<>]*)(?:\{([^}]*)\})?(\^t[io]|[A-Za-z%])/g;

/** Unknown directives are left as they stand. */
export function compileFormat(format: string): LineWriter {
  const parts: LineWriter[] = [];
  let end = 0;
  for (const match of format.matchAll(directive)) {
    const [whole, , negated, statuses, , argument = '', letter = ''] = match;
    const item = items[letter];
    if (!item) continue;
    parts.push(literal(format.slice(end, match.index)), guarded(item, argument, statuses, negated === '!'));
    end = match.index + whole.length;
  }
  parts.push(literal(format.slice(end)));
  return (outcome) => parts.map((part) => part(outcome)).join('');
}

function literal(text: string): LineWriter {
  const unescaped = text.replaceAll('\\n', '\n').replaceAll('\\t', '\t').replaceAll('\\"', '"');
  return () => unescaped;
}

function guarded(item: Item, argument: string, statuses: string | undefined, negated: boolean): LineWriter {
  const wanted = statuses?.split(',').map(Number);
  return (outcome) => {
    if (wanted && wanted.includes(outcome.exchange.response.statusCode) === negated) return '-';
    const value = item(outcome, argument);
    return value === undefined ? '-' : String(value);
  };
}

const items: Readonly<Record<string, Item>> = {
  '%': () => '%',
  a: ({ exchange }) => exchange.connection.remoteAddress,
  A: ({ exchange }) => exchange.connection.localAddress,
  b: ({ exchange }) => exchange.response.bodyBytes || undefined,
  B: ({ exchange }) => exchange.response.bodyBytes,
  c: ({ exchange }, name) => shown(tlsVariable(exchange, logNames[name] ?? '')),
  C: ({ exchange }, name) => shown(cookie(requestHeader(exchange, 'cookie'), name)),
  D: ({ exchange, ended }) => (ended - exchange.started) * 1000,
  e: ({ exchange }, name) => {
    const value = environmentOf(exchange, name);
    return value === undefined ? undefined : escapeItem(value);
  },
  f: ({ exchange }) => shown(bytes(exchange.filename ?? '')),
  h: ({ exchange }) => exchange.connection.remoteAddress,
  H: ({ exchange }) => protocolOf(exchange),
  i: ({ exchange }, name) => shown(requestHeader(exchange, name)),
  I: ({ exchange }) => receivedBytes(exchange),
  k: ({ exchange }) => exchange.earlier,
  l: () => undefined,
  L: () => undefined,
  m: ({ exchange }) => shown(exchange.request.method ?? ''),
  n: ({ exchange }, name) => shown(exchange.notes.get(name) ?? ''),
  o: ({ exchange }, name) => shown(responseHeader(exchange, name)),
  O: ({ exchange }) => headSize(exchange.response.getHeaders()) + exchange.response.bodyBytes,
  p: ({ exchange }, which) =>
    which === 'remote' ? exchange.connection.remotePort : exchange.connection.localPort,
  P: () => process.pid,
  q: ({ exchange }) => (exchange.query === '' ? '' : escapeItem(`?${exchange.query}`)),
  r: ({ exchange }) => shown(requestLine(exchange)),
  R: ({ exchange }) => exchange.handler,
  s: ({ exchange }) => exchange.response.statusCode,
  S: ({ exchange }) =>
    receivedBytes(exchange) + headSize(exchange.response.getHeaders()) + exchange.response.bodyBytes,
  t: ({ exchange, ended }, format) => httpTime(format, exchange.started, ended),
  T: ({ exchange, ended }, unit) => elapsed(ended - exchange.started, unit),
  u: ({ exchange }) => shown(userOf(exchange)),
  U: ({ exchange }) => shown(bytes(exchange.originalPath)),
  v: ({ exchange }) => exchange.host.serverName ?? exchange.connection.localAddress,
  V: ({ exchange }) => shown(exchange.hostname || (exchange.host.serverName ?? '')),
  x: ({ exchange }, name) => shown(variableOf(exchange, name)),
  X: ({ aborted, keepAlive }) => {
    if (aborted) return 'X';
    return keepAlive ? '+' : '-';
  },
  '^ti': ({ exchange }, name) => shown(String(exchange.request.trailers[name.toLowerCase()] ?? '')),
  '^to': () => undefined,
};

function shown(text: string): string | undefined {
  return text === '' ? undefined : escapeItem(text);
}

function elapsed(ms: number, unit: string): number {
  if (unit === 'us') return ms * 1000;
  return unit === 'ms' ? ms : Math.floor(ms / 1000);
}

function receivedBytes({ request }: LiveExchange): number {
  const line = (request.method ?? '').length + (request.url ?? '').length + ' HTTP/1.1 \r\n\r\n'.length;
  return line + request.rawHeaders.reduce((sum, text) => sum + text.length + 2, 0) + request.bodyBytes;
}

/** Of HTTP/2 it is what the head would be uncompressed. */
function headSize(headers: NodeJS.Dict<number | string | readonly string[]>): number {
  let size = 'HTTP/1.1 200 OK\r\n\r\n'.length;
  for (const [name, value] of Object.entries(headers)) {
    for (const each of [value].flat()) size += name.length + String(each).length + ': \r\n'.length;
  }
  return size;
}

function cookie(header: string, name: string): string {
  for (const pair of header.split(';')) {
    const [key, ...value] = pair.trim().split('=');
    if (key?.toLowerCase() === name.toLowerCase()) return value.join('=');
  }
  return '';
}

/** As ap_escape_logitem(): quotes, backslashes and everything that isn't printable ASCII. */
export function escapeItem(text: string): string {
  // oxlint-disable-next-line eslint/no-control-regex -- control characters are what is looked for
  return text.replaceAll(/["\\\0-\x1f\x7f-\uffff]/g, (character) => {
    const short = shortEscapes[character];
    return short ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};
