/** Counting, choosing and ordering domains for a document. */
import type { Counts, DomainInService, Show, SortKey, StatusDocument, StatusQuery } from './document.ts';
import { stateOf } from './words.ts';

const is: Readonly<Record<Show, (domain: DomainInService) => boolean>> = {
  all: () => true,
  complete: ({ state, expired }) => state === 'complete' && !expired,
  expired: ({ expired }) => expired,
  due: ({ reasons }) => reasons.length > 0,
  running: ({ running }) => running,
  failing: ({ problem, running }) => problem !== undefined && !running,
  ready: ({ staged }) => staged !== undefined,
  waiting: ({ hold, running }) => hold !== undefined && !running,
};

export function countDomains(domains: readonly DomainInService[]): Counts {
  const count = (show: Show) => domains.filter(is[show]).length;
  return {
    total: domains.length,
    complete: count('complete'),
    expired: count('expired'),
    due: count('due'),
    running: count('running'),
    failing: count('failing'),
    ready: count('ready'),
    waiting: count('waiting'),
  };
}

/** All domains there are; whoever has them describes those that are asked for, and no others. */
export interface DomainSource {
  /** Sorted. */
  readonly names: readonly string[];
  /** The name of the domain that has this name among its own; its own name goes before others'. */
  find(name: string): string | undefined;
  describe(names?: readonly string[]): readonly DomainInService[];
}

/** Without a query all come whole; else the logs of jobs go along with a single domain only. */
export function selectDomains(source: DomainSource, query: StatusQuery | undefined): Selected {
  if (!query) return { matching: source.names.length, domains: source.describe() };
  if (query.name !== undefined) {
    const name = source.find(query.name.toLowerCase());
    return {
      matching: name === undefined ? 0 : 1,
      domains: name === undefined ? [] : source.describe([name]),
    };
  }
  const { offset = 0, limit = Infinity } = query;
  if (isPlain(query)) {
    const { names } = source;
    return {
      matching: names.length,
      domains: withoutLogs(source.describe(names.slice(offset, offset + limit))),
    };
  }
  const found = choose(source.describe(), query);
  return { matching: found.length, domains: withoutLogs(found.slice(offset, offset + limit)) };
}

export type Selected = Pick<StatusDocument, 'matching' | 'domains'>;

/** What needs no look at any other domain than those of its page. */
function isPlain({ search = '', show = 'all', sort = 'name', descending = false }: StatusQuery): boolean {
  return search === '' && show === 'all' && sort === 'name' && !descending;
}

function choose(domains: readonly DomainInService[], query: StatusQuery): DomainInService[] {
  const search = query.search?.toLowerCase() ?? '';
  const matching = domains
    .filter(is[query.show ?? 'all'])
    .filter(({ names }) => search === '' || names.some((name) => name.includes(search)));
  const sorted = sortDomains(matching, query.sort ?? 'name');
  return query.descending ? sorted.reverse() : sorted;
}

function withoutLogs(domains: readonly DomainInService[]): DomainInService[] {
  return domains.map((domain) => ({ ...domain, log: [] }));
}

const keys: Readonly<Record<SortKey, (domain: DomainInService) => string | number>> = {
  name: ({ name }) => name,
  state: stateOf,
  valid: ({ certificates }) => Math.min(...certificates.map(({ notAfter }) => notAfter)),
  ca: ({ authority }) => authority ?? '',
  next: ({ nextRun }) => nextRun ?? Infinity,
};

/** Stable: equals stay in the order of their names. */
function sortDomains(domains: readonly DomainInService[], sort: SortKey): DomainInService[] {
  const keyed = domains.map((domain) => ({ domain, key: keys[sort](domain) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map(({ domain }) => domain);
}
