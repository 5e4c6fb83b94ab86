/** The status document: what `latchkey status --json` prints, and all other views are made from. */
import type { DomainStatus } from '../domains/status.ts';

export interface StatusDocument {
  readonly version: string;
  /** ms since the epoch, as all times here: when the document was made. */
  readonly now: number;
  /** Since when this engine runs. */
  readonly started: number;
  /** Counts reloads from 1. */
  readonly generation: number;
  readonly workers: readonly { readonly id: number; readonly pid: number }[];
  /** The certificate table had no room for a set. */
  readonly tableFull: boolean;
  /** Certificates that cannot be served, and why. */
  readonly problems: readonly string[];
  readonly domains: readonly DomainInService[];
}

export interface DomainInService extends DomainStatus {
  /** Why no host serves the domain's certificates; undefined where one does. */
  readonly unserved: string | undefined;
}
