/**
 * Certificates by name, for all workers: what is cached, else what the store of the asking host has. One question
 * to a store for each name, however many wait; what is past its time is served while it is asked for again; what
 * isn't there is remembered for a short while.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { CertificateSource, Found, FoundCertificates, SourceStatus } from '../source.ts';
import type { CertificateSet, CertificateTable, TableCertificate } from '../table.ts';
import { DynamicCache, type Entry } from './cache.ts';
import { Earlier, type Kept } from './earlier.ts';
import { FLUSHES, Flushes } from './flushes.ts';
import type { SnapshotEntry } from './snapshot.ts';
import {
  DYNAMIC_PREFIX,
  type DynamicSettings,
  type DynamicStoreSettings,
  type SourceSettings,
} from './settings.ts';

/** What a worker gets for a name. */
export type Sought =
  | { readonly kind: 'stored'; readonly id: string }
  /** The table has no room for it: it is served all the same. */
  | { readonly kind: 'set'; readonly id: string; readonly set: Omit<CertificateSet, 'version'> }
  /** For so many ms this need not be asked again, unless something is flushed. */
  | { readonly kind: 'none' | 'failed'; readonly life: number };

export interface DynamicParts {
  readonly table: CertificateTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: Pick<DynamicSettings, 'stores' | 'onDemand' | 'cacheBytes'>;
  readonly open: (settings: SourceSettings) => CertificateSource;
}

export interface DynamicStatus {
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
  readonly flushes: Flushes['status'];
  /** Some of what is cached, with ms since the epoch. */
  readonly sample: readonly {
    readonly name: string;
    readonly refetchAt: number;
    readonly notAfter: number;
  }[];
  readonly stores: readonly {
    readonly settings: DynamicStoreSettings;
    readonly urls: readonly SourceStatus[];
  }[];
}

/** How long (ms) it counts that a store has nothing for a name, or that asking failed. */
const NONE_LIFE = 10_000;
const FAILURE_LIFE = 1000;
/** A refetch that failed is tried again after this (ms), or the store's floor if that is less. */
const RETRY = 60_000;
const MOST_REMEMBERED = 20_000;
/** Questions to one store at a time, and how many more may wait. */
const MOST_ASKED = 64;
const MOST_WAITING = 1000;
/** A flush in the middle of a fetch makes it begin again, so often at most. */
const MOST_TRIES = 3;
const SAMPLE = 20;
/** What is taken over in the background at a time: about 2 ms that a handshake may have to wait for. */
const STEP = 10;

interface Store {
  readonly settings: SourceSettings;
  readonly source: CertificateSource;
  readonly queue: PQueue;
}

/** Who has a question asked: a client, or a certificate that is past its time. */
interface Asker {
  readonly known?: Entry;
  readonly client?: string | undefined;
}

interface Absence {
  readonly kind: 'none' | 'failed';
  readonly until: number;
}

export class DynamicCertificates implements AsyncDisposable {
  readonly #parts: DynamicParts;
  readonly #cache: DynamicCache;
  readonly #flushes = new Flushes();
  readonly #stores = new Map<string, Store>();
  readonly #underWay = new Map<string, Promise<Sought>>();
  readonly #absent = new LRUCache<string, Absence>({ max: MOST_REMEMBERED });
  /** By name, so that each trouble is said once. */
  readonly #said = new LRUCache<string, string>({ max: MOST_REMEMBERED });
  #earlier: Earlier | undefined;
  #closed = false;

  constructor(parts: DynamicParts) {
    this.#parts = parts;
    this.#cache = new DynamicCache(parts.table, parts.clock, parts.settings.cacheBytes);
    for (const store of sourcesOf(parts.settings)) this.#open(store);
    this.#announceFlush();
  }

  /** Takes over what is in the table, in steps; forgets what belongs to no store of the configuration. */
  async adoptAll(pause: () => Promise<unknown>): Promise<void> {
    let steps = 0;
    for (const id of this.#parts.table.ids()) {
      if (!id.startsWith(DYNAMIC_PREFIX) || this.#cache.byId(id)) continue;
      const store = this.#stores.get(id.split(':')[1] ?? '');
      if (!store) this.#parts.table.remove(id);
      else this.#cache.adopt(store.settings, id);
      if (++steps % STEP === 0) await pause();
      if (this.#closed) return;
    }
  }

  /** From now on a name is looked for in what an earlier server has kept before a store is asked. A flush ends that. */
  recall(kept: Kept): void {
    this.#earlier = new Earlier(kept);
  }

  /**
   * Takes in all of what recall() was given, in steps; each certificate is asked for again at its first use. Gives
   * how many there were by when it was done, or `signal` had it stop.
   */
  async restore(pause: () => Promise<unknown>, signal: AbortSignal): Promise<number> {
    let restored = 0;
    const earlier = this.#earlier;
    for await (const entry of this.#notTakenIn()) {
      if (signal.aborted) return restored;
      const store = this.#stores.get(entry.store);
      if (store && this.#takeIn(store, entry) && ++restored % STEP === 0) await pause();
    }
    if (this.#earlier === earlier) this.#earlier = undefined;
    return restored;
  }

  /** What is cached now, and what is still to be restored: for recall(). */
  async *snapshot(): AsyncGenerator<SnapshotEntry> {
    // At once: what is used meanwhile changes its place.
    const entries = [...this.#cache.entries()];
    for (const { id, store, asked, names, tag } of entries) {
      const certificates = this.#parts.table.get(id)?.certificates.map(withoutStaple) ?? [];
      if (certificates.length === 0) continue;
      yield { store, asked, names: [...names], ...(tag === undefined ? {} : { tag }), certificates };
    }
    yield* this.#notTakenIn();
  }

  /** Stores that stay keep what is cached of them. */
  async reconfigure(all: DynamicParts['settings']): Promise<void> {
    const before = new Map(this.#stores);
    this.#stores.clear();
    for (const settings of sourcesOf(all)) {
      const known = before.get(settings.id);
      if (known && JSON.stringify(known.settings) === JSON.stringify(settings)) {
        this.#stores.set(settings.id, known);
        before.delete(settings.id);
      } else this.#open(settings);
    }
    this.#cache.maxBytes = all.cacheBytes;
    await this.#drop(turn, (store) => !this.#stores.has(store));
    this.#absent.clear();
    this.#announceFlush();
    await Promise.all([...before.values()].map(({ source }) => source[Symbol.asyncDispose]()));
  }

  /** For a worker that has found nothing in the table. `name`: of serverNameOf(); `client`: who calls for it. */
  async seek(storeId: string, name: string, client?: string): Promise<Sought> {
    const store = this.#stores.get(storeId);
    if (!store) return { kind: 'failed', life: FAILURE_LIFE };
    const entry = this.#cache.find(store.settings, name);
    if (entry) {
      this.#refresh(entry);
      return { kind: 'stored', id: entry.id };
    }
    return this.#absence(store, name) ?? this.#fetch(store, name, { client });
  }

  /** What workers have served since they last told. */
  used(ids: readonly string[]): void {
    for (const id of ids) {
      const entry = this.#cache.byId(id);
      if (!entry) continue;
      this.#cache.use(entry);
      this.#stores.get(entry.store)?.source.seen?.(entry.asked);
      this.#refresh(entry);
    }
  }

  /** A source has another certificate for a name, or the first. Gives its id in the table; undefined without room. */
  bring(storeId: string, name: string, found: FoundCertificates): string | undefined {
    const store = this.#stores.get(storeId);
    const entry = store && this.#cache.keep(store.settings, name, found);
    if (this.#absent.delete(keyOf(storeId, name))) this.#announceFlush();
    return entry?.id;
  }

  /** Forgets everything there is now, in steps; false where the table could not be written. */
  async flushAll(pause: () => Promise<unknown> = turn): Promise<boolean> {
    this.#flushes.flushAll();
    this.#earlier = undefined;
    this.#absent.clear();
    const done = await this.#drop(pause);
    this.#flushes.ended();
    this.#announceFlush();
    return done;
  }

  /** Forgets the certificate that a name is served with, and that it has none. */
  flush(name: string): boolean {
    this.#flushes.flush(name);
    // Nobody knows what it would have led to.
    this.#earlier = undefined;
    const done: boolean[] = [];
    for (const { settings } of this.#stores.values()) {
      this.#absent.delete(keyOf(settings.id, name));
      for (let entry; (entry = this.#cache.find(settings, name));) {
        const dropped = this.#cache.drop(entry);
        done.push(dropped);
        if (!dropped) break;
      }
    }
    this.#announceFlush();
    return !done.includes(false);
  }

  /** Counts what was kept and dropped. */
  get changes(): number {
    return this.#cache.changes;
  }

  /** Counts flushes. */
  get flushes(): number {
    return this.#flushes.count;
  }

  status(): DynamicStatus {
    return {
      entries: this.#cache.count,
      bytes: this.#cache.bytes,
      maxBytes: this.#cache.maxBytes,
      flushes: this.#flushes.status,
      sample: this.#sample(),
      stores: [...this.#stores.values()].flatMap(({ settings, source }) =>
        'urls' in settings ? [{ settings, urls: source.status() }] : [],
      ),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#stores.values()].map(({ source }) => source[Symbol.asyncDispose]()));
  }

  /** What an earlier server kept, without what has been cached since. */
  async *#notTakenIn(): AsyncGenerator<SnapshotEntry> {
    const earlier = this.#earlier;
    for await (const entry of earlier?.rest() ?? []) {
      if (this.#earlier !== earlier) return;
      const { store, asked } = entry;
      if (!this.#cache.byId(`${DYNAMIC_PREFIX}${store}:${asked}`)) yield entry;
    }
  }

  /** See DynamicCache.dropping(). */
  async #drop(pause: () => Promise<unknown>, isGone?: (store: string) => boolean): Promise<boolean> {
    let done = true;
    for (const dropped of this.#cache.dropping(isGone)) {
      if (!dropped) done = false;
      await pause();
      if (this.#closed) return false;
    }
    return done;
  }

  async #recalled(store: Store, name: string): Promise<Sought | undefined> {
    const earlier = this.#earlier;
    const found = await earlier?.find(store.settings.id, name);
    // It may have been flushed meanwhile.
    const entry = found && this.#earlier === earlier ? this.#takeIn(store, found) : undefined;
    return entry && { kind: 'stored', id: entry.id };
  }

  /** Undefined where it has expired meanwhile, or there is no room. */
  #takeIn({ settings }: Store, { asked, names, tag, certificates }: SnapshotEntry): Entry | undefined {
    const now = this.#parts.clock.now();
    if (certificates.some(({ notBefore, notAfter }) => notAfter <= now || notBefore > now)) return undefined;
    const set = { fallback: false, certificates };
    const entry = this.#cache.keep(settings, asked, { kind: 'found', set, names, tag });
    if (entry) entry.refetchAt = now;
    return entry;
  }

  #sample(): DynamicStatus['sample'] {
    const sample = [];
    for (const { asked, refetchAt, notAfter } of this.#cache.entries()) {
      sample.push({ name: asked, refetchAt, notAfter });
      if (sample.length === SAMPLE) break;
    }
    return sample;
  }

  #open(settings: SourceSettings): void {
    // What is ordered takes long, and has bounds of its own.
    const queue = new PQueue({ concurrency: 'urls' in settings ? MOST_ASKED : MOST_WAITING });
    this.#stores.set(settings.id, { settings, source: this.#parts.open(settings), queue });
  }

  /** Workers have own memories of what there is not: they last no longer than this value. */
  #announceFlush(): void {
    const value = `${this.#parts.clock.now()}-${this.#flushes.count}`;
    this.#parts.table.point(FLUSHES.scope, [FLUSHES.name], value);
  }

  #absence({ settings }: Store, name: string): Sought | undefined {
    const absence = this.#absent.get(keyOf(settings.id, name));
    if (!absence) return undefined;
    const life = absence.until - this.#parts.clock.now();
    // A clock that was put back makes nothing last longer.
    return life > 0 && life <= NONE_LIFE ? { kind: absence.kind, life } : undefined;
  }

  /** Past its time: it is asked for again, in the background. */
  #refresh(entry: Entry): void {
    const store = this.#stores.get(entry.store);
    if (!store || entry.refetchAt > this.#parts.clock.now()) return;
    entry.refetchAt = this.#parts.clock.now() + Math.min(RETRY, store.settings.cacheFloor);
    void this.#fetch(store, entry.asked, { known: entry });
  }

  /** Once for each name at a time. Never rejects. */
  #fetch(store: Store, name: string, by: Asker): Promise<Sought> {
    const key = keyOf(store.settings.id, name);
    const waiting = this.#underWay.get(key);
    if (waiting) return waiting;
    const sought = this.#ask(store, name, by)
      .catch((error: unknown) => this.#fail(store, name, explain(error)))
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, sought);
    return sought;
  }

  async #ask(store: Store, name: string, { known, client }: Asker): Promise<Sought> {
    const recalled = this.#earlier && !known ? await this.#recalled(store, name) : undefined;
    if (recalled) return recalled;
    if (store.queue.size >= MOST_WAITING) return { kind: 'failed', life: FAILURE_LIFE };
    for (let tries = 1; ; tries++) {
      const tag = tries === 1 ? known?.tag : undefined;
      const { result, isOld } = await this.#flushes.during(() =>
        // Who waits at a handshake goes before what is only refreshed.
        store.queue.add(() => store.source.find(name, tag, client), { priority: known ? 0 : 1 }),
      );
      if (this.#closed || this.#stores.get(store.settings.id) !== store) {
        return { kind: 'failed', life: FAILURE_LIFE };
      }
      const old = isOld(name) || (result.kind === 'found' && result.names.some(isOld));
      if (!old) return this.#conclude(store, name, result, known);
      // Flushed again and again: what is fresh enough to be shown is not fresh enough to be kept.
      if (tries === MOST_TRIES) return this.#unkept(store, name, result);
    }
  }

  #conclude(store: Store, name: string, found: Found, known: Entry | undefined): Sought {
    const { settings } = store;
    switch (found.kind) {
      case 'found': {
        this.#said.delete(name);
        const entry = this.#cache.keep(settings, name, found);
        return entry ? { kind: 'stored', id: entry.id } : this.#unkept(store, name, found);
      }
      case 'unchanged': {
        const entry = known && this.#cache.byId(known.id);
        if (!entry) return { kind: 'failed', life: FAILURE_LIFE };
        this.#cache.renew(entry, settings);
        return { kind: 'stored', id: entry.id };
      }
      case 'none': {
        const entry = known && this.#cache.byId(known.id);
        if (entry) this.#cache.drop(entry);
        this.#parts.logger.info(`no certificate for ${name} ${found.reason ?? 'in the certificate store'}`);
        return this.#remember(settings.id, name, 'none', NONE_LIFE);
      }
      case 'failed':
        return this.#fail(store, name, found.problem);
      default:
        return found satisfies never;
    }
  }

  #unkept(store: Store, name: string, found: Found): Sought {
    if (found.kind !== 'found') return { kind: 'failed', life: FAILURE_LIFE };
    return { kind: 'set', id: `${DYNAMIC_PREFIX}${store.settings.id}:${name}`, set: found.set };
  }

  #fail({ settings }: Store, name: string, problem: string): Sought {
    if (this.#said.get(name) !== problem) {
      this.#said.set(name, problem);
      this.#parts.logger.error(`no certificate for ${name} from ${problem}`);
    }
    return this.#remember(settings.id, name, 'failed', FAILURE_LIFE);
  }

  #remember(storeId: string, name: string, kind: Absence['kind'], life: number): Sought {
    this.#absent.set(keyOf(storeId, name), { kind, until: this.#parts.clock.now() + life });
    return { kind, life };
  }
}

function sourcesOf({ stores, onDemand }: DynamicParts['settings']): SourceSettings[] {
  return [...stores, ...onDemand];
}

function withoutStaple(certificate: TableCertificate): SnapshotEntry['certificates'][number] {
  const { keyType, chainPem, keyPem, serial, notBefore, notAfter } = certificate;
  return { keyType, chainPem, keyPem, serial, notBefore, notAfter };
}

function keyOf(store: string, name: string): string {
  return `${store} ${name}`;
}
