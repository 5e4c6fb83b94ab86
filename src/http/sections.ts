/**
 * Which sections apply to a request, merged in httpd's order: `<Directory>` (shortest first), then
 * `<DirectoryMatch>`, `<Files>`/`<FilesMatch>`, `<Location>`/`<LocationMatch>`, `<If>`; within one kind in
 * configuration order, the base server's before the virtual host's. For proxied requests `<Proxy>` stands in
 * the place of the folders. Merged results are kept by what matched.
 */
import { basename } from 'node:path/posix';
import { wildcardMatches } from '../config/expression-match.ts';
import type { Expression } from '../config/expression.ts';
import { mergeDirectory } from '../config/merge.ts';
import type { DirectorySettings, HostSettings, Section } from '../config/settings.ts';

export interface Place {
  /** Decoded URL path. */
  readonly path: string;
  readonly filename: string | undefined;
  /** The target, where the request is proxied. */
  readonly proxyTarget: string | undefined;
  evaluate(condition: Expression): boolean;
}

/** Made once for each HostSettings. */
export class SectionTable {
  readonly #root: Merged;
  readonly #isEmpty: boolean;
  readonly #folders: readonly Section[];
  readonly #proxies: readonly Section[];
  readonly #files: readonly Section[];
  readonly #locations: readonly Section[];
  readonly #conditions: readonly Section[];

  constructor(host: Pick<HostSettings, 'directory' | 'sections'>) {
    const of = (...kinds: Section['kind'][]) => host.sections.filter((s) => kinds.includes(s.kind));
    this.#root = new Merged(host.directory, { left: 1000 });
    this.#isEmpty = host.sections.length === 0;
    this.#folders = [...of('directory').sort((a, b) => depth(a) - depth(b)), ...of('directory-match')];
    this.#proxies = of('proxy');
    this.#files = of('files', 'files-match');
    this.#locations = of('location', 'location-match');
    this.#conditions = of('if', 'else-if', 'else');
  }

  /** What holds before the path is mapped: locations alone. */
  byLocation(path: string): DirectorySettings {
    let merged = this.#root;
    for (const section of this.#locations) if (matchesLocation(section, path)) merged = merged.with(section);
    return merged.settings;
  }

  resolve(place: Place): DirectorySettings {
    if (this.#isEmpty) return this.#root.settings;
    const { filename, proxyTarget } = place;
    const files = [...this.#files];
    const conditions = [...this.#conditions];
    let merged = this.#root;
    const apply = (section: Section) => {
      merged = merged.with(section);
      files.push(...section.sections.filter(isFiles));
      conditions.push(...section.sections.filter(isCondition));
    };
    if (proxyTarget !== undefined) {
      for (const section of this.#proxies) if (matchesProxy(section, proxyTarget)) apply(section);
    } else if (filename !== undefined) {
      for (const section of this.#folders) if (matchesFolder(section, filename)) apply(section);
      for (const section of files) if (matchesFile(section, filename)) apply(section);
    }
    for (const section of this.#locations) if (matchesLocation(section, place.path)) apply(section);
    applyConditions(conditions, place, (section) => (merged = merged.with(section)));
    return merged.settings;
  }
}

/** `<If>` … `<ElseIf>` … `<Else>`: the first of a chain that holds, and what is inside of it. */
function applyConditions(
  sections: readonly Section[],
  place: Place,
  apply: (section: Section) => void,
): void {
  let taken = false;
  for (const section of sections) {
    if (section.kind === 'if') taken = false;
    const holds =
      !taken && (section.kind === 'else' || ('condition' in section && place.evaluate(section.condition)));
    if (!holds) continue;
    taken = true;
    apply(section);
    applyConditions(section.sections.filter(isCondition), place, apply);
  }
}

/** A node of the tree of everything that was merged so far. `room` bounds how much of it is kept. */
class Merged {
  readonly settings: DirectorySettings;
  readonly #next = new Map<Section, Merged>();
  readonly #room: { left: number };

  constructor(settings: DirectorySettings, room: { left: number }) {
    this.settings = settings;
    this.#room = room;
  }

  with(section: Section): Merged {
    const known = this.#next.get(section);
    if (known) return known;
    const merged = new Merged(mergeDirectory(this.settings, section.settings), this.#room);
    if (this.#room.left-- > 0) this.#next.set(section, merged);
    return merged;
  }
}

function isFiles(section: Section): boolean {
  return section.kind === 'files' || section.kind === 'files-match';
}

function isCondition(section: Section): boolean {
  return section.kind === 'if' || section.kind === 'else-if' || section.kind === 'else';
}

function depth(section: Section): number {
  return section.kind === 'directory' ? components(section.path).length : 0;
}

function components(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function matchesFolder(section: Section, filename: string): boolean {
  if (section.kind === 'directory-match') return section.pattern.test(filename);
  if (section.kind !== 'directory') return false;
  const wanted = section.path.replace(/\/+$/, '');
  if (!hasWildcard(wanted)) return filename === wanted || filename.startsWith(`${wanted}/`);
  const above = components(filename).slice(0, components(wanted).length);
  return wildcardMatches('fnmatch', wanted, `/${above.join('/')}`);
}

function matchesFile(section: Section, filename: string): boolean {
  if (filename.endsWith('/')) return false;
  const name = basename(filename);
  if (section.kind === 'files-match') return section.pattern.test(name);
  if (section.kind !== 'files') return false;
  return hasWildcard(section.name) ? wildcardMatches('fnmatch', section.name, name) : section.name === name;
}

function matchesLocation(section: Section, path: string): boolean {
  if (section.kind === 'location-match') return section.pattern.test(path);
  if (section.kind !== 'location') return false;
  if (hasWildcard(section.path)) return wildcardMatches('fnmatch', section.path, path);
  return (
    path === section.path || path.startsWith(section.path.endsWith('/') ? section.path : `${section.path}/`)
  );
}

function matchesProxy(section: Section, target: string): boolean {
  if (section.kind !== 'proxy') return false;
  if (hasWildcard(section.url)) return wildcardMatches('strmatch', section.url, target);
  return target.startsWith(section.url);
}

function hasWildcard(text: string): boolean {
  return /[*?[\]]/.test(text);
}
