/** One renewal of one domain: from the reason for it to the certificate in use, or to the next try. */
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { publish } from '../../base/events.ts';
import type { Logger } from '../../base/log.ts';
import { readMd, writeMd } from '../../store/documents.ts';
import { formatDate } from '../../store/formats.ts';
import type { Abortable, Store } from '../../store/store.ts';
import { mdDocument } from '../stored/document.ts';
import { isDamage, readHeld, undamaged } from '../stored/held.ts';
import type { Hooks } from '../hooks/hooks.ts';
import {
  type Issuer,
  type ObtainOptions,
  ownProblem,
  PostponedError,
  type Problem,
  type Progress,
  RenewalError,
} from '../issuer.ts';
import { authorityAfter, type Job, retryAt, type RetryOptions } from './job.ts';
import { problemOf } from './problems.ts';
import { USER_ACTION_REQUIRED } from './remedies.ts';
import { readyTime } from './ready.ts';
import type { ManagedDomainSettings } from '../settings.ts';

export interface RenewalContext extends RetryOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly issuer: Issuer;
  readonly logger: Logger;
  readonly hooks: Hooks;
  readonly activateOn: 'renewal' | 'restart';
  /** How long a new set waits where the old one is still good (MDActivationDelay), ms. */
  readonly activationDelay: number;
  /** How long a renewal is put off that a command has vetoed, ms. */
  readonly checkInterval: number;
  /** Errors in a row after which the next CA is tried (MDRetryFailover). */
  readonly retryFailover: number;
  /** Moves `staging/NAME` into `domains` and has it served; see activate.ts. */
  readonly activate: (name: string, options: ActivationOptions) => Promise<ActivationResult>;
  /** Asked before anything is obtained: what is wrong with that, undefined where nothing is. */
  readonly admit?:
    | ((domain: ManagedDomainSettings, options: Abortable) => Promise<Problem | undefined>)
    | undefined;
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
  /** What came of telling MDMessageCmd, where that was done. */
  readonly told?: { readonly ran: boolean; readonly problem?: string | undefined } | undefined;
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
      /** undefined: not before somebody has done something about it. */
      readonly nextRun: number | undefined;
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
  const veto = activating ? undefined : await context.hooks.message(job, 'renewing', { signal });
  if (veto) return putOff(context, task, veto);
  const { problem } = job;
  job.begin(context.clock.now(), reason);
  publish('latchkey:renewal:started', { domain: domain.name, reason });
  context.logger.info(`AH10052: md(${domain.name}): renewing, as ${reason}`);
  try {
    const objection = activating ? undefined : await context.admit?.(domain, { signal });
    if (objection) throw new RenewalError(objection);
    const staged = await obtain(context, task);
    await conclude(context, task, staged, activating);
    const waiting: Outcome = { status: 'staged', serials: staged.serials, validFrom: staged.validFrom };
    if (staged.validFrom > context.clock.now()) {
      await job.save(context.store);
      return waiting;
    }
    const refusal = await announce(context, task);
    if (context.activateOn === 'restart') {
      if (refusal) throw new RenewalError(refusal);
      return waiting;
    }
    const outcome = await activate(context, task, staged);
    if (refusal) await oweNotice(context, task, refusal);
    return outcome;
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
    validFrom: await readyTime(context, domain, infos),
    notAfter: Math.min(...infos.map(({ notAfter }) => notAfter)),
  };
}

/** md.json is there before anything else is: staging says what it is for. */
async function issue(context: RenewalContext, task: RenewalTask): Promise<void> {
  const { store, issuer, hooks, retryFailover } = context;
  const { domain, job, signal } = task;
  const authority = authorityAfter(domain.authorities, job.errors, retryFailover);
  if (authority === undefined) throw new RenewalError(ownProblem('no-authority', 'No CA is configured'));
  const document = mdDocument(domain, { state: 'incomplete', description: '' }, undefined);
  const inUse = await undamaged(readMd(store, 'domains', domain.name));
  const directoryUrl = context.directoryUrl(authority);
  const account = issuer.account?.(domain, directoryUrl);
  const ca = { ...document.ca, url: authority, account };
  await writeMd(store, 'staging', domain.name, { ...document, ca });
  // A first run has nothing to say yet.
  if (job.stored) await job.save(store, { durable: false });
  await issuer.obtain(domain, {
    authority: directoryUrl,
    account,
    progress: (step) => progress(context, task, step),
    beforeOrder: task.beforeOrder,
    challengeReady: (type, name) => hooks.demand(job, `challenge-setup:${type}:${name}`, { signal }),
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
  { clock, store, hooks, activateOn }: RenewalContext,
  { domain, job }: RenewalTask,
  { serials, validFrom }: StagedSet,
  activating: boolean,
): Promise<void> {
  const now = clock.now();
  const usable =
    validFrom <= now ? `valid since ${formatDate(validFrom)}` : `from ${formatDate(validFrom)} on`;
  const tail = activateOn === 'restart' ? ' A graceful server restart now is recommended.' : '';
  const detail = `The certificate for the managed domain has been renewed successfully and can be used (${usable}).${tail}`;
  job.succeed(now, validFrom, detail, activating);
  // Commands find it said; without any the end of this run says it at once.
  if (hooks.any) await job.save(store);
  if (activating) return;
  publish('latchkey:renewal:obtained', { domain: domain.name, serials, validFrom });
}

/** Tells the commands of the new set, now that it can be used: the problem where one did not take it. */
async function announce(context: RenewalContext, task: RenewalTask): Promise<Problem | undefined> {
  const { store, hooks, logger, activateOn } = context;
  const { domain, job, signal } = task;
  const first = !job.notified;
  const refusal = await hooks.renewed(job, { signal });
  if (!refusal && activateOn === 'restart') job.settle();
  // Activation moves it to where it lasts.
  await job.save(store, { durable: activateOn === 'restart' || refusal !== undefined });
  if (first && job.notified && activateOn === 'restart') {
    logger.notice(
      `AH10059: The Managed Domain ${domain.name} has been setup and changes will be activated on next (graceful) server restart.`,
    );
  }
  return refusal;
}

/** A certificate does not wait for a command that fails: it is in use, and the command is called again later. */
async function oweNotice(context: RenewalContext, { job }: RenewalTask, refusal: Problem): Promise<void> {
  const now = context.clock.now();
  job.owesNotice = true;
  job.fail(now, refusal, retryAt(now, job.errors + 1, refusal, context));
  await job.save(context.store);
}

/**
 * Tells of a renewal in use what a command has not taken yet. What it fails with stands in the job, with the next
 * try. Rejects when aborted, and with StoreError.
 */
export async function tellAgain(context: RenewalContext, job: Job, { signal }: Abortable): Promise<void> {
  const refusal = await context.hooks.renewed(job, { signal });
  const now = context.clock.now();
  if (refusal) job.fail(now, refusal, retryAt(now, job.errors + 1, refusal, context));
  else job.settle();
  await job.save(context.store);
}

/** A vetoed renewal is looked at again after this time at the latest (and half of it more), ms. */
const LONGEST_PUT_OFF = 24 * 60 * 60 * 1000;

/** A command does not want the renewal now: no error, and asked again with the next check. */
async function putOff(context: RenewalContext, task: RenewalTask, problem: Problem): Promise<Outcome> {
  const { clock, checkInterval, random, logger } = context;
  const { job, domain } = task;
  logger.info(
    `AH10060: ${domain.name}: event-handler for 'renewing' returned an error, preventing renewal to proceed.`,
  );
  const until = Math.round(clock.now() + Math.min(checkInterval, LONGEST_PUT_OFF) * (0.5 + random()));
  job.problem = problem;
  return postpone(context, task, new PostponedError(until, problem.detail));
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
  const { missing = [], told } = await context.activate(name, { serials, signal });
  job.installed(clock.now(), missing);
  if (told?.problem !== undefined) job.append(clock.now(), 'message-error', told.problem, 'installed');
  else if (told?.ran) job.tell(clock.now(), 'installed', false);
  publish('latchkey:certificate:installed', { domain: name, serials, notAfter });
  logger.notice(`AH10059: The Managed Domain ${name} has been setup, its new certificate is in use.`);
  if (missing.length > 0) {
    logger.warn(`md(${name}): workers ${missing.join(', ')} have not shown the new certificate`);
  }
  return { status: 'installed', serials, notAfter, missing };
}

async function fail(
  context: RenewalContext,
  { domain, job, signal }: RenewalTask,
  problem: Problem,
): Promise<Outcome> {
  const { clock, logger, hooks } = context;
  const now = clock.now();
  const nextRun = isForGood(domain, problem) ? undefined : retryAt(now, job.errors + 1, problem, context);
  job.fail(now, problem, nextRun);
  logger.error(`AH10056: processing ${domain.name}: ${problem.detail} (${problem.type})`);
  const next = nextRun === undefined ? 'it is not tried again' : `next run at ${formatDate(nextRun)}`;
  logger.info(`AH10057: ${domain.name}: encountered error for the ${job.errors}. time, ${next}`);
  await saveOrSay(context, job);
  if (hooks.commands.message) {
    await hooks.message(job, 'errored', { signal });
    await saveOrSay(context, job);
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

/** Where there is another CA, it comes to its turn by trying. */
function isForGood({ authorities }: ManagedDomainSettings, { type }: Problem): boolean {
  return type === USER_ACTION_REQUIRED && authorities.length === 1;
}

async function saveOrSay({ store, logger }: RenewalContext, job: Job): Promise<void> {
  try {
    await job.save(store);
  } catch (error) {
    logger.error(`AH10056: processing ${job.name}: the job could not be saved: ${explain(error)}`);
  }
}
