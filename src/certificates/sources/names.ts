/**
 * Certificates by name as a worker finds them: in the table, else by asking the engine. Each name is asked for
 * once however many handshakes wait, bounded in number, in time and for each client; what there is not is
 * remembered until something is flushed.
 */
import { LRUCache } from 'lru-cache';
import { networkOf } from '../../base/addresses.ts';
import type { Clock } from '../../base/clock.ts';
import type { Sought } from './dynamic.ts';
import { FLUSHES } from './flushes.ts';
import { type SourceSettings, waitOf } from './settings.ts';
import { wildcardOf } from '../source.ts';
import type { CertificateTableReader } from '../table.ts';

/** A name that a client at an address calls for, and the id of the source that may have it. */
export interface WantedName {
  readonly store: string;
  readonly name: string;
  readonly client: string;
}

export interface NamesParts {
  readonly table: () => CertificateTableReader;
  readonly seek: (wanted: WantedName) => Promise<Sought>;
  /** Tells which sets were served. */
  readonly used: (ids: readonly string[]) => Promise<void>;
  readonly clock: Clock;
}

/** Questions under way at a time; beyond that the fallback is served at once. */
const MOST_ASKED = 500;
const MOST_REMEMBERED = 10_000;
/** A set that the table has no room for is kept that long (ms), and counts as many names in what is remembered. */
const SET_LIFE = 10_000;
const SET_WEIGHT = 50;
/** How much longer (ms) than the source's own time a handshake waits. */
const MARGIN = 1000;
/** Names without a certificate that one client may have asked for: at once, and more each second. */
const UNKNOWN_BURST = 200;
const UNKNOWN_RATE = 20;
const MOST_CLIENTS = 10_000;
/** How often (ms) what was used is told. */
const REPORT_INTERVAL = 5000;
const MOST_REPORTED = 10_000;

interface Memory {
  readonly sought: Sought;
  readonly since: number;
  readonly life: number;
  /** Value of FLUSHES when it was asked for. */
  readonly flushes: string | undefined;
}

interface Budget {
  left: number;
  since: number;
}

export class Names implements Disposable {
  readonly #parts: NamesParts;
  readonly #underWay = new Map<string, Promise<Sought>>();
  readonly #memory = new LRUCache<string, Memory>({
    maxSize: MOST_REMEMBERED,
    sizeCalculation: ({ sought }) => (sought.kind === 'set' ? SET_WEIGHT : 1),
  });
  readonly #clients = new LRUCache<string, Budget>({ max: MOST_CLIENTS });
  readonly #end = new AbortController();
  #used = new Set<string>();

  constructor(parts: NamesParts) {
    this.#parts = parts;
  }

  /** Id of the set in the table that a name leads to. */
  find(store: string, name: string): string | undefined {
    const table = this.#parts.table();
    const wildcard = wildcardOf(name);
    return table.find(store, name) ?? (wildcard === undefined ? undefined : table.find(store, wildcard));
  }

  /** To be called when a set that find() gave has been served. */
  note(id: string): void {
    if (this.#used.size === 0) void this.#report();
    if (this.#used.size < MOST_REPORTED) this.#used.add(id);
  }

  /** What the engine has or can get. Never rejects. `client`: who wants to know, an IP address. */
  ask(store: SourceSettings, name: string, client: string): Promise<Sought> {
    const key = `${store.id} ${name}`;
    const waiting = this.#underWay.get(key);
    if (waiting) return waiting;
    const known = this.#remembered(key);
    if (known) return Promise.resolve(known);
    const budget = this.#budget(client);
    if (this.#underWay.size >= MOST_ASKED || budget.left < 1) return Promise.resolve(REFUSED);
    const asked = this.#seek(store, { name, client }, key, budget).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  /** What was served is told at once. */
  [Symbol.dispose](): void {
    this.#end.abort();
  }

  async #seek(
    store: SourceSettings,
    who: Omit<WantedName, 'store'>,
    key: string,
    budget: Budget,
  ): Promise<Sought> {
    const flushes = this.#flushes();
    // Taken beforehand, or thousands that are under way would not count; given back to who knew a name.
    budget.left--;
    const sought = await this.#inTime(store, who);
    if (sought.kind !== 'none') budget.left++;
    if (sought.kind !== 'stored') {
      const life = sought.kind === 'set' ? SET_LIFE : sought.life;
      this.#memory.set(key, { sought, since: this.#parts.clock.now(), life, flushes });
    }
    return sought;
  }

  async #inTime(store: SourceSettings, who: Omit<WantedName, 'store'>): Promise<Sought> {
    const done = new AbortController();
    const { clock, seek } = this.#parts;
    const late = clock.sleep(waitOf(store) + MARGIN, { signal: done.signal });
    try {
      return await Promise.race([seek({ store: store.id, ...who }), late.then(() => REFUSED)]);
    } catch {
      return REFUSED;
    } finally {
      // Without a reason of its own, each abort would make an error with a stack.
      done.abort(REFUSED);
      late.catch(() => {});
    }
  }

  #remembered(key: string): Sought | undefined {
    const memory = this.#memory.get(key);
    if (!memory || memory.flushes !== this.#flushes()) return undefined;
    const age = this.#parts.clock.now() - memory.since;
    // A clock that was put back makes nothing last longer.
    return age >= 0 && age < memory.life ? memory.sought : undefined;
  }

  #flushes(): string | undefined {
    return this.#parts.table().find(FLUSHES.scope, FLUSHES.name);
  }

  #budget(client: string): Budget {
    const key = networkOf(client);
    const now = this.#parts.clock.now();
    const budget = this.#clients.get(key) ?? { left: UNKNOWN_BURST, since: now };
    const seconds = Math.max(0, now - budget.since) / 1000;
    budget.left = Math.min(UNKNOWN_BURST, budget.left + seconds * UNKNOWN_RATE);
    budget.since = now;
    this.#clients.set(key, budget);
    return budget;
  }

  async #report(): Promise<void> {
    await this.#parts.clock.sleep(REPORT_INTERVAL, { signal: this.#end.signal }).catch(() => {});
    const used = [...this.#used];
    this.#used = new Set();
    // An engine that is away learns it the next time.
    await this.#parts.used(used).catch(() => {});
  }
}

const REFUSED = { kind: 'failed', life: 0 } as const;
