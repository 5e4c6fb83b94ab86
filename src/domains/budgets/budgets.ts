/**
 * Rate limits as budgets: what a CA would refuse is not asked for. Each order takes a token from each bucket that
 * counts for it, on disk before the CA hears of it; where one is empty the renewal waits its turn, the more urgent
 * first. What a CA says about its limits (429, 503, Retry-After) holds just those that it is about.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { Turns } from '../../base/turns.ts';
import type { Leases } from '../../store/leases.ts';
import type { Store } from '../../store/store.ts';
import { bookName, BudgetBook, type Hold } from './budget-book.ts';
import { accountKey, type BudgetRequest, caKey, limitsOf, type Need, needsOf } from './budget-limits.ts';
import { comeBackAt, failedNames, scopeOf } from './budget-scope.ts';
import { availableAt, givenBack, taken } from '../../base/buckets.ts';
import { PostponedError, type Problem } from '../issuer.ts';
import type { LimitKind, RateLimits } from '../settings.ts';

export interface BudgetOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Other servers use the store, too, and the same budgets (MDStoreLocks). */
  readonly leases?: Leases | undefined;
}

interface Waiting {
  readonly key: string;
  readonly priority: number;
  /** Who came first has the lower number. */
  readonly order: number;
}

/** What an order takes at once; a failed validation is counted when it has failed. */
const TAKEN: readonly LimitKind[] = ['new-orders', 'certificates-per-domain', 'certificates-per-set'];

/** What the CA counts only if a certificate comes of it. */
const ISSUED: readonly LimitKind[] = ['certificates-per-domain', 'certificates-per-set'];

/** ms that other servers are waited for: who takes longer is dead. */
const PATIENCE = 5000;

type Work<Result> = (book: BudgetBook, now: number) => Promise<Result>;

export class Budgets {
  readonly #options: BudgetOptions;
  readonly #books = new Map<string, BudgetBook>();
  readonly #turns = new Turns();
  /** By managed domain: what it waits for. */
  readonly #waiting = new Map<string, Waiting>();
  #came = 0;
  #configured: Readonly<Record<string, RateLimits>> = {};

  constructor(options: BudgetOptions) {
    this.#options = options;
  }

  /** MDRateLimit, by CA. */
  configure(limits: Readonly<Record<string, RateLimits>>): void {
    this.#configured = limits;
  }

  /** What is to be waited for before the CA is contacted at all, if anything. Rejects with StoreError. */
  async held(request: BudgetRequest): Promise<Hold | undefined> {
    const keys = [caKey(request.authority), accountKey(request), ...scopesOf(request)];
    const find: Work<Hold[]> = async (book, now) => keys.flatMap((key) => book.held(key, now) ?? []);
    const holds = await this.#look(request, find);
    return holds.sort((a, b) => b.until - a.until)[0];
  }

  /**
   * Takes what one order costs, durably. Its turn comes after those that wait for the same and are more urgent, or
   * as urgent and came earlier.
   * @throws PostponedError, with nothing taken; StoreError
   */
  async take(request: BudgetRequest): Promise<void> {
    const needs = this.#needsOf(request);
    if (needs.length === 0) this.forget(request.name);
    else await this.#change(request, (book, now) => this.#takeFrom(book, request, needs, now));
  }

  async #takeFrom(book: BudgetBook, request: BudgetRequest, needs: readonly Need[], now: number) {
    const before = this.forget(request.name);
    const orderFor = (key: string) => (before?.key === key ? before.order : (this.#came += 1));
    const turns = needs.map((need) => {
      const order = orderFor(need.key);
      const ahead = this.#ahead(need.key, request.priority, order);
      const tokens = 1 + need.reserve + ahead;
      return { ...need, ahead, order, at: availableAt(book.bucket(need.key, now), need.limit, now, tokens) };
    });
    const last = turns.sort((a, b) => b.at - a.at)[0];
    if (!last) return;
    if (last.at > now) {
      const { key, order, ahead, what, at } = last;
      this.#waiting.set(request.name, { key, order, priority: request.priority });
      const others = ahead === 0 ? '' : `; ${ahead} more urgent or earlier ones come first`;
      throw new PostponedError(at, `The budget of ${what} is used up${others}`);
    }
    for (const { key, limit } of needs.filter(({ kind }) => TAKEN.includes(kind))) {
      book.setBucket(key, taken(book.bucket(key, now), limit, now), limit);
    }
    await book.save(now);
  }

  /** Gives back what only counts with a certificate, of `orders` orders that came to nothing. */
  async giveBack(request: BudgetRequest, orders: number): Promise<void> {
    const needs = this.#needsOf(request).filter(({ kind }) => ISSUED.includes(kind));
    if (needs.length === 0) return;
    await this.#change(request, (book, now) => {
      for (const { key, limit } of needs) {
        book.setBucket(key, givenBack(book.bucket(key, now), limit, now, orders), limit);
      }
      return book.save(now);
    });
  }

  /** Remembers what a failure says about limits, and which names it counts against. */
  async learn(request: BudgetRequest, problem: Problem): Promise<void> {
    await this.#change(request, (book, now) => this.#learnFrom(book, request, problem, now));
  }

  async #learnFrom(book: BudgetBook, request: BudgetRequest, problem: Problem, now: number): Promise<void> {
    const until = comeBackAt(problem, now);
    if (until !== undefined) {
      for (const key of scopeOf(request, problem)) book.hold(key, { until, reason: problem.detail }, now);
      return book.save(now);
    }
    const failed = new Set(failedNames(problem));
    const counted = this.#needsOf(request).filter(
      ({ kind, key }) => kind === 'failures-per-name' && [...failed].some((name) => key.endsWith(` ${name}`)),
    );
    for (const { key, limit } of counted) {
      book.setBucket(key, taken(book.bucket(key, now), limit, now), limit);
    }
    if (counted.length > 0) await book.save(now);
  }

  /** It waits no more: it has its turn, or there is no such domain any more. */
  forget(name: string): Waiting | undefined {
    const waiting = this.#waiting.get(name);
    this.#waiting.delete(name);
    return waiting;
  }

  #needsOf(request: BudgetRequest): Need[] {
    return needsOf(request, limitsOf(request.authority, this.#configured[request.authority]));
  }

  /** How many of those who wait for a bucket come before one of this priority and order. */
  #ahead(key: string, priority: number, order: number): number {
    let ahead = 0;
    for (const other of this.#waiting.values()) {
      if (other.key !== key) continue;
      if (other.priority > priority || (other.priority === priority && other.order < order)) ahead += 1;
    }
    return ahead;
  }

  /** Of several servers by one at a time, on what the others have left. */
  async #change<Result>(
    { authority }: Pick<BudgetRequest, 'authority'>,
    work: Work<Result>,
  ): Promise<Result> {
    const { leases } = this.#options;
    if (!leases) return this.#look({ authority }, work);
    const name = bookName(authority);
    return this.#turns.take(name, async () => {
      await using _lease = await leases.takeWithin(`%budgets-${name}`, PATIENCE);
      return await this.#read(name, work);
    });
  }

  async #look<Result>({ authority }: Pick<BudgetRequest, 'authority'>, work: Work<Result>): Promise<Result> {
    const name = bookName(authority);
    // In turn: what is read again must not undo what is not saved yet.
    if (this.#options.leases) return this.#turns.take(name, () => this.#read(name, work));
    return this.#read(name, work);
  }

  async #read<Result>(name: string, work: Work<Result>): Promise<Result> {
    const { clock, leases } = this.#options;
    const book = this.#book(name);
    await (leases ? book.reload(clock.now()) : book.load(clock.now()));
    return work(book, clock.now());
  }

  #book(name: string): BudgetBook {
    let book = this.#books.get(name);
    if (!book) {
      book = new BudgetBook(this.#options.store, name, this.#options.logger);
      this.#books.set(name, book);
    }
    return book;
  }
}

/** Where a CA may have asked to wait for this request alone, limits or not. */
function scopesOf(request: BudgetRequest): string[] {
  const any = { count: 1, period: 1 };
  const all = {
    'certificates-per-domain': any,
    'certificates-per-set': any,
    'failures-per-name': any,
  };
  return needsOf(request, all).map(({ key }) => key);
}
