/** What is to be done for a domain, and when: a decision without side effects. */
import { LONGEST_WAIT, type Job } from './job.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import type { DomainState } from '../state.ts';

export interface Situation {
  readonly domain: ManagedDomainSettings;
  readonly state: DomainState;
  readonly job: Pick<
    Job,
    'errors' | 'stopped' | 'finished' | 'nextRun' | 'validFrom' | 'notifiedRenewed' | 'owesNotice'
  >;
  /** There are keys, certificates or an order in staging. */
  readonly begun: boolean;
  /** There are certificates in staging for all keys. */
  readonly staged: boolean;
  /** An administrator wants it now. */
  readonly forced: boolean;
  readonly activateOn: 'renewal' | 'restart';
  readonly now: number;
}

export type Plan =
  | { readonly kind: 'run'; readonly reason: string }
  /** A command has still to be told of a renewal that is in use. */
  | { readonly kind: 'tell' }
  /** `at` in ms since the epoch; undefined: nothing to be done until something changes. */
  | { readonly kind: 'wait'; readonly at: number | undefined };

export function plan(situation: Situation): Plan {
  const { domain, state, job, begun, staged, forced, activateOn, now } = situation;
  if (forced) return { kind: 'run', reason: 'it was asked for' };
  if (job.stopped) return { kind: 'wait', at: undefined };
  const retry = retryTime(job, now);
  const again: Plan = { kind: 'wait', at: retry };
  if (!isAutomatic(domain) && !begun) return tellOr(job, retry, { kind: 'wait', at: undefined });
  // A job that calls itself finished without results to show is not.
  if (job.finished && staged) {
    if (job.validFrom !== undefined && job.validFrom > now) return { kind: 'wait', at: job.validFrom };
    if (activateOn === 'restart' && job.notifiedRenewed) return { kind: 'wait', at: undefined };
    return retry === undefined
      ? { kind: 'run', reason: 'there is a new certificate to be activated' }
      : again;
  }
  const reason = state.reasons.join('; ') || (begun ? 'a renewal that was begun goes on' : '');
  if (!reason) return tellOr(job, retry, { kind: 'wait', at: state.renewAt });
  // What a command was not told yet delays no renewal.
  return retry === undefined || job.owesNotice ? { kind: 'run', reason } : again;
}

function tellOr({ owesNotice }: Situation['job'], retry: number | undefined, otherwise: Plan): Plan {
  if (!owesNotice) return otherwise;
  return retry === undefined ? { kind: 'tell' } : { kind: 'wait', at: retry };
}

/** Whether it is renewed without being asked for. */
export function isAutomatic({ renewMode, used, staticFiles }: ManagedDomainSettings): boolean {
  return renewMode === 'always' || (renewMode === 'auto' && used && staticFiles.length === 0);
}

/** A time beyond any that is given to jobs was written by a clock that went wrong. */
function retryTime({ errors, nextRun }: Situation['job'], now: number): number | undefined {
  if (errors === 0 || nextRun === undefined || nextRun <= now) return undefined;
  return nextRun - now > 2 * LONGEST_WAIT ? undefined : nextRun;
}
