/**
 * The request target (RFC 9112, 3.2) and the Host, taken apart and checked. What comes out of here names
 * nothing above the root, whatever was encoded how often.
 */

export interface Target {
  /** Of an absolute-form target of our own scheme; it counts instead of Host (RFC 9112, 3.2.2). */
  readonly authority: string | undefined;
  /** Of any absolute-form target. */
  readonly absolute: { readonly scheme: string; readonly authority: string } | undefined;
  /** As sent, without query; `*` for the server itself. */
  readonly rawPath: string;
  /** Without `?`; empty where there is none. */
  readonly query: string;
}

export interface CleanPath {
  /** Decoded (UTF-8), dot segments resolved, slashes merged. */
  readonly path: string;
  /** The same path, each segment still encoded as it was sent. */
  readonly encoded: string;
}

/** undefined: malformed, to be answered with 400. */
export function parseTarget(target: string, scheme: 'http' | 'https', method: string): Target | undefined {
  if (target.includes('#')) return undefined;
  if (target === '*') return method === 'OPTIONS' ? { ...relative, rawPath: '*', query: '' } : undefined;
  if (target.startsWith('/')) return { ...relative, ...splitQuery(target) };
  const absolute = /^(https?):\/\/([^/?]+)(.*)$/is.exec(target);
  if (!absolute) return undefined;
  const [, given = '', authority = '', rest = ''] = absolute;
  const parts = splitQuery(rest.startsWith('/') ? rest : `/${rest}`);
  const own = given.toLowerCase() === scheme;
  return {
    authority: own ? authority : undefined,
    absolute: { scheme: given.toLowerCase(), authority },
    ...parts,
  };
}

const relative = { authority: undefined, absolute: undefined } as const;

function splitQuery(target: string): { rawPath: string; query: string } {
  const mark = target.indexOf('?');
  if (mark === -1) return { rawPath: target, query: '' };
  return { rawPath: target.slice(0, mark), query: target.slice(mark + 1) };
}

/**
 * Normalises a path as httpd does: unreserved characters decoded first, so that `%2e%2e` is `..`. Above the
 * root, a bad escape or a NUL: 400. An encoded slash: 404 (AllowEncodedSlashes Off).
 */
export function cleanPath(rawPath: string): CleanPath | 400 | 404 {
  if (rawPath === '*') return { path: '*', encoded: '*' };
  if (/^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/?$|^\/$/.test(rawPath))
    return { path: rawPath, encoded: rawPath };
  const decoded: string[] = [];
  const encoded: string[] = [];
  const segments = rawPath.split('/').slice(1);
  for (const segment of segments) {
    const text = decodeSegment(segment);
    if (text === 400 || text === 404) return text;
    if (text === '' || text === '.') continue;
    if (text !== '..') {
      decoded.push(text);
      encoded.push(segment.replaceAll(/[^A-Za-z0-9._~!$&'()*+,;=:@%-]/g, escapeByte));
    } else if (decoded.pop() === undefined) return 400;
    else encoded.pop();
  }
  const last = decodeSegment(segments.at(-1) ?? '');
  const slash = last === '' || last === '.' || last === '..' ? '/' : '';
  const join = (parts: string[]) => (parts.length ? `/${parts.join('/')}${slash}` : '/');
  return { path: join(decoded), encoded: join(encoded) };
}

/** Node hands over one character per byte; what isn't UTF-8 becomes U+FFFD and so names no file. */
function decodeSegment(segment: string): string | 400 | 404 {
  if (/%(?![0-9A-Fa-f]{2})|%00|\0/.test(segment)) return 400;
  if (/%2f/i.test(segment)) return 404;
  const bytes = segment.replaceAll(/%(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function escapeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/** The values of all Host fields. */
export function hostLines(rawHeaders: readonly string[]): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    // Most are told by their length, without a copy in lower case.
    if (name?.length === 4 && name.toLowerCase() === 'host') values.push(rawHeaders[at + 1] ?? '');
  }
  return values;
}

/** A file-system or configured path as part of a URL. */
export function encodePath(path: string): string {
  return path.toWellFormed().replaceAll(/[^A-Za-z0-9._~!$&'()*+,;=:@/-]/gu, (c) => encodeURIComponent(c));
}

/** `host[:port]` split and checked; undefined: not acceptable as Host (400, httpd's HttpProtocolOptions Strict). */
export function parseAuthority(
  authority: string,
): { hostname: string; port: number | undefined } | undefined {
  const parts = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(authority);
  const [, host = '', digits] = parts ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (host === '' || port === 0 || (port ?? 0) > 65_535) return undefined;
  if (host.startsWith('[')) {
    const address = URL.parse(`http://${host}/`)?.hostname;
    return address === undefined ? undefined : { hostname: address.slice(1, -1), port };
  }
  if (host.startsWith('.') || host.includes('..')) return undefined;
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  return { hostname: name.toLowerCase(), port };
}
