/** Where a script is: which part of a path names the file, and what follows it (PATH_INFO). */
import { statSync } from 'node:fs';
import { basename } from 'node:path/posix';
import type { DirectorySettings, HostSettings, Section } from '../../config/settings.ts';

export interface Place {
  readonly filename: string;
  /** Begins with `/`; empty where nothing follows. */
  readonly pathInfo: string;
}

/** Whether requests for the host may end at scripts: only then is it worth looking where a path's file ends. */
export function runsScripts({ mappings, directory, sections }: HostSettings): boolean {
  return (
    mappings.some((mapping) => mapping.kind === 'alias' && mapping.script === true) ||
    namesScripts(directory) ||
    sections.some(sectionNamesScripts)
  );
}

function sectionNamesScripts({ settings, sections }: Section): boolean {
  return namesScripts(settings) || sections.some(sectionNamesScripts);
}

function namesScripts({ handler, handlers }: DirectorySettings): boolean {
  return handler === 'cgi-script' || Object.values(handlers ?? {}).includes('cgi-script');
}

/** Splits after the first part that is no folder. Where nothing is, nothing follows. Synchronous: see ../files.ts. */
export function splitPathInfo(filename: string): Place {
  const whole = { filename, pathInfo: '' };
  if (filename.includes('\0') || kindOf(filename) !== 'nothing') return whole;
  for (let slash = filename.indexOf('/', 1); slash !== -1; slash = filename.indexOf('/', slash + 1)) {
    const part = filename.slice(0, slash);
    const kind = kindOf(part);
    if (kind === 'file') return { filename: part, pathInfo: filename.slice(slash) };
    if (kind === 'nothing') return whole;
  }
  return whole;
}

function kindOf(path: string): 'folder' | 'file' | 'nothing' {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats) return 'nothing';
    return stats.isDirectory() ? 'folder' : 'file';
  } catch {
    return 'nothing';
  }
}

/** AddHandler: as in httpd any of the file's extensions counts, the last that has a handler first. */
export function handlerByExtension({ handlers }: DirectorySettings, filename: string): string | undefined {
  if (!handlers) return undefined;
  const [, ...extensions] = basename(filename).toLowerCase().split('.');
  const found = extensions.findLast((extension) => Object.hasOwn(handlers, extension));
  return found === undefined ? undefined : (handlers[found] ?? undefined);
}
