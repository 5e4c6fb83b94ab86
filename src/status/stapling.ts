/** Views of OCSP stapling: the lines and JSON that mod_md has for it. */
import type { StaplingStatus } from '../ocsp/status.ts';
import type { StaplingCounts, StatusQuery } from './document.ts';

export function countStapling(all: readonly StaplingStatus[], now: number): StaplingCounts {
  const count = (is: (one: StaplingStatus) => boolean) => all.filter(is).length;
  return {
    total: all.length,
    ok: count(({ stapled }) => stapled),
    due: count(({ impossible, nextRun }) => impossible === '' && (nextRun === undefined || nextRun <= now)),
    errored: count(({ problem }) => problem !== undefined),
    oldest: all.reduce(
      (oldest, { stapled, valid }) => (stapled && valid ? Math.max(oldest, now - valid.from) : oldest),
      0,
    ),
  };
}

/** `good`, `revoked`, or `unknown` where no responder has said anything yet. */
export function ocspStatus({ status }: StaplingStatus): string {
  return status ?? 'unknown';
}

/** Whose stapling goes along with an answer to `query`; undefined: everybody's. */
export function stapledOwners(
  domains: readonly { readonly name: string }[],
  query: StatusQuery | undefined,
): ReadonlySet<string> | undefined {
  if (!query) return undefined;
  const wanted = new Set(domains.map(({ name }) => name));
  return query.others ? wanted.add('other') : wanted;
}
