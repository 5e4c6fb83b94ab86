/** The status document: what `latchkey status --json` prints, and all other views are made from. */
import type { Finding } from '../domains/preflight/finding.ts';
import type { Obtaining } from '../domains/renewal/obtaining.ts';
import type { OnDemandStatus } from '../domains/on-demand/on-demand.ts';
import type { DomainStatus } from '../domains/status.ts';
import type { StaplingJob, StaplingStatus } from '../ocsp/status.ts';

export interface StatusDocument {
  readonly version: string;
  /** ms since the epoch, as all times here: when the document was made. */
  readonly now: number;
  /** Since when this engine runs. */
  readonly started: number;
  /** Counts reloads from 1. */
  readonly generation: number;
  readonly workers: readonly WorkerStatus[];
  /** The certificate table had no room for a set. */
  readonly tableFull: boolean;
  /** Certificates that cannot be served, and why. */
  readonly problems: readonly string[];
  /** OCSP stapling, by certificate: of `domains`, and of other certificates where `others` are asked for. */
  readonly stapling: readonly StaplingStatus[];
  /** Of the one domain that was asked for by name: what became of the last requests for its responses. */
  readonly staplingJob?: StaplingJob | undefined;
  /** Of all certificates that are to be stapled. */
  readonly staplingCounts: StaplingCounts;
  /** Of all managed domains, whatever was asked for. */
  readonly counts: Counts;
  /** How many domains are of the kind that was asked for, before `offset` and `limit`. */
  readonly matching: number;
  /** How far obtaining what is to be had has got; undefined where nothing is managed. */
  readonly obtaining?: Obtaining | undefined;
  readonly domains: readonly DomainInService[];
}

export interface WorkerStatus {
  readonly id: number;
  readonly pid: number;
  /** Undefined where it does not answer in time. */
  readonly load?: WorkerLoad | undefined;
}

export interface WorkerLoad {
  /** Open at the moment, those among them whose handshake is under way. */
  readonly connections: number;
  readonly handshakes: number;
  /** Connections that were refused since the worker began, before anything was done for them. */
  readonly refused: Refusals;
  /** When the last one was, ms since the epoch; undefined: none was. */
  readonly lastRefused: number | undefined;
}

/** By reason: too many handshakes waited, or ClientConnections, or ClientHandshakes. */
export interface Refusals {
  readonly overload: number;
  readonly connections: number;
  readonly handshakes: number;
}

export interface DomainInService extends DomainStatus {
  /** Why no host serves the domain's certificates; undefined where one does. */
  readonly unserved: string | undefined;
  /** Of a domain that nobody configured: it was obtained on demand. */
  readonly onDemand?: OnDemandStatus | undefined;
  /** What preflight has found, while there is no certificate. */
  readonly preflight?: readonly Finding[] | undefined;
}

/** How many domains; one may be in several. */
export interface Counts {
  readonly total: number;
  /** Have all their certificates, unexpired. */
  readonly complete: number;
  readonly expired: number;
  /** Due for renewal. */
  readonly due: number;
  /** Being renewed at this moment. */
  readonly running: number;
  /** The last renewal failed. */
  readonly failing: number;
  /** A new certificate waits to be put to use. */
  readonly ready: number;
  /** Put off: a limit of the CA, a pause, or a command's veto. */
  readonly waiting: number;
}

/** How many certificates; one may be in several. */
export interface StaplingCounts {
  readonly total: number;
  /** Clients are given a response. */
  readonly ok: number;
  /** The responder is being asked, or about to be. */
  readonly due: number;
  /** The last request failed. */
  readonly errored: number;
  /** ms since the oldest of the responses that clients are given was made; 0 without any. */
  readonly oldest: number;
}

/** Which domains a document is to have. All of them unless it says less. */
export interface StatusQuery {
  /** The one that has this name; it alone comes with the log of its job. */
  readonly name?: string | undefined;
  /** Those with a name that contains this text. */
  readonly search?: string | undefined;
  readonly show?: Show | undefined;
  /** Default: by name. */
  readonly sort?: SortKey | undefined;
  readonly descending?: boolean | undefined;
  readonly offset?: number | undefined;
  readonly limit?: number | undefined;
  /** Tell of the stapling of certificates that belong to no managed domain, too. */
  readonly others?: boolean | undefined;
  /** Tell of accounts, too: a file of the store for each domain. With `name` that is done without it. */
  readonly accounts?: boolean | undefined;
}

export const shows = ['all', 'complete', 'expired', 'due', 'running', 'failing', 'ready', 'waiting'] as const;
export type Show = (typeof shows)[number];

export const sortKeys = ['name', 'state', 'valid', 'ca', 'next'] as const;
export type SortKey = (typeof sortKeys)[number];

/** Whoever has the document: the engine, asked from wherever. Rejects where it does not answer. */
export interface StatusSource {
  status(query: StatusQuery): Promise<StatusDocument>;
  /** In Prometheus' text format. */
  metrics(): Promise<string>;
}
