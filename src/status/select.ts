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
  };
}

/**
 * `domains` as they come by name, cut to what is asked for. Without a query they come whole; else the logs of jobs
 * go along with a single domain only.
 */
export function selectDomains(
  domains: readonly DomainInService[],
  query: StatusQuery | undefined,
): Pick<StatusDocument, 'counts' | 'matching' | 'domains'> {
  const counts = countDomains(domains);
  if (!query) return { counts, matching: domains.length, domains };
  if (query.name !== undefined) {
    const found = findDomain(domains, query.name);
    return { counts, matching: found ? 1 : 0, domains: found ? [found] : [] };
  }
  const search = query.search?.toLowerCase() ?? '';
  const matching = domains
    .filter(is[query.show ?? 'all'])
    .filter(({ names }) => search === '' || names.some((name) => name.includes(search)));
  const sorted = sortDomains(matching, query.sort ?? 'name');
  if (query.descending) sorted.reverse();
  const offset = query.offset ?? 0;
  const page = sorted.slice(offset, query.limit === undefined ? undefined : offset + query.limit);
  return { counts, matching: matching.length, domains: page.map((domain) => ({ ...domain, log: [] })) };
}

/** By its own name first, then by any other. */
export function findDomain<Domain extends Pick<DomainInService, 'name' | 'names'>>(
  domains: readonly Domain[],
  wanted: string,
): Domain | undefined {
  const name = wanted.toLowerCase();
  return domains.find((domain) => domain.name === name) ?? domains.find(({ names }) => names.includes(name));
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
