/**
 * What is remembered of a CA's limits, by bucket: tokens used, and until when the CA said to wait. It is kept in
 * the store (`limits/HOST/budgets.json`, which mod_md doesn't look at), so that neither a restart nor a kill
 * forgets what was spent.
 */
import * as v from 'valibot';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Store } from '../../store/store.ts';
import { type Bucket, isFull } from '../../base/buckets.ts';
import { isDamage } from '../stored/held.ts';
import { LONGEST_WAIT } from '../renewal/job.ts';

const FILE = 'budgets.json';

/** A wait that the CA has asked for. */
export interface Hold {
  /** ms since the epoch. */
  readonly until: number;
  /** For people: the CA's words where there are such. */
  readonly reason: string;
}

const time = v.pipe(v.number(), v.finite());
const schema = v.object({
  buckets: v.record(
    v.string(),
    v.object({
      used: v.pipe(v.number(), v.minValue(0), v.maxValue(1e6)),
      at: time,
      /** How long it takes to be full again, by the limit of the time. */
      full: time,
    }),
  ),
  holds: v.record(v.string(), v.object({ until: time, reason: v.string() })),
});

export class BudgetBook {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #name: string;
  readonly #buckets = new Map<string, Bucket & { readonly full: number }>();
  readonly #holds = new Map<string, Hold>();
  #loading: Promise<void> | undefined;
  #saving: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** `name`: of its folder in the group `limits`; see bookName(). */
  constructor(store: Store, name: string, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
    this.#name = name;
  }

  /** To be waited for before anything else. What is damaged there counts as nothing. */
  async load(now: number): Promise<void> {
    const loading = (this.#loading ??= this.#load(now));
    try {
      await loading;
    } catch (error) {
      if (this.#loading === loading) this.#loading = undefined;
      throw error;
    }
  }

  /** As other servers on the store have left it. Nothing may be unsaved. */
  async reload(now: number): Promise<void> {
    this.#buckets.clear();
    this.#holds.clear();
    await this.#load(now);
  }

  /** One of a later time is of a clock that was put back: it would fill only once that time has come again. */
  bucket(key: string, now: number): Bucket | undefined {
    const bucket = this.#buckets.get(key);
    if (!bucket || bucket.at <= now) return bucket;
    const present = { ...bucket, at: now, full: now + bucket.full - bucket.at };
    this.#buckets.set(key, present);
    return present;
  }

  setBucket(key: string, bucket: Bucket, limit: { readonly count: number; readonly period: number }): void {
    if (isFull(bucket, limit, bucket.at)) this.#buckets.delete(key);
    else this.#buckets.set(key, { ...bucket, full: bucket.at + (bucket.used * limit.period) / limit.count });
  }

  /** A later wait stays. */
  hold(key: string, hold: Hold, now: number): void {
    const before = this.held(key, now);
    if (isBelievable(hold, now) && (!before || before.until < hold.until)) this.#holds.set(key, hold);
  }

  held(key: string, now: number): Hold | undefined {
    const hold = this.#holds.get(key);
    if (!hold || hold.until <= now) return undefined;
    if (isBelievable(hold, now)) return hold;
    this.#holds.delete(key);
    return undefined;
  }

  /** Durable when fulfilled. Those who save at the same time share one write. */
  save(now: number): Promise<void> {
    if (!this.#saving) return this.#write(now);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#next ??= promise;
    if (this.#next !== promise) return this.#next;
    const write = () => {
      this.#next = undefined;
      this.#write(now).then(resolve, reject);
    };
    this.#saving.then(write, write);
    return promise;
  }

  #write(now: number): Promise<void> {
    const saving = this.#store.save('limits', this.#name, FILE, this.#encode(now)).finally(() => {
      if (this.#saving === saving) this.#saving = undefined;
    });
    this.#saving = saving;
    return saving;
  }

  async #load(now: number): Promise<void> {
    try {
      const text = await this.#store.load('limits', this.#name, FILE);
      if (!text) return;
      const { buckets, holds } = v.parse(schema, JSON.parse(text.toString()));
      for (const [key, bucket] of Object.entries(buckets)) {
        if (bucket.full > now) this.#buckets.set(key, bucket);
      }
      for (const [key, hold] of Object.entries(holds)) this.hold(key, hold, now);
    } catch (error) {
      const garbled = error instanceof SyntaxError || v.isValiError(error) || isDamage(error);
      if (!garbled) throw error;
      this.#logger.warn(`limits/${this.#name}/${FILE} is damaged and is begun anew: ${explain(error)}`);
    }
  }

  #encode(now: number): string {
    for (const [key, { full }] of this.#buckets) if (full <= now) this.#buckets.delete(key);
    for (const [key, { until }] of this.#holds) if (until <= now) this.#holds.delete(key);
    return `${JSON.stringify({ buckets: Object.fromEntries(this.#buckets), holds: Object.fromEntries(this.#holds) }, null, 1)}\n`;
  }
}

/** A time beyond any that is asked for is of a clock that went wrong: it must not count once it is near, either. */
function isBelievable({ until }: Hold, now: number): boolean {
  return until - now <= LONGEST_WAIT;
}

/** CAs of one host share a file: their buckets have their URLs in their names. */
export function bookName(authority: string): string {
  return (URL.parse(authority)?.host ?? authority).replace(/[^a-z\d.-]/gi, '_');
}
