/**
 * The stapling engine: has an OCSP response at the ready for each certificate it is told of, and has a new one before
 * the old one is over. It owns the schedule, the connections to responders, and what the store keeps of responses; who
 * shows the certificates is told of changes and takes the staple from here.
 *
 *     await using engine = new OcspEngine({ store, clock, onChange: (owner) => …, onRevoked: (revoked) => … });
 *     const [staple] = await engine.watch('md:example.org', [{ chainPem, domain: 'example.org' }]);
 *     engine.start();
 */
import { type Clock, systemClock } from '../base/clock.ts';
import { explain, LatchkeyError } from '../base/errors.ts';
import { publish } from '../base/events.ts';
import { type Logger, type Loggers, silent } from '../base/log.ts';
import { Schedule } from '../base/schedule.ts';
import { Certificate } from '../pki/certificate.ts';
import { SKEW } from '../pki/ocsp-response.ts';
import type { JobDocument } from '../store/documents.ts';
import type { Span } from '../store/formats.ts';
import type { Store } from '../store/store.ts';
import { type Answered, Asker, isResponders } from './asking.ts';
import { Entry } from './entry.ts';
import { ResponderError } from './errors.ts';
import { JobLog, type Run } from './job-log.ts';
import { ResponseKeeper } from './keeping.ts';
import { backoff, Responder } from './responder.ts';
import { OTHERS } from './response-file.ts';
import { stapleStatus, type StaplingStatus, warningOf } from './status.ts';
import { type CertificateToStaple, idOf, newIssuers, type Subject, subjectOf } from './subject.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** What may change while it runs. */
export interface OcspPace {
  /** MDStaplingRenewWindow; default 33 %. */
  readonly renewWindow: Span;
  /** MDStaplingKeepResponse; default 7 days. */
  readonly keepResponse: Span;
  /** ms before the first retry, doubled with each failure up to an hour; default 30 s (MDRetryDelay). */
  readonly retryDelay: number;
}

export const defaultPace: OcspPace = {
  renewWindow: { percent: 33 },
  keepResponse: { ms: 7 * DAY },
  retryDelay: 30_000,
};

export interface OcspEngineOptions extends Partial<OcspPace> {
  readonly store: Store;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Default: silent. */
  readonly loggers?: Loggers | undefined;
  /** From 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined;
  /** What is to be stapled for an owner has changed: take it by staple(). */
  readonly onChange: (owner: string) => void;
  /** Told again every ten seconds as long as the certificate is in use: who is to replace it may not be ready yet. */
  readonly onRevoked: (revoked: RevokedCertificate) => void;
}

export interface RevokedCertificate {
  /** The managed domain; `other` for none. */
  readonly domain: string;
  readonly serial: string;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly sha256: string;
}

/** Requests to one responder at a time. */
const PARALLEL = 4;

/** ms after which it is told again that a certificate is revoked. */
const REMIND = 10_000;

/** While an ill responder is tried with one request the others wait, ms, and look again. */
const TRIAL = 5000;

/** How long a response counts that names no end, ms: there may be a newer one at any time. */
const WITHOUT_END = DAY / 2;

export class OcspEngine implements AsyncDisposable {
  readonly #keeper: ResponseKeeper;
  readonly #jobs: JobLog;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #random: () => number;
  readonly #onChange: OcspEngineOptions['onChange'];
  readonly #onRevoked: OcspEngineOptions['onRevoked'];
  readonly #entries = new Map<string, Entry>();
  readonly #owners = new Map<string, readonly (string | undefined)[]>();
  readonly #responders = new Map<string, Responder>();
  readonly #issuers = newIssuers();
  readonly #schedule: Schedule;
  readonly #asker: Asker;
  readonly #stop = new AbortController();
  #pace: OcspPace;
  #main: Promise<void> | undefined;

  constructor(options: OcspEngineOptions) {
    const { store, clock = systemClock, loggers = silent, random = Math.random } = options;
    this.#clock = clock;
    this.#logger = loggers('md');
    this.#keeper = new ResponseKeeper(store, this.#logger);
    this.#jobs = new JobLog(store, this.#logger);
    this.#random = random;
    this.#onChange = options.onChange;
    this.#onRevoked = options.onRevoked;
    this.#pace = { ...defaultPace, ...options };
    this.#asker = new Asker(clock);
    this.#schedule = new Schedule({
      clock,
      parallel: PARALLEL,
      work: (id, signal) => this.#work(id, signal),
      lane: (id) => ({ key: this.#entries.get(id)?.subject.inquiry?.url ?? '', priority: 0 }),
    });
  }

  /** Begins to work. Before this no responder is asked. */
  start(): void {
    if (this.#main || this.#stop.signal.aborted) return;
    this.#main = this.#schedule.run(this.#stop.signal).catch((error: unknown) => {
      this.#logger.log('crit', `OCSP stapling has failed: ${explain(error)}`);
    });
    void this.#keeper.removeOld(this.#pace.keepResponse, this.#clock.now());
  }

  /** For a new configuration. */
  reconfigure(pace: OcspPace): void {
    this.#pace = pace;
    for (const id of this.#entries.keys()) this.#schedule.set(id, this.#clock.now());
    if (this.#main) void this.#keeper.removeOld(this.#pace.keepResponse, this.#clock.now());
  }

  /**
   * Makes `certificates` all that an owner shows, in place of those it had, and gives for each what to staple by now:
   * what the store has. Nobody waits for a responder. A chain that can't be read is not stapled.
   */
  async watch(
    owner: string,
    certificates: readonly CertificateToStaple[],
  ): Promise<(Uint8Array | undefined)[]> {
    const subjects = certificates.map((certificate) => this.#subject(certificate));
    const before = this.#owners.get(owner) ?? [];
    const entries = subjects.map((subject) => subject && this.#admit(subject, owner));
    const ids = subjects.map((subject) => subject?.id);
    this.#owners.set(owner, ids);
    for (const id of before) if (id !== undefined && !ids.includes(id)) this.#leave(id, owner);
    await Promise.all(entries.flatMap((entry) => entry?.loading ?? []));
    return entries.map((entry) => entry?.staple(this.#clock.now()));
  }

  /** An owner shows nothing any more. */
  forget(owner: string): void {
    for (const id of this.#owners.get(owner) ?? []) if (id !== undefined) this.#leave(id, owner);
    this.#owners.delete(owner);
  }

  /** What to staple now to the certificate that `chainPem` begins with. */
  staple(chainPem: string): Uint8Array | undefined {
    return this.#entries.get(idOf(new Certificate(chainPem)))?.staple(this.#clock.now());
  }

  /** Whether the first response for a certificate that demands one is still to come, and nothing has failed yet. */
  awaits(chainPem: string): boolean {
    const entry = this.#entries.get(idOf(new Certificate(chainPem)));
    if (!entry?.subject.inquiry || !entry.subject.mustStaple) return false;
    return !entry.response && entry.errors === 0;
  }

  /** Certificates of these managed domains and of `other`, or all; managed ones first, by domain and name. */
  status(folders?: ReadonlySet<string>): StaplingStatus[] {
    const now = this.#clock.now();
    const order = ({ domain, names: [name = ''], id }: StaplingStatus) =>
      `${domain === 'other' ? 1 : 0} ${domain} ${name} ${id}`;
    return [...this.#entries.values()]
      .filter(({ subject }) => folders?.has(subject.folder) !== false)
      .map((entry) => stapleStatus(entry, now, this.#pace.renewWindow))
      .map((status) => [order(status), status] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, status]) => status);
  }

  /** What became of the last requests about the certificates of a managed domain, or of `other`. */
  job(folder: string): Promise<JobDocument | undefined> {
    return this.#jobs.read(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#main;
    await this.#jobs[Symbol.asyncDispose]();
    await this.#asker[Symbol.asyncDispose]();
  }

  #subject(certificate: CertificateToStaple): Subject | undefined {
    try {
      return subjectOf(certificate, this.#issuers);
    } catch (error) {
      this.#logger.warn(`a certificate can't be stapled: ${explain(error)}`);
      return undefined;
    }
  }

  #admit(subject: Subject, owner: string): Entry {
    const url = subject.inquiry?.url;
    const responder = url === undefined ? undefined : this.#responder(url);
    let entry = this.#entries.get(subject.id);
    if (entry) {
      const moved = entry.responder !== responder;
      // A managed domain's certificate stays that, wherever else it is shown.
      const folder = subject.folder === OTHERS ? entry.subject.folder : subject.folder;
      entry.subject = { ...subject, folder };
      entry.ask(responder);
      if (moved) this.#schedule.set(subject.id, this.#clock.now());
    } else {
      entry = new Entry(subject);
      entry.ask(responder);
      this.#entries.set(subject.id, entry);
      if (subject.why !== '') this.#logger.info(`md[${subject.folder}]: ${subject.why}`);
      entry.loading = this.#load(entry);
    }
    entry.owners.add(owner);
    return entry;
  }

  #responder(url: string): Responder {
    const known = this.#responders.get(url);
    if (known) return known;
    const made = new Responder(url);
    this.#responders.set(url, made);
    return made;
  }

  #leave(id: string, owner: string): void {
    const entry = this.#entries.get(id);
    entry?.owners.delete(owner);
    if (!entry || entry.owners.size > 0) return;
    this.#schedule.remove(id);
    this.#entries.delete(id);
    const { responder } = entry;
    entry.ask(undefined);
    if (responder?.certificates === 0) this.#responders.delete(responder.url);
  }

  /** What the store has; then the responder's turn comes. */
  async #load(entry: Entry): Promise<void> {
    const { subject } = entry;
    const now = () => this.#clock.now();
    entry.response = await this.#keeper.load(subject, now);
    entry.stapled = entry.staple(now()) !== undefined;
    // Where there is somebody to ask it is no matter before that has failed.
    if (entry.response || !subject.inquiry) this.#warn(entry);
    if (subject.inquiry && entry.owners.size > 0) this.#schedule.set(subject.id, now());
  }

  async #work(id: string, signal: AbortSignal): Promise<number | undefined> {
    const entry = this.#entries.get(id);
    const { inquiry } = entry?.subject ?? {};
    if (!entry?.responder || !inquiry) return undefined;
    const now = this.#clock.now();
    this.#show(entry, now);
    if (entry.wantedAt(now, this.#pace.renewWindow) <= now) {
      if (entry.responder.tried) return soonest(entry, now + TRIAL, now);
      const place = entry.placeIn(entry.responder, now);
      if (place > now) return soonest(entry, place, now);
      await this.#ask(entry, entry.responder, inquiry, signal);
    }
    if (signal.aborted) return undefined;
    const later = this.#clock.now();
    // It may have ended while the responder was asked.
    this.#show(entry, later);
    const next = soonest(entry, entry.wantedAt(later, this.#pace.renewWindow), later);
    return this.#tellRevoked(entry) ? Math.min(next, later + REMIND) : next;
  }

  #tellRevoked({ subject, response }: Entry): boolean {
    if (response?.status !== 'revoked') return false;
    const { folder: domain, serial, sha256 } = subject;
    this.#onRevoked({ domain, serial, sha256 });
    return true;
  }

  async #ask(
    entry: Entry,
    responder: Responder,
    inquiry: NonNullable<Subject['inquiry']>,
    signal: AbortSignal,
  ): Promise<void> {
    entry.asking = true;
    responder.asked += 1;
    entry.lastRun = this.#clock.now();
    try {
      const answered = await this.#asker.ask(entry, responder, inquiry, signal);
      responder.answered();
      await this.#take(entry, answered, this.#clock.now());
    } catch (error) {
      if (!signal.aborted) this.#fail(entry, responder, error);
    } finally {
      entry.asking = false;
      responder.asked -= 1;
    }
  }

  async #take(entry: Entry, { answer, body, fresh }: Answered, now: number): Promise<void> {
    const { subject, response: before } = entry;
    const { status, thisUpdate: from } = answer;
    entry.unknown = status === 'unknown';
    if (status === 'unknown') {
      const message = `the responder does not know the certificate with serial ${subject.serial}`;
      throw new LatchkeyError('ocsp-unknown', message);
    }
    entry.errors = 0;
    entry.problem = undefined;
    const until = Math.min(answer.nextUpdate ?? now + WITHOUT_END, answer.signerNotAfter);
    const older =
      before !== undefined && before.until > now && from < before.from && before.from <= now + SKEW;
    const response = older ? before : { der: body, status, from, until };
    entry.accept(now, response, fresh, this.#pace.renewWindow);
    this.#note(entry, now, response);
    if (older || before?.der.equals(body)) return;
    this.#show(entry, now, true);
    await this.#keeper.save(subject, response);
    const end = new Date(until).toUTCString();
    this.#logger.info(`md[${subject.folder}]: OCSP response for ${subject.id}: ${status} until ${end}`);
    publish('latchkey:ocsp:renewed', { domain: subject.folder, id: subject.id, status, validUntil: until });
  }

  #fail(entry: Entry, responder: Responder, error: unknown): void {
    const { subject } = entry;
    const now = this.#clock.now();
    const retry = { retryDelay: this.#pace.retryDelay, random: this.#random };
    entry.errors += 1;
    if (isResponders(error)) {
      const retryAfter = error instanceof ResponderError ? error.retryAfter : undefined;
      responder.failed(now, retryAfter, retry);
    }
    const nextRun = responder.pausedUntil(now) ?? now + backoff(entry.errors, HOUR, retry);
    entry.hold(now, nextRun);
    const type = error instanceof LatchkeyError ? error.code : 'ocsp-failed';
    const detail = explain(error);
    // Said once for each change: a responder may be away for days.
    this.#logger.log(
      entry.problem?.detail === detail ? 'debug' : 'warn',
      `md[${subject.folder}]: no OCSP response for ${subject.id}: ${detail}`,
    );
    entry.problem = { type, detail };
    if (entry.errors === 1 && !entry.stapled) this.#warn(entry);
    this.#note(entry, now, { problem: entry.problem, errors: entry.errors, nextRun });
    publish('latchkey:ocsp:errored', {
      domain: subject.folder,
      id: subject.id,
      problem: entry.problem,
      errors: entry.errors,
      nextRun,
    });
  }

  #note({ subject: { folder, id, inquiry }, lastRun }: Entry, ended: number, outcome: Run['outcome']): void {
    if (!inquiry || lastRun === undefined) return;
    this.#jobs.note({ folder, id, url: inquiry.url, started: lastRun, ended, outcome });
  }

  /** Brings what its owners staple in line with what there is now: `changed`, over, or there again. */
  #show(entry: Entry, now: number, changed = false): void {
    const stapled = entry.staple(now) !== undefined;
    const turned = stapled !== entry.stapled;
    entry.stapled = stapled;
    if (changed || turned) for (const owner of entry.owners) this.#onChange(owner);
    if (changed || (turned && !stapled)) this.#warn(entry);
  }

  #warn(entry: Entry): void {
    const { subject, stapled } = entry;
    const warning = warningOf(entry, stapled);
    if (warning === '') return;
    const { folder, serial, names } = subject;
    this.#logger.error(`md[${folder}]: ${warning} (serial ${serial}, ${names.join(', ')})`);
  }
}

/** The end of what is stapled, too, is something to be awake for. */
function soonest(entry: Entry, at: number, now: number): number {
  const { response } = entry;
  return entry.stapled && response && response.until > now ? Math.min(at, response.until) : at;
}
