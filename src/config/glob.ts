import { lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Folders below folders that `Include folder` follows; more is a symbolic link to itself. */
const DEEPEST = 20;

export const hasWildcard = (pattern: string): boolean => /[*?[]/.test(pattern);

/**
 * The files an absolute Include pattern stands for, in strcmp order: wildcards in any part of the path
 * (fnmatch: `*`, `?`, `[…]`, none matches a leading dot), and all files below a folder. Throws a system error
 * for a folder that cannot be read.
 */
export function expandPattern(pattern: string): string[] {
  let found = ['/'];
  for (const part of pattern.split('/').filter((p) => p !== '')) {
    found = hasWildcard(part)
      ? found.flatMap((folder) => matching(folder, part))
      : found.map((folder) => join(folder, part)).filter(exists);
  }
  return found.flatMap((path) => filesBelow(path, 0));
}

function matching(folder: string, pattern: string): string[] {
  if (!isFolder(folder)) return [];
  const shape = toRegExp(pattern);
  return sorted(readdirSync(folder).filter((name) => shape.test(name))).map((name) => join(folder, name));
}

function filesBelow(path: string, depth: number): string[] {
  if (!isFolder(path)) return [path];
  if (depth >= DEEPEST) {
    throw new RangeError(
      `Directory ${path} exceeds the maximum include directory nesting level of ${DEEPEST}. You have probably a recursion somewhere.`,
    );
  }
  return sorted(readdirSync(path)).flatMap((name) => filesBelow(join(path, name), depth + 1));
}

/** By code unit, as strcmp. */
function sorted(names: string[]): string[] {
  return names.sort((a, b) => (a < b ? -1 : 1));
}

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function toRegExp(pattern: string): RegExp {
  let body = pattern.startsWith('.') ? '' : '(?!\\.)';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    const bracket = char === '[' ? /^\[([!^]?)(\]?[^\]]*)\]/.exec(pattern.slice(at)) : null;
    if (bracket) {
      body += `[${bracket[1] ? '^' : ''}${(bracket[2] ?? '').replace(/[\\\][^]/g, '\\$&')}]`;
      at += bracket[0].length - 1;
    } else if (char === '*') body += '.*';
    else if (char === '?') body += '.';
    else body += char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  }
  return new RegExp(`^${body}$`, 's');
}
