/**
 * Managed domains and the hosts they are for (mod_md's rules): which host belongs to which domain, what names
 * `auto` adds, that no two domains want the same name.
 */
import type { DomainDraft, HostDraft, ServerDraft } from './draft.ts';
import { ConfigError } from './errors.ts';
import type { Warning } from './settings.ts';

export interface Assignment {
  readonly draft: DomainDraft;
  readonly name: string;
  readonly transitive: boolean;
  /** Given and, with `auto`, added. */
  readonly domains: string[];
  /** Hosts with one of its names, in configuration order. */
  readonly hosts: HostDraft[];
}

export interface Assignments {
  readonly domains: readonly Assignment[];
  /** One domain for a host with TLS; a plain one may have names of several. */
  readonly of: ReadonlyMap<HostDraft, readonly Assignment[]>;
}

/**
 * Links domains and hosts. `secure` tells hosts that speak TLS once they have a certificate: only their names
 * are added by `auto`. Throws ConfigError for names that two domains want.
 */
export function assign(
  server: ServerDraft,
  secure: (host: HostDraft) => boolean,
  warn: (warning: Warning) => void,
): Assignments {
  const domains = server.domains.map((draft) => assignment(draft, server.base));
  const index = new NameIndex();
  for (const domain of domains) for (const name of domain.domains) index.add(name, domain);

  const matchable = server.md.matchNames === 'servernames' ? serverNameOf : namesOf;
  const candidates = server.md.baseServer === true ? [server.base, ...server.hosts] : server.hosts;
  const of = new Map<HostDraft, readonly Assignment[]>();
  for (const host of candidates) {
    const found = domainsOf(matchable(host), index);
    const [first] = found;
    if (!first) continue;
    of.set(host, found);
    for (const domain of found) domain.hosts.push(host);
    if (!secure(host)) continue;
    if (found.length > 1) throw conflict(host, found);
    cover(first, host, index, warn);
  }
  return { domains, of };
}

function assignment(draft: DomainDraft, base: HostDraft): Assignment {
  const transitive = draft.values.transitive ?? draft.host.md.transitive ?? base.md.transitive ?? true;
  return { draft, name: draft.names[0] ?? '', transitive, domains: [...draft.names], hosts: [] };
}

function domainsOf(names: readonly string[], index: NameIndex): Assignment[] {
  const found = new Set<Assignment>();
  for (const name of names) for (const domain of index.matching(name)) found.add(domain);
  return [...found];
}

function conflict(host: HostDraft, found: readonly Assignment[]): ConfigError {
  const names = found.map((domain) => `'${domain.name}' in ${place(domain)}`).join(', ');
  return new ConfigError(
    `conflict: ${found.length} MDs match Virtualhost ${host.serverName ?? '_default_'} which uses SSL, however there can be at most 1: ${names}. Put all its names into one of them, or split the host.`,
    host.at ?? found[0]?.draft.at,
  );
}

/** ServerName and aliases, wildcards too; not `_default_`, which is no name. */
function namesOf(host: HostDraft): string[] {
  return [...serverNameOf(host), ...host.aliases];
}

function serverNameOf({ serverName }: HostDraft): string[] {
  return serverName === undefined || serverName === '_default_' ? [] : [serverName];
}

const place = ({ draft: { at } }: Assignment): string => `${at.file}(line ${at.line})`;

/** With `auto` the host's names become the domain's (aliases with wildcards do not); else a missing one is told. */
function cover(
  domain: Assignment,
  host: HostDraft,
  index: NameIndex,
  warn: (warning: Warning) => void,
): void {
  for (const name of namesOf(host)) {
    if (/[*?]/.test(name) || index.covers(name, domain)) continue;
    // With MDMatchNames servernames, aliases may be another domain's.
    if (index.isTaken(name, domain)) continue;
    if (domain.transitive) {
      index.add(name, domain);
      domain.domains.push(name);
      continue;
    }
    warn({
      ...(host.at ?? domain.draft.at),
      module: 'md',
      message: `Virtual Host ${host.serverName ?? '_default_'} matches Managed Domain '${domain.name}', but the name/alias ${name} itself is not managed. A requested MD certificate will not match it.`,
    });
  }
}

/** Which domain has a name: exact, by a wildcard of the domain, or by a wildcard of a host. */
class NameIndex {
  readonly #exact = new Map<string, Assignment>();
  /** `*.example.org` by `example.org`. */
  readonly #wildcards = new Map<string, Assignment>();
  /** Names by each of their parent domains: what `ServerAlias *.example.org` may stand for. */
  readonly #below = new Map<string, Set<Assignment>>();

  add(name: string, domain: Assignment): void {
    const parent = name.slice(name.indexOf('.') + 1);
    const other = this.#exact.get(name) ?? this.#wildcards.get(parent) ?? this.#belowWildcard(name);
    if (other && other !== domain) throw overlap(name, other, domain);
    this.#exact.set(name, domain);
    if (name.startsWith('*.')) this.#wildcards.set(parent, domain);
    for (const ancestor of ancestors(name)) {
      const names = this.#below.get(ancestor);
      if (names) names.add(domain);
      else this.#below.set(ancestor, new Set([domain]));
    }
  }

  /** A domain with a name that the wildcard `name` covers; for the overlap of `*.a.org` with `x.a.org`. */
  #belowWildcard(name: string): Assignment | undefined {
    if (!name.startsWith('*.')) return undefined;
    const parent = name.slice(2);
    for (const [exact, domain] of this.#children(parent)) {
      if (exact.split('.').length === parent.split('.').length + 1) return domain;
    }
    return undefined;
  }

  *#children(parent: string): Generator<readonly [string, Assignment]> {
    for (const domain of this.#below.get(parent) ?? []) {
      for (const name of domain.domains) if (name.endsWith(`.${parent}`)) yield [name, domain];
    }
  }

  covers(name: string, domain: Assignment): boolean {
    if (this.#exact.get(name) === domain) return true;
    return this.#wildcards.get(name.slice(name.indexOf('.') + 1)) === domain;
  }

  isTaken(name: string, domain: Assignment): boolean {
    const owner = this.#exact.get(name) ?? this.#wildcards.get(name.slice(name.indexOf('.') + 1));
    return owner !== undefined && owner !== domain;
  }

  /** Domains that a host's name (or wildcard) belongs to. */
  *matching(name: string): Generator<Assignment> {
    if (/[*?]/.test(name)) {
      yield* this.#matchingPattern(name);
      return;
    }
    const found = this.#exact.get(name) ?? this.#wildcards.get(name.slice(name.indexOf('.') + 1));
    if (found) yield found;
  }

  *#matchingPattern(pattern: string): Generator<Assignment> {
    const suffix = /^\*\.([^*?]+)$/.exec(pattern)?.[1];
    if (suffix !== undefined) {
      yield* this.#below.get(suffix) ?? [];
      return;
    }
    const shape = new RegExp(
      `^${pattern
        .replace(/[.+^$(){}|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`,
    );
    for (const [name, domain] of this.#exact) if (shape.test(name)) yield domain;
  }
}

function* ancestors(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1);
}

function overlap(name: string, first: Assignment, second: Assignment): ConfigError {
  return new ConfigError(
    `two Managed Domains have an overlap in domain '${name}', first definition in ${place(first)}, second in ${place(second)}. Keep the name in one of them.`,
    second.draft.at,
  );
}
