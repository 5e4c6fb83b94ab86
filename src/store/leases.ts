/**
 * The Leases contract: who of several servers on one store works on what (MDStoreLocks). A lease is held as long as
 * its holder shows that it lives; that of a dead one is taken over, never that of a live one.
 */
export interface Leases {
  /** Undefined where another holds it. */
  take(name: string): Promise<Lease | undefined>;
  /** Waits for it, `patience` ms at most. */
  takeWithin(name: string, patience: number): Promise<Lease | undefined>;
  /** Names whose lease another server has had since the last call (all that are known, at the first one). */
  changed(): Promise<string[]>;
}

export interface Lease extends AsyncDisposable {
  /** Aborted when the lease was lost, after this process had stood still for long: stop, another has it. */
  readonly signal: AbortSignal;
  /** Another has had it since this process had it last. */
  readonly handedOver: boolean;
}
