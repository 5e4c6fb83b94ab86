/**
 * What sources have given, kept in the certificate table under the name that was asked for and all names of the
 * certificate. Bounded in bytes; what is not used goes first. The engine's: workers read the table.
 *
 * A set's id is `dyn:STORE:NAME`, so that an engine that follows another finds again what is in the table.
 */
import type { Clock } from '../../base/clock.ts';
import { dnsNames, parseChain } from '../../pki/certificate.ts';
import { wildcardOf, type FoundCertificates } from '../source.ts';
import type { CertificateTable } from '../table.ts';
import { DYNAMIC_PREFIX, type SourceSettings } from './settings.ts';
import { Slru } from './slru.ts';

/** What a certificate takes in the table beside its texts, bytes. */
const RECORD_SIZE = 100;
/** What a name costs, beside the set: its record here and in the table, bytes. */
const NAME_SIZE = 300;
/** How many entries make room for one, at most, where the table itself is full: it adds only with some to spare. */
const MOST_EVICTED = 512;

/** Entries dropped at a time, which is some 2 ms. */
const SLICE = 50;

type Lifetimes = Pick<SourceSettings, 'id' | 'cacheFloor' | 'renewBefore'>;

export interface Entry {
  readonly id: string;
  readonly store: string;
  /** The name that was asked for. */
  readonly asked: string;
  /** All that lead here. */
  readonly names: ReadonlySet<string>;
  readonly tag: string | undefined;
  readonly notAfter: number;
  /** From then on it is asked for again, and served meanwhile. */
  refetchAt: number;
}

export class DynamicCache {
  readonly #table: CertificateTable;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #order: Slru;
  /** Counts what was kept and dropped. */
  changes = 0;

  constructor(table: CertificateTable, clock: Clock, maxBytes: number) {
    this.#table = table;
    this.#clock = clock;
    this.#order = new Slru(maxBytes);
  }

  get count(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#order.bytes;
  }

  get maxBytes(): number {
    return this.#order.max;
  }

  set maxBytes(bytes: number) {
    this.#order.max = bytes;
    this.#evict();
  }

  /** From the one that would go first. */
  *entries(): Generator<Entry> {
    for (const id of this.#order.ids()) {
      const entry = this.#entries.get(id);
      if (entry) yield entry;
    }
  }

  /** By the name itself or the wildcard over it; never one that has expired. */
  find(store: Lifetimes, name: string): Entry | undefined {
    for (const candidate of [name, wildcardOf(name)]) {
      const id = candidate === undefined ? undefined : this.#table.find(store.id, candidate);
      const entry = id === undefined ? undefined : (this.#entries.get(id) ?? this.adopt(store, id));
      if (!entry) continue;
      if (entry.notAfter > this.#clock.now()) return entry;
      this.drop(entry);
    }
    return undefined;
  }

  byId(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  use({ id }: Entry): void {
    this.#order.use(id);
  }

  /**
   * Keeps what was found for `asked`, in the place of what was there. Names that lead to an entry of their own are
   * left to it. Gives the entry, undefined where there is no room.
   */
  keep(store: Lifetimes, asked: string, found: FoundCertificates): Entry | undefined {
    const id = idOf(store.id, asked);
    const names = new Set([asked]);
    for (const name of found.names) if (this.#isFree(store.id, name, id)) names.add(name);
    if (!this.#write(id, found, store.id, names)) return undefined;
    const before = this.#leadingTo(id, store.id, this.#entries.get(id)?.names ?? []);
    const lost = before.filter((name) => !names.has(name));
    if (lost.length > 0) this.#table.unpoint(store.id, lost);
    const { set, tag } = found;
    const entry = this.#enter(store, { id, asked, names, tag, notAfter: firstEnd(set) });
    this.#order.set(id, sizeOf(set, names.size));
    this.#evict(id);
    return entry;
  }

  /** The source has said that an entry still holds. */
  renew(entry: Entry, store: Lifetimes): void {
    entry.refetchAt = this.#refetchAt(store, entry.notAfter);
  }

  /** False where the table cannot even remove. */
  drop(entry: Entry): boolean {
    return this.#forget(entry.store, [entry]);
  }

  /**
   * Drops all that is there now, of all stores or of those that `isGone` says, a slice at each step: what is kept
   * between two steps stays. Gives at each what drop() does.
   */
  *dropping(isGone: (store: string) => boolean = () => true): Generator<boolean> {
    for (const [store, entries] of Map.groupBy(this.#entries.values(), (entry) => entry.store)) {
      if (!isGone(store)) continue;
      for (let start = 0; start < entries.length; start += SLICE) {
        const slice = entries.slice(start, start + SLICE);
        yield this.#forget(
          store,
          slice.filter((entry) => this.#entries.get(entry.id) === entry),
        );
      }
    }
  }

  #forget(store: string, entries: readonly Entry[]): boolean {
    const done = this.#table.forget(store, entries) === 'removed';
    for (const { id } of entries) {
      if (!done && this.#table.version(id) !== undefined) continue;
      this.changes++;
      this.#entries.delete(id);
      this.#order.delete(id);
    }
    return done;
  }

  /** Takes in what an engine before this one left in the table; what can't be used is removed. */
  adopt(store: Lifetimes, id: string): Entry | undefined {
    const asked = id.slice(idOf(store.id, '').length);
    const set = this.#table.get(id);
    if (!set || id !== idOf(store.id, asked)) return undefined;
    const [leaf] = parseChain(set.certificates[0]?.chainPem ?? '');
    const candidates = new Set([asked, ...(leaf ? dnsNames(leaf) : [])]);
    const names = new Set(this.#leadingTo(id, store.id, candidates));
    const notAfter = firstEnd(set);
    const entry = this.#enter(store, { id, asked, names, tag: undefined, notAfter });
    this.#order.set(id, sizeOf(set, names.size));
    return entry;
  }

  #enter(store: Lifetimes, entry: Omit<Entry, 'refetchAt' | 'store'>): Entry {
    const made = { ...entry, store: store.id, refetchAt: this.#refetchAt(store, entry.notAfter) };
    this.changes++;
    this.#entries.set(made.id, made);
    return made;
  }

  /** TTL = max((notAfter - now) - renew days, floor). */
  #refetchAt({ cacheFloor, renewBefore }: Lifetimes, notAfter: number): number {
    const now = this.#clock.now();
    return now + Math.max(notAfter - now - renewBefore, cacheFloor);
  }

  #leadingTo(id: string, store: string, names: Iterable<string>): string[] {
    return [...names].filter((name) => this.#table.find(store, name) === id);
  }

  #isFree(store: string, name: string, id: string): boolean {
    const holder = this.#table.find(store, name);
    if (holder === undefined || holder === id) return true;
    const entry = this.#entries.get(holder);
    return entry?.asked !== name;
  }

  #write(id: string, { set }: FoundCertificates, store: string, names: ReadonlySet<string>): boolean {
    for (let tries = 0; tries <= MOST_EVICTED; tries++) {
      if (this.#table.put(id, set) !== 'full' && this.#table.point(store, [...names], id) === 'stored') {
        return true;
      }
      if (!this.#evictOldest(id)) break;
    }
    // A set that no name could be led to is of no use.
    if (!this.#entries.has(id)) this.#table.remove(id);
    return false;
  }

  #evict(except?: string): void {
    while (this.#order.full && this.#evictOldest(except));
  }

  #evictOldest(except?: string): boolean {
    const id = this.#order.oldest;
    const entry = id === undefined || id === except ? undefined : this.#entries.get(id);
    return entry !== undefined && this.drop(entry);
  }
}

function idOf(store: string, asked: string): string {
  return `${DYNAMIC_PREFIX}${store}:${asked}`;
}

/** What an entry takes of the cache's bytes, about: values beyond half a page of the table have pages of their own. */
function sizeOf({ certificates }: FoundCertificates['set'], names: number): number {
  const text = certificates.reduce((sum, { chainPem, keyPem }) => sum + chainPem.length + keyPem.length, 0);
  const bytes = certificates.length * RECORD_SIZE + text * 0.75;
  return Math.ceil(bytes > 2048 ? Math.ceil(bytes / 4096) * 4096 : bytes) + names * NAME_SIZE;
}

function firstEnd({ certificates }: FoundCertificates['set']): number {
  return Math.min(...certificates.map(({ notAfter }) => notAfter));
}
