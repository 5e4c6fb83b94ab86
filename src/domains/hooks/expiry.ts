/** Certificates that come to their end without having been renewed (MDWarnWindow). */
import type { Clock } from '../../base/clock.ts';
import { publish } from '../../base/events.ts';
import type { Logger } from '../../base/log.ts';
import { formatDate } from '../../store/formats.ts';
import type { Abortable, Store } from '../../store/store.ts';
import { type Hooks, tellableFrom } from './hooks.ts';
import type { Job } from '../renewal/job.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { type DomainState, windowStart } from '../state.ts';

/** When the warn window of the first certificate to expire begins, ms since the epoch; Infinity without one. */
export function warnAt({ warnWindow }: ManagedDomainSettings, { certificates }: DomainState): number {
  return Math.min(...certificates.map(({ info }) => windowStart(info, warnWindow)));
}

/** When a warning is due next. */
export function nextWarning(
  domain: ManagedDomainSettings,
  state: DomainState,
  job: Job,
  now: number,
): number {
  return Math.max(warnAt(domain, state), tellableFrom(job, 'expiring', now));
}

interface WarningContext {
  readonly clock: Clock;
  readonly store: Store;
  readonly hooks: Hooks;
  readonly logger: Logger;
}

/** Warns in the log, by an event and by MDMessageCmd. Rejects when aborted, and with StoreError. */
export async function warnOfExpiry(
  { clock, store, hooks, logger }: WarningContext,
  { certificates }: DomainState,
  job: Job,
  options: Abortable,
): Promise<void> {
  const notAfter = Math.min(...certificates.map(({ info }) => info.notAfter));
  const what = notAfter <= clock.now() ? 'has expired on' : 'expires on';
  logger.warn(`md(${job.name}): the certificate ${what} ${formatDate(notAfter)} and has not been renewed`);
  publish('latchkey:certificate:expiring', { domain: job.name, notAfter });
  if (!hooks.commands.message) return;
  await hooks.message(job, 'expiring', options);
  await job.save(store);
}
