/** Where a request goes: the absolute URL that the mapping gave, taken apart without being rewritten. */
import { LatchkeyError } from '../../base/errors.ts';

export interface Target {
  /** `http://host:port`, as undici and URL write it. */
  readonly origin: string;
  readonly secure: boolean;
  /** Spoken on the connection: HTTP/2 for `h2:` (over TLS) and `h2c:`, with prior knowledge. */
  readonly protocol: 'http/1.1' | 'h2';
  /** Of `unix:PATH|URL`: the socket that is connected to instead of the URL's host. */
  readonly socketPath: string | undefined;
  /** Without brackets. */
  readonly hostname: string;
  /** `host[:port]` for the Host header. */
  readonly host: string;
  /** Path and query, byte for byte. */
  readonly path: string;
}

const schemes: ReadonlyMap<string, { readonly secure: boolean; readonly protocol: Target['protocol'] }> =
  new Map([
    ['http', { secure: false, protocol: 'http/1.1' }],
    ['https', { secure: true, protocol: 'http/1.1' }],
    ['ws', { secure: false, protocol: 'http/1.1' }],
    ['wss', { secure: true, protocol: 'http/1.1' }],
    ['h2c', { secure: false, protocol: 'h2' }],
    ['h2', { secure: true, protocol: 'h2' }],
  ]);

/**
 * Throws LatchkeyError `proxy-target` for what is no URL of a scheme that can be proxied to, or has a user in it.
 * The path is not normalised: URL would resolve `%2e%2e`, and the backend shall see what the client sent.
 */
export function parseTarget(url: string): Target {
  const parts =
    /^(?:unix:([^|\0]+)\|)?([a-z][a-z\d]*):\/\/([^/?#@\\]+)((?:[/?][!-"$-~\u0080-\u00ff]*)?)$/i.exec(url);
  const [, socketPath, name = '', given = '', rest = ''] = parts ?? [];
  const scheme = schemes.get(name.toLowerCase());
  const authority = scheme && URL.parse(`${scheme.secure ? 'https' : 'http'}://${given}`);
  if (!scheme || !authority) throw new LatchkeyError('proxy-target', `no URL that can be proxied to: ${url}`);
  return {
    origin: authority.origin,
    ...scheme,
    socketPath,
    hostname: authority.hostname.replace(/^\[|\]$/g, ''),
    host: authority.host,
    path: rest.startsWith('/') ? rest : `/${rest}`,
  };
}
