/**
 * What the administrator has told what happens: the commands of MDNotifyCmd and MDMessageCmd. They are called one
 * at a time, as by mod_md, since a script need not bear a second call while it works.
 */
import PQueue from 'p-queue';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Abortable } from '../../store/store.ts';
import { runCommand } from './command.ts';
import { type Problem, RenewalError } from '../issuer.ts';
import type { Job } from '../renewal/job.ts';
import type { HookCommands } from '../settings.ts';

export const noHooks: HookCommands = { notify: undefined, message: undefined };

export type HookEvent =
  | 'renewing'
  | `challenge-setup:${string}:${string}`
  | 'renewed'
  | 'installed'
  | 'expiring'
  | 'errored'
  | 'ocsp-renewed'
  | 'ocsp-errored';

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

/** How long after a call an event is not told again, ms: mod_md's figures. */
const INTERVALS: Readonly<Partial<Record<string, number>>> = {
  renewing: HOUR,
  expiring: DAY,
  errored: HOUR,
  'ocsp-renewed': DAY,
  'ocsp-errored': HOUR,
};

/** When an event may be told again, ms since the epoch; in the past when it may be now. */
export function tellableFrom(job: Pick<Job, 'told'>, event: HookEvent, now: number): number {
  const last = job.told.get(event);
  // A time in the future was written by a clock that went wrong.
  return last === undefined || last > now ? -Infinity : last + (INTERVALS[event] ?? 0);
}

export interface HooksOptions {
  readonly commands: HookCommands;
  readonly clock: Clock;
  readonly logger: Logger;
  /** ms that a command may take before it is killed; default one minute. */
  readonly limit?: number | undefined;
}

export class Hooks {
  /** Of the configuration now in force. */
  commands: HookCommands;
  readonly #options: HooksOptions;
  readonly #queue = new PQueue({ concurrency: 1 });

  constructor(options: HooksOptions) {
    this.#options = options;
    this.commands = options.commands;
  }

  /** Whether there is anybody to tell of a renewed certificate. */
  get any(): boolean {
    return this.commands.notify !== undefined || this.commands.message !== undefined;
  }

  /**
   * Tells MDMessageCmd, unless it was told of the same a short while ago. Fulfilled with the problem where the
   * command did not end with 0: it stands in the job's log, which the caller saves. Rejects when aborted.
   */
  async message(job: Job, event: HookEvent, options: Abortable = {}): Promise<Problem | undefined> {
    const { clock } = this.#options;
    const { message } = this.commands;
    if (!message) return undefined;
    return this.#run(async () => {
      if (tellableFrom(job, event, clock.now()) > clock.now()) return undefined;
      const problem = await runMessage(message, event, job.name, this.#bounded(options));
      const now = clock.now();
      if (problem) job.append(now, 'message-error', problem.detail, event);
      else job.tell(now, event, event in INTERVALS);
      return problem;
    });
  }

  /** Tells both commands of a renewed certificate, each until it has ended with 0 once. As message(). */
  async renewed(job: Job, options: Abortable = {}): Promise<Problem | undefined> {
    return (await this.#notify(job, options)) ?? (await this.#messageRenewed(job, options));
  }

  async #notify(job: Job, options: Abortable): Promise<Problem | undefined> {
    const { notify } = this.commands;
    if (job.notified) return undefined;
    const problem = notify && (await this.#run(() => runNotify(notify, job.name, this.#bounded(options))));
    if (problem) job.append(this.#options.clock.now(), 'notify-error', problem.detail, problem.type);
    else job.notified = true;
    return problem;
  }

  async #messageRenewed(job: Job, options: Abortable): Promise<Problem | undefined> {
    if (job.notifiedRenewed) return undefined;
    const problem = await this.message(job, 'renewed', options);
    if (!problem) job.notifiedRenewed = true;
    return problem;
  }

  /** As message(), throwing RenewalError. */
  async demand(job: Job, event: HookEvent, options: Abortable): Promise<void> {
    const problem = await this.message(job, event, options);
    if (problem) throw new RenewalError(problem);
  }

  async #run(task: () => Promise<Problem | undefined>): Promise<Problem | undefined> {
    const problem = await this.#queue.add(task);
    if (problem) this.#options.logger.error(`${problem.type} ${problem.detail}`);
    return problem;
  }

  #bounded({ signal }: Abortable): Abortable & { limit: number | undefined } {
    return { signal, limit: this.#options.limit };
  }
}

interface Bounds extends Abortable {
  readonly limit?: number | undefined;
}

/** Runs `COMMAND EVENT NAME`. Fulfilled with the problem where it did not end with 0. */
export async function runMessage(
  command: readonly string[],
  event: HookEvent,
  name: string,
  bounds: Bounds,
): Promise<Problem | undefined> {
  const failure = await runCommand([...command, event, name], bounds);
  return failure === undefined ? undefined : hookProblem('AH10109', 'MDMessageCmd', command, failure);
}

async function runNotify(
  command: readonly string[],
  name: string,
  bounds: Bounds,
): Promise<Problem | undefined> {
  const failure = await runCommand([...command, name], bounds);
  return failure === undefined ? undefined : hookProblem('AH10108', 'MDNotifyCmd', command, failure);
}

/** Without the arguments that are configured: one may be a token. */
function hookProblem(id: string, directive: string, [program = '']: readonly string[], failure: string) {
  const detail = `${directive} ${program} ${failure.replace(/^ended with exit code/, 'failed with exit code')}`;
  return { type: `urn:org:apache:httpd:log:${id}:`, detail };
}
