/** Where a request goes: the absolute URL that the mapping gave, taken apart without being rewritten. */
import { LatchkeyError } from '../../base/errors.ts';

export interface Target {
  /** `http://host:port`, as undici and URL write it. */
  readonly origin: string;
  readonly secure: boolean;
  /** Without brackets. */
  readonly hostname: string;
  /** `host[:port]` for the Host header. */
  readonly host: string;
  /** Path and query, byte for byte. */
  readonly path: string;
}

const schemes: Readonly<Record<string, string>> = { http: 'http', ws: 'http', https: 'https', wss: 'https' };

/**
 * Throws LatchkeyError `proxy-target` for what is no `http`, `https`, `ws` or `wss` URL, or has a user in it.
 * The path is not normalised: URL would resolve `%2e%2e`, and the backend shall see what the client sent.
 */
export function parseTarget(url: string): Target {
  const parts = /^(https?|wss?):\/\/([^/?#@\\]+)((?:[/?][!-"$-~\u0080-\u00ff]*)?)$/i.exec(url);
  const scheme = schemes[parts?.[1]?.toLowerCase() ?? ''];
  const authority = URL.parse(`${scheme}://${parts?.[2]}`);
  if (!parts || scheme === undefined || !authority)
    throw new LatchkeyError('proxy-target', `no URL that can be proxied to: ${url}`);
  const rest = parts[3] ?? '';
  return {
    origin: authority.origin,
    secure: scheme === 'https',
    hostname: authority.hostname.replace(/^\[|\]$/g, ''),
    host: authority.host,
    path: rest.startsWith('/') ? rest : `/${rest}`,
  };
}
