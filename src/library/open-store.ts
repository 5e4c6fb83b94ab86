/** The store of a program: a folder that several processes may share, or what the program brings along. */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { syncDomains } from '../domains/stored/registry.ts';
import type { ManagedDomainSettings } from '../domains/settings.ts';
import { FsStore } from '../store/fs/fs-store.ts';
import { FsLeases, locksFolder, WHOLE_STORE } from '../store/fs/leases.ts';
import type { Lease, Leases } from '../store/leases.ts';
import { type Store, StoreError } from '../store/store.ts';
import type { LatchkeyOptions } from './options.ts';

export interface OpenStore {
  readonly store: Store;
  /** Undefined: nobody else uses the store. */
  readonly leases: Leases | undefined;
}

/** How long another process may work on the store as a whole at its start, ms. */
const PATIENCE = 30_000;

/**
 * Opens the store and brings it in line with the domains. Rejects with StoreError: `locked` where another process
 * does just that for too long.
 */
export async function openStore(
  { storeDir, store, leases }: LatchkeyOptions,
  domains: readonly ManagedDomainSettings[],
  clock: Clock,
): Promise<OpenStore> {
  if (store) {
    await using _turn = leases && (await myTurn(leases));
    await syncDomains(store, domains, clock);
    return { store, leases };
  }
  const dir = resolve(storeDir ?? '');
  await mkdir(locksFolder(dir), { recursive: true, mode: 0o700 });
  const own = await FsLeases.open(locksFolder(dir), clock);
  await using _turn = await myTurn(own);
  // Challenges of other processes' orders may be under way.
  const opened = await FsStore.open({ dir, leases: own, purgeChallenges: false });
  await syncDomains(opened, domains, clock);
  return { store: opened, leases: own };
}

async function myTurn(leases: Leases): Promise<Lease> {
  const turn = await leases.takeWithin(WHOLE_STORE, PATIENCE);
  if (turn) return turn;
  throw new StoreError('locked', `another process has been opening the store for ${PATIENCE / 1000} s`);
}
