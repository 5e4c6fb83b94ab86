/** What the renewal engine is made of, what of that may change while it runs, and what it may say no with. */
import type { Clock } from '../base/clock.ts';
import { LatchkeyError } from '../base/errors.ts';
import type { Loggers } from '../base/log.ts';
import type { Abortable, Store } from '../store/store.ts';
import type { Issuer, Progress } from './issuer.ts';
import type { RenewalContext } from './renewal/renewal.ts';
import type { SharedStore } from './renewal/sharing.ts';
import type { HookCommands, ManagedDomainSettings, RateLimits } from './settings.ts';
import type { Held } from './state.ts';
import type { ReadPem } from './stored/static-files.ts';

export interface EngineOptions {
  readonly domains: readonly ManagedDomainSettings[];
  readonly store: Store;
  readonly issuer: Issuer;
  /** Moves `staging/NAME` into `domains` and has it served; see activate.ts. */
  readonly activate: RenewalContext['activate'];
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Default: silent. */
  readonly loggers?: Loggers | undefined;
  /** From 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined;
  /** ms; default 30 s (MDRetryDelay). */
  readonly retryDelay?: number | undefined;
  /** Errors in a row with one CA before the next one is tried; default 13 (MDRetryFailover). */
  readonly retryFailover?: number | undefined;
  /** Default `renewal` (MDActivateOn). */
  readonly activateOn?: 'renewal' | 'restart' | undefined;
  /** What is told of events; default nothing. */
  readonly hooks?: HookCommands | undefined;
  /** ms that such a command may take before it is killed; default one minute. */
  readonly hookLimit?: number | undefined;
  /** ms; default none (MDActivationDelay). */
  readonly activationDelay?: number | undefined;
  /** ms between looks at a domain where nothing is due; default 12 h (MDCheckInterval). */
  readonly checkInterval?: number | undefined;
  /** ms before anything is done; default none (MDInitialDelay). */
  readonly initialDelay?: number | undefined;
  /** Reads a file of ManagedDomainSettings.staticFiles; default: with our own rights. */
  readonly readPem?: ReadPem | undefined;
  /** Renewals at once with one CA; default 32. */
  readonly maxParallelPerCa?: number | undefined;
  /** The directory URL of a configured authority; default: it is one. `local` has to be resolved here. */
  readonly directoryUrl?: ((authority: string) => string) | undefined;
  /** Whether anything may be obtained for a domain now; default: for each. See RenewalContext. */
  readonly admit?: RenewalContext['admit'];
  /** By authority, what differs from the built-in figures (MDRateLimit). */
  readonly rateLimits?: Readonly<Record<string, RateLimits>> | undefined;
  /** Where other servers use the store, too (MDStoreLocks). */
  readonly shared?: SharedStore | undefined;
  /** Told at each look which chains a domain has in use that are ours to replace: none, once it is gone. */
  readonly onLook?: ((name: string, chains: readonly Held['chain'][]) => void) | undefined;
  /** Told when a fault of the program has ended all renewing: another engine is needed. Default: the log has it. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

/** What of the options may change while it runs; what is not given stays. */
export type Pace = Partial<
  Pick<RenewalContext, 'retryDelay' | 'retryFailover' | 'activateOn' | 'activationDelay' | 'checkInterval'>
> &
  Pick<EngineOptions, 'rateLimits' | 'hooks'>;

export interface RenewNowOptions extends Abortable {
  /** Called at each step. */
  readonly progress?: ((progress: Progress) => void) | undefined;
}

export type EngineErrorCode = 'engine-closed' | 'domain-unknown';

export class EngineError extends LatchkeyError<EngineErrorCode> {}

export function engineClosed(): EngineError {
  return new EngineError('engine-closed', 'The renewal engine is closed');
}
