/** One renewal of one domain: from the reason for it to the certificate in use, or to the next try. */
import type { Clock } from '../base/clock.ts';
import { explain } from '../base/errors.ts';
import { publish } from '../base/events.ts';
import type { Logger } from '../base/log.ts';
import { readMd, writeMd } from '../store/documents.ts';
import { formatDate } from '../store/formats.ts';
import type { Abortable, Store } from '../store/store.ts';
import { mdDocument } from './document.ts';
import { isDamage, readHeld, undamaged } from './held.ts';
import {
  type Issuer,
  type ObtainOptions,
  ownProblem,
  PostponedError,
  type Problem,
  type Progress,
  RenewalError,
} from './issuer.ts';
import { authorityAfter, type Job, retryAt, type RetryOptions } from './job.ts';
import { problemOf } from './problems.ts';
import type { ManagedDomainSettings } from './settings.ts';

export interface RenewalContext extends RetryOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly issuer: Issuer;
  readonly logger: Logger;
  readonly activateOn: 'renewal' | 'restart';
  /** Errors in a row after which the next CA is tried (MDRetryFailover). */
  readonly retryFailover: number;
  /** Moves `staging/NAME` into `domains` and has it served; see activate.ts. */
  readonly activate: (name: string, options: ActivationOptions) => Promise<ActivationResult>;
  /** The directory URL of a configured authority (`local` is one). */
  readonly directoryUrl: (authority: string) => string;
}

export interface ActivationOptions extends Abortable {
  /** Of the certificates to be activated. */
  readonly serials: readonly string[];
}

export interface ActivationResult {
  /** Ids of workers that have not shown the new certificates in a handshake. */
  readonly missing?: readonly number[] | undefined;
}

/** What a renewal came to. Times are ms since the epoch. */
export type Outcome =
  | {
      readonly status: 'installed';
      readonly serials: readonly string[];
      readonly notAfter: number;
      readonly missing: readonly number[];
    }
  /** To be activated at `validFrom`, or at the next restart. */
  | { readonly status: 'staged'; readonly serials: readonly string[]; readonly validFrom: number }
  /** The CA's limits are used up: it goes on at `until`. */
  | { readonly status: 'postponed'; readonly until: number; readonly reason: string }
  | {
      readonly status: 'failed';
      readonly problem: Problem;
      readonly errors: number;
      readonly nextRun: number;
    };

export interface RenewalTask {
  readonly domain: ManagedDomainSettings;
  readonly job: Job;
  readonly reason: string;
  readonly tell: (progress: Progress) => void;
  readonly beforeOrder?: ObtainOptions['beforeOrder'];
  readonly signal: AbortSignal;
}

/** Rejects only when aborted (with the signal's reason): staging can be resumed then. */
export async function renew(context: RenewalContext, task: RenewalTask): Promise<Outcome> {
  const { job, domain, reason, signal } = task;
  const activating = job.finished;
  const { problem } = job;
  job.begin(context.clock.now(), reason);
  publish('latchkey:renewal:started', { domain: domain.name, reason });
  context.logger.info(`AH10052: md(${domain.name}): renewing, as ${reason}`);
  try {
    const staged = await obtain(context, task);
    await conclude(context, task, staged, activating);
    if (context.activateOn === 'restart' || staged.validFrom > context.clock.now()) {
      return { status: 'staged', serials: staged.serials, validFrom: staged.validFrom };
    }
    return await activate(context, task, staged);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PostponedError) {
      job.problem = problem;
      return await postpone(context, task, error);
    }
    return await fail(context, task, problemOf(error));
  } finally {
    job.activity = undefined;
    await job.settled();
  }
}

interface StagedSet {
  readonly serials: readonly string[];
  readonly validFrom: number;
  readonly notAfter: number;
}

/** Has the issuer fill staging. What is damaged there is purged, and the renewal starts afresh. */
async function obtain(context: RenewalContext, task: RenewalTask): Promise<StagedSet> {
  const { store } = context;
  const { domain, job } = task;
  try {
    await issue(context, task);
  } catch (error) {
    if (!isDamage(error)) throw error;
    progress(context, task, {
      step: 'staging',
      detail: `The staging area is damaged and is purged, the renewal starts afresh: ${explain(error)}`,
    });
    await job.settled();
    await store.purge('staging', domain.name);
    await issue(context, task);
  }
  const held = [...(await readHeld(store, 'staging', domain.name, domain.keys)).values()];
  const infos = held.flatMap((pair) => ('damage' in pair ? [] : [pair.info]));
  if (infos.length !== domain.keys.length) {
    throw new RenewalError(ownProblem('incomplete', 'There are not certificates for all configured keys'));
  }
  return {
    serials: infos.map(({ serial }) => serial),
    validFrom: Math.max(...infos.map(({ notBefore }) => notBefore)),
    notAfter: Math.min(...infos.map(({ notAfter }) => notAfter)),
  };
}

/** md.json and job.json are there before anything else is: staging says what it is for. */
async function issue(context: RenewalContext, task: RenewalTask): Promise<void> {
  const { store, issuer, retryFailover } = context;
  const { domain, job, signal } = task;
  const authority = authorityAfter(domain.authorities, job.errors, retryFailover);
  if (authority === undefined) throw new RenewalError(ownProblem('no-authority', 'No CA is configured'));
  const document = mdDocument(domain, { state: 'incomplete', description: '' }, undefined);
  const inUse = await undamaged(readMd(store, 'domains', domain.name));
  await writeMd(store, 'staging', domain.name, { ...document, ca: { ...document.ca, url: authority } });
  await job.save(store);
  await issuer.obtain(domain, {
    authority: context.directoryUrl(authority),
    progress: (step) => progress(context, task, step),
    beforeOrder: task.beforeOrder,
    signal,
    renewsOwn: inUse !== undefined && (inUse.ca.url ?? authority) === authority,
  });
}

async function postpone(
  { clock, store, logger }: RenewalContext,
  { domain, job }: RenewalTask,
  { until, message }: PostponedError,
): Promise<Outcome> {
  job.postpone(clock.now(), until, message);
  logger.info(`md(${domain.name}): put off until ${formatDate(until)}: ${message}`);
  await job.save(store);
  return { status: 'postponed', until, reason: message };
}

function progress(context: RenewalContext, { domain, job, tell }: RenewalTask, step: Progress): void {
  job.progress(context.clock.now(), step.detail, context.store);
  publish('latchkey:renewal:progress', { domain: domain.name, ...step });
  context.logger.debug(`md(${domain.name}): ${step.detail}`);
  tell(step);
}

async function conclude(
  { clock, store, logger, activateOn }: RenewalContext,
  { domain, job }: RenewalTask,
  { serials, validFrom }: StagedSet,
  activating: boolean,
): Promise<void> {
  const now = clock.now();
  const usable =
    validFrom <= now ? `valid since ${formatDate(validFrom)}` : `from ${formatDate(validFrom)} on`;
  const tail = activateOn === 'restart' ? ' A graceful server restart now is recommended.' : '';
  const detail = `The certificate for the managed domain has been renewed successfully and can be used (${usable}).${tail}`;
  job.succeed(now, validFrom, detail);
  await job.save(store);
  if (activating) return;
  publish('latchkey:renewal:obtained', { domain: domain.name, serials, validFrom });
  if (activateOn !== 'restart') return;
  logger.notice(
    `AH10059: The Managed Domain ${domain.name} has been setup and changes will be activated on next (graceful) server restart.`,
  );
}

async function activate(
  context: RenewalContext,
  task: RenewalTask,
  { serials, notAfter }: StagedSet,
): Promise<Outcome> {
  const { clock, logger } = context;
  const { domain, job, signal, tell } = task;
  const { name } = domain;
  job.activity = 'Activating the new certificate';
  tell({ step: 'activation', detail: job.activity });
  const { missing = [] } = await context.activate(name, { serials, signal });
  job.installed(clock.now(), missing);
  publish('latchkey:certificate:installed', { domain: name, serials, notAfter });
  logger.notice(`AH10059: The Managed Domain ${name} has been setup, its new certificate is in use.`);
  if (missing.length > 0) {
    logger.warn(`md(${name}): workers ${missing.join(', ')} have not shown the new certificate`);
  }
  return { status: 'installed', serials, notAfter, missing };
}

async function fail(
  context: RenewalContext,
  { domain, job }: RenewalTask,
  problem: Problem,
): Promise<Outcome> {
  const { clock, store, logger } = context;
  const now = clock.now();
  const nextRun = retryAt(now, job.errors + 1, problem, context);
  job.fail(now, problem, nextRun);
  logger.error(`AH10056: processing ${domain.name}: ${problem.detail} (${problem.type})`);
  logger.info(
    `AH10057: ${domain.name}: encountered error for the ${job.errors}. time, next run at ${formatDate(nextRun)}`,
  );
  try {
    await job.save(store);
  } catch (error) {
    logger.error(`AH10056: processing ${domain.name}: the job could not be saved: ${explain(error)}`);
  }
  const { type, detail } = problem;
  publish('latchkey:renewal:failed', {
    domain: domain.name,
    problem: { type, detail },
    errors: job.errors,
    nextRun,
  });
  return { status: 'failed', problem, errors: job.errors, nextRun };
}
