import type { IncomingHttpHeaders } from 'node:http';

/** Headers that speak about one connection and end with it (RFC 9110, section 7.6.1). */
const always: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Whether a header (lower case) is for this connection only; `connection` is the value of that header. */
export function hopByHop(connection: string | readonly string[] | undefined): (name: string) => boolean {
  const text = typeof connection === 'object' ? connection.join(',') : connection;
  // The everyday values name nothing that isn't dropped anyway.
  if (text === undefined || /^(?:close|keep-alive|upgrade)$/i.test(text)) return (name) => always.has(name);
  const named = new Set(text.toLowerCase().split(/[\s,]+/));
  return (name) => always.has(name) || named.has(name);
}

/** What `Connection` may name without being dropped for it: the proxy makes these anew. */
const framing: ReadonlySet<string> = new Set(['host', 'content-length', 'expect', 'close']);

/**
 * Takes away the headers that `Connection` names, and their names with them. Done before headers are added for
 * the backend: none of these can be taken away by a client who names it.
 */
export function dropNamed(headers: IncomingHttpHeaders): void {
  if (headers.connection === undefined) return;
  const kept: string[] = [];
  for (const name of headers.connection.toLowerCase().split(/[\s,]+/)) {
    if (always.has(name) || framing.has(name)) kept.push(name);
    else delete headers[name];
  }
  headers.connection = kept.join(', ');
}
