/** How the views for people call things. */
import type { DomainInService, WorkerStatus } from './document.ts';

const SECOND = 1000;
const UNITS = [
  ['d', 86_400 * SECOND],
  ['h', 3600 * SECOND],
  ['min', 60 * SECOND],
  ['s', SECOND],
] as const;

/** The state of a domain in a word or two. */
export function stateOf(domain: DomainInService): string {
  if (domain.running) return 'renewing';
  if (domain.expired) return 'EXPIRED';
  if (domain.problem && isOfCommand(domain.problem) && domain.state === 'complete') return 'command fails';
  if (domain.problem) return domain.certificates.length > 0 ? 'renewal fails' : 'failing';
  if (domain.staged) return 'staged';
  if (domain.hold && domain.certificates.length === 0) return 'waiting';
  if (domain.state !== 'complete') return domain.state;
  return domain.unserved === undefined ? 'ok' : 'not served';
}

/** ms that somebody is warned of a refused connection: what is long over needs nobody. */
const RECENT = 3_600_000;

/** How many connections were refused and by what, where any were of late. */
export function refusedBy(workers: readonly WorkerStatus[], now: number): string | undefined {
  const last = Math.max(...workers.map(({ load }) => load?.lastRefused ?? -Infinity));
  if (now - last >= RECENT) return undefined;
  const sum = { overload: 0, connections: 0, handshakes: 0 };
  for (const { load } of workers) {
    sum.overload += load?.refused.overload ?? 0;
    sum.connections += load?.refused.connections ?? 0;
    sum.handshakes += load?.refused.handshakes ?? 0;
  }
  const { overload, connections, handshakes } = sum;
  return `within the last hour connections were refused; since the workers began: ${overload} overloaded, ${connections} by ClientConnections, ${handshakes} by ClientHandshakes`;
}

/** MDNotifyCmd or MDMessageCmd, by mod_md's numbers. */
function isOfCommand({ type }: NonNullable<DomainInService['problem']>): boolean {
  return /:AH1010[89]:$/.test(type);
}

/** What is done next, and when. */
export function nextOf(domain: DomainInService, now: number): string {
  if (domain.activity !== undefined) return domain.activity;
  if (domain.running) return 'at work';
  if (domain.hold) return `put off for ${span(domain.hold.until - now)}`;
  if (domain.nextRun === undefined) return domain.renewMode === 'manual' ? 'nothing (manual)' : 'nothing';
  const what = domain.problem ? 'tries again' : domain.certificates.length > 0 ? 'renews' : 'begins';
  return `${what} in ${span(domain.nextRun - now)}`;
}

/** ms since the epoch when the first of its certificates expires; undefined without any. */
export function validUntil({ certificates }: Pick<DomainInService, 'certificates'>): number | undefined {
  return certificates.length === 0 ? undefined : Math.min(...certificates.map(({ notAfter }) => notAfter));
}

/** ms since the epoch from which on all its certificates are valid. */
export function validFrom({ certificates }: Pick<DomainInService, 'certificates'>): number | undefined {
  return certificates.length === 0 ? undefined : Math.max(...certificates.map(({ notBefore }) => notBefore));
}

/** The two largest units of a time span: `82 d 3 h`; `0 s` for what is over. */
export function span(ms: number): string {
  const parts: string[] = [];
  let rest = Math.max(0, ms);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ') || '0 s';
}

export function date(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** The job's log of the last run, newest first. */
export function lastRunOf({ log }: DomainInService): DomainInService['log'] {
  const begin = log.findIndex(({ type }) => type === 'starting');
  return begin === -1 ? log : log.slice(0, begin + 1);
}

/** Of a domain that nobody configured: until when it is kept. */
export function onDemandOf({ onDemand }: DomainInService): string | undefined {
  if (!onDemand) return undefined;
  const { seen, dropAt } = onDemand;
  return `last called for ${date(seen)}, dropped on ${date(dropAt)} if nobody calls for it`;
}
