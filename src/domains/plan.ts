/** What is to be done for a domain, and when: a decision without side effects. */
import { LONGEST_WAIT, type Job } from './job.ts';
import type { ManagedDomainSettings } from './settings.ts';
import type { DomainState } from './state.ts';

export interface Situation {
  readonly domain: ManagedDomainSettings;
  readonly state: DomainState;
  readonly job: Pick<Job, 'errors' | 'finished' | 'nextRun' | 'validFrom'>;
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
  /** `at` in ms since the epoch; undefined: nothing to be done until something changes. */
  | { readonly kind: 'wait'; readonly at: number | undefined };

export function plan(situation: Situation): Plan {
  const { domain, state, job, begun, staged, forced, activateOn, now } = situation;
  if (forced) return { kind: 'run', reason: 'it was asked for' };
  if (!isAutomatic(domain) && !begun) return { kind: 'wait', at: undefined };
  // A job that calls itself finished without results to show is not.
  if (job.finished && staged) {
    if (activateOn === 'restart') return { kind: 'wait', at: undefined };
    if (job.validFrom !== undefined && job.validFrom > now) return { kind: 'wait', at: job.validFrom };
    return { kind: 'run', reason: 'there is a new certificate to be activated' };
  }
  const reason = state.reasons.join('; ') || (begun ? 'a renewal that was begun goes on' : '');
  if (!reason) return { kind: 'wait', at: state.renewAt };
  const retry = retryTime(job, now);
  return retry === undefined ? { kind: 'run', reason } : { kind: 'wait', at: retry };
}

/** Whether it is renewed without being asked for. */
export function isAutomatic({ renewMode, used }: ManagedDomainSettings): boolean {
  return renewMode === 'always' || (renewMode === 'auto' && used);
}

/** A time beyond any that is given to jobs was written by a clock that went wrong. */
function retryTime({ errors, nextRun }: Situation['job'], now: number): number | undefined {
  if (errors === 0 || nextRun === undefined || nextRun <= now) return undefined;
  return nextRun - now > 2 * LONGEST_WAIT ? undefined : nextRun;
}
