/** RedirectMatch and AliasMatch: what of a path matched goes where a target says `$0` to `$9`; `\$` is a dollar. */
import { toBytes } from '../config/expression-tree.ts';

/** The target as a URL, what is put into it percent-encoded; undefined where the path does not match. */
export function matchedUrl(pattern: RegExp, target: string, path: string): string | undefined {
  return substituted(pattern, target, path, (bytes) =>
    // A question mark that came encoded stays part of the path.
    bytes.replaceAll(/[^A-Za-z0-9._~!$&'()*+,;=:@/-]/g, escapeByte),
  );
}

/**
 * The target as a file; undefined where the path does not match, or what came of it would lead upwards: a path has
 * no `..` left, but two pieces of it put together may.
 */
export function matchedFile(pattern: RegExp, target: string, path: string): string | undefined {
  const file = substituted(pattern, target, path, (bytes) => Buffer.from(bytes, 'latin1').toString('utf8'));
  return file?.split('/').includes('..') ? undefined : file;
}

function substituted(
  pattern: RegExp,
  target: string,
  path: string,
  shape: (bytes: string) => string,
): string | undefined {
  const match = pattern.exec(toBytes(path));
  if (!match) return undefined;
  return target.replaceAll(/\$(\d)|\\(.)/g, (_, group: string | undefined, escaped: string | undefined) =>
    group === undefined ? (escaped ?? '') : shape(match[Number(group)] ?? ''),
  );
}

function escapeByte(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
