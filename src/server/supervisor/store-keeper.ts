/**
 * What the supervisor does with the store: opens it, keeps it in line with the configuration, and activates
 * what the engine has obtained.
 */
import { lchown } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import PQueue from 'p-queue';
import { systemClock } from '../../base/clock.ts';
import { Turns } from '../../base/turns.ts';
import type { Settings } from '../../config/settings.ts';
import { addedNames } from '../../domains/stored/added.ts';
import type { Activation, ActivateOptions } from '../../domains/stored/activate.ts';
import type { Logger } from '../../base/log.ts';
import { FsStore } from '../../store/fs/fs-store.ts';
import { FsLeases, locksFolder, WHOLE_STORE } from '../../store/fs/leases.ts';
import type { Lease } from '../../store/leases.ts';
import { StoreError } from '../../store/store.ts';
import type { Identity } from '../calls.ts';
import { makeFolder } from '../folders.ts';
import { Litter } from './litter.ts';

/** Activations at once: few, so that they end one after another, and what follows on each begins meanwhile. */
const ACTIVATIONS = 4;

export class StoreKeeper implements AsyncDisposable {
  #store: FsStore;
  readonly #litter: Litter;
  readonly #identity: Identity | undefined;
  readonly #logger: Logger;
  /** Activations at a reload and at the engine's request: one at a time for each domain. */
  readonly #turns = new Turns();
  readonly #activations = new PQueue({ concurrency: ACTIVATIONS });
  readonly #changes = new Set<Promise<unknown>>();

  #leases: FsLeases | undefined;

  /** Rejects with StoreError. */
  static async open(
    settings: Settings,
    identity: Identity | undefined,
    logger: Logger,
  ): Promise<StoreKeeper> {
    makeFolder('MDStoreDir', settings.md.storeDir);
    const leases = await openLeases(settings, identity);
    await using _turn = await myTurn(leases, settings, logger);
    const litter = new Litter(systemClock);
    return new StoreKeeper(await open(settings, identity, leases, litter), litter, identity, leases, logger);
  }

  private constructor(
    store: FsStore,
    litter: Litter,
    identity: Identity | undefined,
    leases: FsLeases | undefined,
    logger: Logger,
  ) {
    this.#store = store;
    this.#litter = litter;
    this.#identity = identity;
    this.#leases = leases;
    this.#logger = logger;
  }

  /** Another one after reopenIfGone(). */
  get store(): FsStore {
    return this.#store;
  }

  /** True where the store was deleted under the running server and has been made anew: with another key. */
  async reopenIfGone(settings: Settings): Promise<boolean> {
    try {
      await FsStore.attach({ dir: settings.md.storeDir });
      return false;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'store-missing') throw error;
    }
    this.#leases = await openLeases(settings, this.#identity);
    this.#store = await open(settings, this.#identity, this.#leases, this.#litter);
    return true;
  }

  /**
   * Activates what was obtained, brings md.json and the fallback certificates up to date, makes the CA's folder.
   * Gives the serials of what was activated, by domain.
   */
  async bringInLine(settings: Settings): Promise<ReadonlyMap<string, readonly string[]>> {
    await using _turn = await myTurn(this.#leases, settings, this.#logger);
    const added = await addedNames(this.store);
    const names = [...settings.domains.map(({ name }) => name), ...added];
    const activated = names.length > 0 ? await this.#bringDomainsInLine(settings, names) : new Map();
    if (settings.localCa) await ownedFolder(settings.localCa.dir, this.#identity);
    const served = servedProtocols(settings);
    if (!isDeepStrictEqual(served, await this.store.servedProtocols())) {
      await this.store.saveServedProtocols(served);
    }
    return activated;
  }

  /** See activateStaged(). */
  activate(name: string, options?: ActivateOptions): Promise<Activation> {
    return this.#activations.add(() =>
      this.#turns.take(name, async () => {
        const { activateStaged } = await import('../../domains/stored/activate.ts');
        return activateStaged(this.store, name, options);
      }),
    );
  }

  /** Removes the set in use of a domain that is no more. */
  discard(name: string): Promise<void> {
    return this.#turns.take(name, () => this.store.purge('domains', name));
  }

  /** Has settled() wait for a change that an engine has asked for; gives what comes of it. */
  async during<T>(change: Promise<T>): Promise<T> {
    this.#changes.add(change);
    try {
      return await change;
    } finally {
      this.#changes.delete(change);
    }
  }

  /**
   * Fulfilled when the changes are made that engines have asked for, or have failed. An engine that looked at the
   * store while the wish of one that has died is being fulfilled would not learn of it.
   */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#changes);
  }

  /** Once nothing is activated any more: removes what was left to be. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#litter[Symbol.asyncDispose]();
  }

  /** Loaded only where there are managed domains: a start without them doesn't wait for it. */
  async #bringDomainsInLine(
    { domains }: Settings,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, readonly string[]>> {
    const { syncDomains } = await import('../../domains/stored/registry.ts');
    const staged = new Set(await this.store.list('staging'));
    const activated = new Map<string, readonly string[]>();
    for (const name of names.filter((one) => staged.has(one))) {
      await using lease = await this.#leases?.take(name);
      // Another server has it in hand.
      if (this.#leases && !lease) continue;
      const { serials } = await this.activate(name, { finishedOnly: true });
      if (serials.length > 0) activated.set(name, serials);
    }
    await syncDomains(this.store, domains, systemClock);
    return activated;
  }
}

function open(
  { md }: Settings,
  identity: Identity | undefined,
  leases: FsLeases | undefined,
  litter: Litter,
): Promise<FsStore> {
  makeFolder('MDStoreDir', md.storeDir);
  const owner = identity ? { owner: identity } : {};
  // Challenges of other servers' orders may be under way.
  const purgeChallenges = leases === undefined;
  const later = litter.add.bind(litter);
  return FsStore.open({ dir: md.storeDir, purgeChallenges, leases, later, ...owner });
}

async function openLeases({ md }: Settings, identity: Identity | undefined): Promise<FsLeases | undefined> {
  if (md.storeLocks === undefined) return undefined;
  const folder = locksFolder(md.storeDir);
  makeFolder('MDStoreLocks', folder, 0o700);
  if (identity) await lchown(folder, identity.uid, identity.gid);
  return FsLeases.open(folder);
}

/** As mod_md does it: without a turn in time it is said, and the start goes on. */
async function myTurn(
  leases: FsLeases | undefined,
  { md }: Settings,
  logger: Logger,
): Promise<Lease | undefined> {
  const turn = await leases?.takeWithin(WHOLE_STORE, md.storeLocks ?? 0);
  if (leases && !turn) {
    logger.error(
      `another server works on ${md.storeDir} for longer than MDStoreLocks allows to wait: going on without the lock`,
    );
  }
  return turn;
}

/** Whether anybody listens where the internet's ports 80 and 443 arrive. */
function servedProtocols({ listens, md }: Settings): { http: boolean; https: boolean } {
  const ports = new Set<number | undefined>(listens.map(({ port }) => port));
  return { http: ports.has(md.httpPort), https: ports.has(md.httpsPort) };
}

/**
 * Everybody may look for what is to be trusted in it; what is secret in it has modes of its own. A link in its place
 * is not followed: the folder around it may be User's.
 */
async function ownedFolder(dir: string, identity: Identity | undefined): Promise<void> {
  makeFolder('LocalCADir', dir, 0o755);
  if (identity) await lchown(dir, identity.uid, identity.gid);
}
