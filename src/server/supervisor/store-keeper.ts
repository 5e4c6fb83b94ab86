/**
 * What the supervisor does with the store: opens it, keeps it in line with the configuration, and activates
 * what the engine has obtained.
 */
import { lchown } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import type { Settings } from '../../config/settings.ts';
import type { Activation, ActivateOptions } from '../../domains/activate.ts';
import { FsStore } from '../../store/fs/fs-store.ts';
import { StoreError } from '../../store/store.ts';
import { Turns } from '../../store/fs/turns.ts';
import type { Identity } from '../calls.ts';
import { makeFolder } from '../folders.ts';

export class StoreKeeper {
  #store: FsStore;
  readonly #identity: Identity | undefined;
  /** Activations at a reload and at the engine's request: one at a time for each domain. */
  readonly #turns = new Turns();

  /** Rejects with StoreError. */
  static async open(settings: Settings, identity: Identity | undefined): Promise<StoreKeeper> {
    return new StoreKeeper(await open(settings, identity), identity);
  }

  private constructor(store: FsStore, identity: Identity | undefined) {
    this.#store = store;
    this.#identity = identity;
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
    this.#store = await open(settings, this.#identity);
    return true;
  }

  /**
   * Activates what was obtained, brings md.json and the fallback certificates up to date, makes the CA's folder.
   * Gives the serials of what was activated, by domain.
   */
  async bringInLine(settings: Settings): Promise<ReadonlyMap<string, readonly string[]>> {
    const activated = settings.domains.length > 0 ? await this.#bringDomainsInLine(settings) : new Map();
    if (settings.localCa) await ownedFolder(settings.localCa.dir, this.#identity);
    const served = servedProtocols(settings);
    if (!isDeepStrictEqual(served, await this.store.servedProtocols())) {
      await this.store.saveServedProtocols(served);
    }
    return activated;
  }

  /** See activateStaged(). */
  activate(name: string, options?: ActivateOptions): Promise<Activation> {
    return this.#turns.take(name, async () => {
      const { activateStaged } = await import('../../domains/activate.ts');
      return activateStaged(this.store, name, options);
    });
  }

  /** Loaded only where there are managed domains: a start without them doesn't wait for it. */
  async #bringDomainsInLine({ domains }: Settings): Promise<ReadonlyMap<string, readonly string[]>> {
    const { syncDomains } = await import('../../domains/registry.ts');
    const staged = new Set(await this.store.list('staging'));
    const activated = new Map<string, readonly string[]>();
    for (const { name } of domains.filter((domain) => staged.has(domain.name))) {
      const { serials } = await this.activate(name, { finishedOnly: true });
      if (serials.length > 0) activated.set(name, serials);
    }
    await syncDomains(this.store, domains, systemClock);
    return activated;
  }
}

function open({ md }: Settings, identity: Identity | undefined): Promise<FsStore> {
  makeFolder('MDStoreDir', md.storeDir);
  const owner = identity ? { owner: identity } : {};
  return FsStore.open({ dir: md.storeDir, purgeChallenges: true, ...owner });
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
