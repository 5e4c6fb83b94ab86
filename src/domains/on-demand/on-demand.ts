/**
 * Domains that nobody configured: a client calls for a name, it is admitted (admission.ts), and becomes a managed
 * domain of its own. It is renewed in the background like any other, with permission asked for anew, until nobody
 * has called for it for some time.
 */
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { subscribe } from '../../base/events.ts';
import type { Logger } from '../../base/log.ts';
import { Schedule } from '../../base/schedule.ts';
import { Turns } from '../../base/turns.ts';
import type { Abortable, Store } from '../../store/store.ts';
import type { RenewalEngine } from '../engine.ts';
import { readHeld, readPems } from '../stored/held.ts';
import { ownProblem, type Problem } from '../issuer.ts';
import type { ManagedDomainSettings, OnDemandSettings } from '../settings.ts';
import { assess } from '../state.ts';
import { Admission, type AdmissionParts } from './admission.ts';
import { refusalOf } from './guards.ts';
import { type OnDemandRecord, readRecord, recordedNames, removeRecord, writeRecord } from './records.ts';

export interface OnDemandParts extends AdmissionParts {
  readonly settings: readonly OnDemandSettings[];
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly engine: Pick<RenewalEngine, 'add' | 'remove' | 'outcome' | 'status' | 'isBare'>;
  /** Removes the certificates of a name that is dropped, and has them served no more. */
  readonly discard: (name: string) => Promise<void>;
}

/** A name as the status shows it; ms since the epoch. */
export interface OnDemandStatus {
  readonly seen: number;
  /** When it is dropped if nobody calls for it. */
  readonly dropAt: number;
}

const DAY = 86_400_000;
/** Names that wait for their first certificate: more are not taken on. */
const MOST_PENDING = 200;
/** A name without a certificate is dropped after this, ms, if nobody calls for it. */
const BARE_KEEP = DAY;

interface Entry {
  record: OnDemandRecord;
  /** When somebody last called for it, to the moment. */
  seen: number;
}

export class OnDemand implements AsyncDisposable {
  readonly #parts: OnDemandParts;
  readonly #admission: Admission;
  readonly #entries = new Map<string, Entry>();
  /** Of what the store has of a name: who calls for one that is being dropped is served by what comes after. */
  readonly #turns = new Turns();
  readonly #pending = new Set<string>();
  readonly #stop = new AbortController();
  readonly #drops: Schedule;
  readonly #installed: Disposable;
  #settings: ReadonlyMap<string, OnDemandSettings>;
  #running: Promise<unknown> | undefined;

  constructor(parts: OnDemandParts) {
    this.#parts = parts;
    this.#admission = new Admission(parts);
    this.#settings = byId(parts.settings);
    this.#installed = subscribe('latchkey:certificate:installed', ({ domain }) => {
      this.#pending.delete(domain);
    });
    this.#drops = new Schedule({
      clock: parts.clock,
      work: (name) => this.#dropIfForgotten(name),
      lane: () => ({ key: '', priority: 0 }),
    });
  }

  /** Takes up what earlier starts have left. */
  start(): void {
    const { signal } = this.#stop;
    this.#running ??= Promise.all([this.#drops.run(signal), this.#recall()]).catch((error: unknown) => {
      if (!signal.aborted) this.#parts.logger.error(`certificates on demand: ${explain(error)}`);
    });
  }

  /** Names stay whose settings do. The engine has to be given `domains` among its own. */
  async reconfigure(settings: readonly OnDemandSettings[]): Promise<void> {
    this.#settings = byId(settings);
    await this.#admission.keepOnly(new Set(settings.map(({ ask }) => ask)));
  }

  /** All names, as managed domains. */
  get domains(): ManagedDomainSettings[] {
    return [...this.#entries.keys()].flatMap((name) => this.domain(name) ?? []);
  }

  domain(name: string): ManagedDomainSettings | undefined {
    const entry = this.#entries.get(name);
    return entry && this.#domain(name, entry.record);
  }

  /** The id of the settings that a name is ordered by. */
  sourceOf(name: string): string | undefined {
    return this.domain(name) && this.#entries.get(name)?.record.id;
  }

  status(name: string): OnDemandStatus | undefined {
    const entry = this.domain(name) && this.#entries.get(name);
    return entry && { seen: entry.seen, dropAt: this.#dropAt(name, entry) };
  }

  /** Whether a name has been taken on, now or by an earlier start. Rejects as the store does. */
  async knows(name: string): Promise<boolean> {
    return (await this.#entry(name)) !== undefined;
  }

  /** See readPems(). */
  async pems(name: string): ReturnType<typeof readPems> {
    const { store, logger } = this.#parts;
    return readPems(store, 'domains', name, this.domain(name)?.keys ?? [], (error) => {
      logger.error(`md(${name}): its certificate can't be served: ${explain(error)}`);
    });
  }

  /** Somebody calls for a name. */
  seen(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    entry.seen = this.#parts.clock.now();
    if (entry.seen - entry.record.seen < DAY) return;
    entry.record = { ...entry.record, seen: entry.seen };
    void this.#rewrite(name, entry);
  }

  /**
   * Has a certificate in the store for a name, as far as that is permitted, and possible within the time that a
   * handshake waits. Gives why there is none; what was begun goes on. `client`: the address of who calls.
   * Rejects as the store does.
   */
  async provide(id: string, name: string, client: string | undefined): Promise<string | undefined> {
    const settings = this.#settings.get(id);
    if (!settings) return 'it is no longer configured';
    if (!(await this.#entry(name))) {
      const refusal =
        (await this.#admission.refusal(settings, name, client)) ??
        (await this.#turns.take(name, () => this.#takeOn(id, name)));
      if (refusal !== undefined) return refusal;
    }
    this.seen(name);
    return (await this.#isHeld(name)) ? undefined : this.#arrival(name, settings);
  }

  /** For the engine, before each order: permission and DNS may have changed. */
  async admit({ name }: ManagedDomainSettings, { signal }: Abortable): Promise<Problem | undefined> {
    const { id = '' } = this.#entries.get(name)?.record ?? {};
    const settings = this.domain(name) && this.#settings.get(id);
    if (!settings) return undefined;
    const objection = await this.#admission.objection(settings, name);
    signal?.throwIfAborted();
    if (objection !== 'forbidden') {
      return objection && ownProblem('on-demand', `${name} is not ordered: ${objection.detail}`);
    }
    // Not at once: it ends the run that asks.
    setImmediate(() => void this.#drop(name, 'MDOnDemandAsk permits it no more'));
    return ownProblem('on-demand', `MDOnDemandAsk permits ${name} no more`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#installed[Symbol.dispose]();
    this.#stop.abort(new Error('the engine ends'));
    await this.#running;
    await this.#admission[Symbol.asyncDispose]();
  }

  /** Undefined where the configuration has it otherwise by now. */
  #domain(name: string, { id }: OnDemandRecord): ManagedDomainSettings | undefined {
    const settings = this.#settings.get(id);
    if (!settings || this.#parts.isConfigured(name)) return undefined;
    return { ...settings.template, name, domains: [name] };
  }

  async #recall(): Promise<void> {
    for (const name of await recordedNames(this.#parts.store)) {
      if (this.#stop.signal.aborted) return;
      await this.#entry(name);
    }
  }

  /** From memory, else from the store: another server on it may have taken it on. */
  async #entry(name: string): Promise<Entry | undefined> {
    const known = this.#entries.get(name);
    if (known || refusalOf(name) !== undefined) return known;
    return this.#turns.take(name, async () => this.#entries.get(name) ?? this.#load(name));
  }

  async #load(name: string): Promise<Entry | undefined> {
    const record = await readRecord(this.#parts.store, name);
    return record && this.#enter(name, record);
  }

  #enter(name: string, record: OnDemandRecord): Entry | undefined {
    const domain = this.#domain(name, record);
    if (!domain) return undefined;
    // A clock that went wrong may have written it.
    const entry = { record, seen: Math.min(record.seen, this.#parts.clock.now()) };
    this.#entries.set(name, entry);
    this.#parts.engine.add(domain);
    this.#drops.set(name, entry.seen + Math.min(this.#keep(record), BARE_KEEP));
    return entry;
  }

  /** The record is there before anything is ordered. Gives why it is not taken on, if it is not. */
  async #takeOn(id: string, name: string): Promise<string | undefined> {
    if (this.#entries.has(name)) return undefined;
    if (this.#pending.size >= MOST_PENDING) {
      return `${MOST_PENDING} other names wait for their first certificate`;
    }
    const record = { id, seen: this.#parts.clock.now() };
    // Before anything is waited for: others come meanwhile.
    this.#pending.add(name);
    try {
      await writeRecord(this.#parts.store, name, record);
    } catch (error) {
      this.#pending.delete(name);
      throw error;
    }
    this.#parts.logger.notice(`md(${name}): a certificate is obtained on demand`);
    // Configured otherwise meanwhile, nobody waits for it.
    if (!this.#enter(name, record)) this.#pending.delete(name);
    return undefined;
  }

  /** Never rejects. One that was dropped meanwhile stays so. */
  async #rewrite(name: string, entry: Entry): Promise<void> {
    const { store, logger } = this.#parts;
    const write = async () => {
      if (this.#entries.get(name) === entry) await writeRecord(store, name, entry.record);
    };
    await this.#turns.take(name, write).catch((error: unknown) => {
      logger.error(`md(${name}): that it is in use can't be written: ${explain(error)}`);
    });
  }

  /** Waits for the order that is under way. Gives why there is no certificate then. */
  async #arrival(name: string, { wait }: OnDemandSettings): Promise<string | undefined> {
    const { clock, engine } = this.#parts;
    const [status] = engine.status([name]);
    if (status?.nextRun !== undefined && status.nextRun > clock.now() + wait) {
      return status.problem?.detail ?? status.hold?.reason ?? 'it is not its turn yet';
    }
    const [late, done] = [new AbortController(), new AbortController()];
    clock.sleep(wait, { signal: done.signal }).then(
      () => late.abort(new Error('its certificate is still being obtained')),
      () => {},
    );
    try {
      const outcome = await engine.outcome(name, { signal: late.signal });
      if (outcome.status === 'failed') return outcome.problem.detail;
      return outcome.status === 'postponed' ? outcome.reason : undefined;
    } catch (error) {
      return explain(error);
    } finally {
      done.abort();
    }
  }

  /** Whether there is a certificate that can be served. */
  async #isHeld(name: string): Promise<boolean> {
    const { store, clock } = this.#parts;
    const domain = this.domain(name);
    if (!domain) return false;
    const held = await readHeld(store, 'domains', name, domain.keys);
    const { state, expired } = assess(domain, held, clock.now());
    return state === 'complete' && !expired;
  }

  #keep({ id }: OnDemandRecord): number {
    return this.#settings.get(id)?.keep ?? 0;
  }

  #dropAt(name: string, { record, seen }: Entry): number {
    const keep = this.#keep(record);
    return seen + (this.#parts.engine.isBare(name) ? Math.min(keep, BARE_KEEP) : keep);
  }

  async #dropIfForgotten(name: string): Promise<number | undefined> {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    const at = this.#dropAt(name, entry);
    const now = this.#parts.clock.now();
    // A reload may make it sooner.
    if (at > now) return Math.min(at, now + DAY);
    await this.#drop(name, `nobody has called for it since ${new Date(entry.seen).toUTCString()}`);
    return undefined;
  }

  /** Never rejects. */
  async #drop(name: string, why: string): Promise<void> {
    const { engine, logger, isConfigured } = this.#parts;
    if (!this.#entries.delete(name)) return;
    this.#pending.delete(name);
    this.#drops.remove(name);
    // A domain of the configuration by now: what there is, is that one's.
    const isOurs = !isConfigured(name);
    if (isOurs) engine.remove(name);
    try {
      await this.#turns.take(name, () => this.#clear(name, isOurs));
      if (isOurs) logger.notice(`md(${name}): dropped, as ${why}`);
    } catch (error) {
      logger.error(`md(${name}): is dropped, but its files can't be removed: ${explain(error)}`);
    }
  }

  async #clear(name: string, isOurs: boolean): Promise<void> {
    const { store, discard } = this.#parts;
    await removeRecord(store, name);
    if (!isOurs) return;
    await store.purge('staging', name);
    await discard(name);
  }
}

function byId(settings: readonly OnDemandSettings[]): ReadonlyMap<string, OnDemandSettings> {
  return new Map(settings.map((one) => [one.id, one]));
}
