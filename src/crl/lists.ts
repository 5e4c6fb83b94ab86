/**
 * Looks whether certificates are on the revocation lists that they name (cRLDistributionPoints). Each list is
 * fetched once however many certificates name it, rarely, and kept in the store; nothing waits for it.
 *
 *     await using lists = new RevocationLists({ store, onRevoked: ({ owner, sha256 }) => … });
 *     lists.watch('example.org', [chain]);
 *     lists.start();
 */
import { type Clock, systemClock } from '../base/clock.ts';
import { explain } from '../base/errors.ts';
import { type Logger, type Loggers, silent } from '../base/log.ts';
import { Schedule } from '../base/schedule.ts';
import type { Certificate } from '../pki/certificate.ts';
import { type CrlAnswer, crlSerial, crlUrls, readCrl } from '../pki/crl.ts';
import type { Store } from '../store/store.ts';
import { loadList, removeOldLists, saveList } from './kept.ts';
import { List, listId, type ListedCertificate } from './list.ts';
import { CrlTransport, CrlTransportError } from './transport.ts';

const DAY = 24 * 3_600_000;

/** Lists at once: the largest take some memory. */
const PARALLEL = 2;

/** First looks are spread over this time for each list, ms, but over no more than MAX_SPREAD. */
const SPREAD = 100;
const MAX_SPREAD = 10 * 60_000;

/** What nobody has needed for this long is removed from the store, ms. */
const KEEP = 30 * DAY;

export interface RevocationListsOptions {
  readonly store: Store;
  /** Told once for each start. */
  readonly onRevoked: (found: ListedCertificate & { readonly url: string }) => void;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Default: silent. */
  readonly loggers?: Loggers | undefined;
  /** From 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined;
}

/** A certificate and what follows it in its chain; the issuer has to be there. */
export type Chain = readonly Certificate[];

export class RevocationLists implements AsyncDisposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #random: () => number;
  readonly #onRevoked: RevocationListsOptions['onRevoked'];
  readonly #transport: CrlTransport;
  readonly #schedule: Schedule;
  readonly #lists = new Map<string, List>();
  /** SHA-256 of an owner's certificates, and the list of each. */
  readonly #owners = new Map<string, ReadonlyMap<string, string | undefined>>();
  readonly #stop = new AbortController();
  #main: Promise<void> | undefined;

  constructor(options: RevocationListsOptions) {
    const { store, clock = systemClock, loggers = silent, random = Math.random } = options;
    this.#store = store;
    this.#clock = clock;
    this.#logger = loggers('md');
    this.#random = random;
    this.#onRevoked = options.onRevoked;
    this.#transport = new CrlTransport(clock);
    this.#schedule = new Schedule({
      clock,
      parallel: PARALLEL,
      work: (id, signal) => this.#work(id, signal),
      lane: () => ({ key: '', priority: 0 }),
    });
  }

  /** Begins to work. Before this nobody is asked. */
  start(): void {
    if (this.#main || this.#stop.signal.aborted) return;
    this.#main = this.#schedule.run(this.#stop.signal).catch((error: unknown) => {
      this.#logger.log('crit', `looking at revocation lists has failed: ${explain(error)}`);
    });
    removeOldLists(this.#store, this.#clock.now() - KEEP).catch((error: unknown) => {
      this.#logger.warn(`old revocation lists could not be removed: ${explain(error)}`);
    });
  }

  /** Makes `chains` all that an owner has, in place of those it had. Those that name no list are left alone. */
  watch(owner: string, chains: readonly Chain[]): void {
    const before = this.#owners.get(owner);
    const after = new Map<string, string | undefined>();
    for (const chain of chains) {
      const sha256 = chain[0]?.sha256;
      if (sha256 === undefined) continue;
      after.set(sha256, before?.has(sha256) ? before.get(sha256) : this.#admit(owner, chain));
    }
    for (const [sha256, id] of before ?? []) {
      if (id !== undefined && !after.has(sha256)) this.#leave(id, sha256);
    }
    if (after.size > 0) this.#owners.set(owner, after);
    else this.#owners.delete(owner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#main;
    await this.#transport[Symbol.asyncDispose]();
  }

  /** Gives the id of the list that the certificate is looked for in. */
  #admit(owner: string, [leaf, ...others]: Chain): string | undefined {
    const issuer = others.find(({ x509 }) => leaf?.x509.checkIssued(x509));
    const url = leaf && crlUrls(leaf)[0];
    if (!leaf || !issuer || url === undefined) return undefined;
    const id = listId(url, issuer);
    const list = this.#lists.get(id) ?? new List(url, issuer);
    this.#lists.set(id, list);
    list.certificates.set(leaf.sha256, { owner, sha256: leaf.sha256, serial: crlSerial(leaf) });
    list.unsearched = true;
    const spread = Math.min(this.#lists.size * SPREAD, MAX_SPREAD) * this.#random();
    const at = this.#clock.now() + spread;
    this.#schedule.set(id, Math.min(at, this.#schedule.due(id) ?? Infinity));
    return id;
  }

  #leave(id: string, sha256: string): void {
    const list = this.#lists.get(id);
    list?.certificates.delete(sha256);
    list?.revoked.delete(sha256);
    if (!list || list.certificates.size > 0) return;
    this.#schedule.remove(id);
    this.#lists.delete(id);
    this.#store.purge('crl', id).catch((error: unknown) => this.#sayUnkept(list, error));
  }

  async #work(id: string, signal: AbortSignal): Promise<number | undefined> {
    const list = this.#lists.get(id);
    if (!list) return undefined;
    if (list.unsearched) await this.#searchKept(list);
    if (this.#clock.now() < list.next || signal.aborted) return list.next;
    try {
      await this.#fetch(list, signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      const retryAfter = error instanceof CrlTransportError ? error.retryAfter : undefined;
      const next = list.failed(this.#clock.now(), retryAfter, this.#random());
      const when = new Date(next).toUTCString();
      this.#logger.warn(`a revocation list is not used, next try ${when}: ${explain(error)}`);
    }
    return list.next;
  }

  /** What the store has serves until it is time for the next; a list that it has no room for is fetched anew. */
  async #searchKept(list: List): Promise<void> {
    list.unsearched = false;
    list.fetched = undefined;
    try {
      const kept = await loadList(this.#store, list.id);
      if (!kept) return;
      list.next = Math.min(kept.fetch.next, this.#clock.now() + DAY);
      if (!kept.der) return;
      await this.#search(list, kept.der);
      list.fetched = kept.fetch;
    } catch (error) {
      this.#logger.warn(`the kept revocation list ${list.url} is not used: ${explain(error)}`);
    }
  }

  async #fetch(list: List, signal: AbortSignal): Promise<void> {
    const { url, fetched } = list;
    const found = await this.#transport.fetch(url, fetched ?? {}, signal);
    const answer = found && (await this.#search(list, found.body));
    const now = this.#clock.now();
    const { etag, lastModified } = found ?? fetched ?? {};
    const next = list.seen(now, answer?.nextUpdate, this.#random());
    const record = { url, at: now, next, etag, lastModified };
    list.fetched = record;
    // Left while it was fetched: nobody would ever remove it.
    if (!this.#lists.has(list.id)) return;
    await saveList(this.#store, list.id, record, found?.body).catch((error: unknown) =>
      this.#sayUnkept(list, error),
    );
  }

  async #search(list: List, der: Buffer): Promise<CrlAnswer> {
    const wanted = [...list.certificates.values()];
    const { url, issuer } = list;
    const serials = new Set(wanted.map(({ serial }) => serial));
    const answer = await readCrl(der, { url, issuer, serials });
    for (const certificate of wanted.filter(({ serial }) => answer.revoked.has(serial))) {
      const { owner, serial, sha256 } = certificate;
      if (list.revoked.has(sha256)) continue;
      list.revoked.add(sha256);
      this.#logger.error(
        `md[${owner}]: The certificate has been revoked (serial ${serial}, listed in ${url})`,
      );
      this.#onRevoked({ ...certificate, url });
    }
    return answer;
  }

  /** It is fetched anew at the next start, then. */
  #sayUnkept({ url }: List, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#logger.warn(`the revocation list ${url} could not be kept: ${explain(error)}`);
  }
}
