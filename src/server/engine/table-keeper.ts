/**
 * Keeps the certificate table filled: with everything the configuration names, in the background and in small
 * steps, and at once with what a worker asks for. The table is a cache; what doesn't fit is served all the
 * same, more slowly, by handing the set to the worker that asks.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { createCredential } from '../../certificates/credential.ts';
import { DYNAMIC_PREFIX } from '../../certificates/sources/settings.ts';
import type { CertificateSet, CertificateTable, TableCertificate } from '../../certificates/table.ts';
import type { CredentialPem, LoadedCredential, SupervisorCalls, Wanted } from '../calls.ts';
import type { Peer } from '../peer.ts';
import type { FoundCertificate } from './staples.ts';

/** Adds the OCSP responses that are at hand to a set that goes into the table. */
export type Dress = (id: string, found: readonly FoundCertificate[]) => Promise<readonly TableCertificate[]>;

/** Sets loaded in one go: small enough that a handshake's wish doesn't wait behind many. */
const BATCH = 50;

export class TableKeeper {
  readonly #table: CertificateTable;
  readonly #supervisor: Peer<SupervisorCalls>;
  readonly #logger: Logger;
  readonly #dress: Dress;
  readonly #lacking: (id: string) => void;
  readonly #underWay = new Map<string, Promise<Wanted>>();
  /** Which load a set in the table is of: an earlier one must not replace what a later one has brought. */
  readonly #loads = new Map<string, number>();
  #lastLoad = 0;
  /** What is wrong with a set now, by id; said in the log once for each change. */
  readonly #problems = new Map<string, string>();
  #full = false;

  constructor(
    table: CertificateTable,
    supervisor: Peer<SupervisorCalls>,
    logger: Logger,
    dress: Dress = async (_id, found) => found.map(({ certificate }) => certificate),
    /** Called for a set that isn't there, or not all of it, each time that it is read so. */
    lacking: (id: string) => void = () => {},
  ) {
    this.#table = table;
    this.#dress = dress;
    this.#lacking = lacking;
    this.#supervisor = supervisor;
    this.#logger = logger;
  }

  /** True since the table had no room for a set. */
  get full(): boolean {
    return this.#full;
  }

  get problems(): ReadonlyMap<string, string> {
    return this.#problems;
  }

  /** For a worker's miss: one load for each id, however many ask. */
  want(id: string): Promise<Wanted> {
    const waiting = this.#underWay.get(id);
    if (waiting) return waiting;
    const wanted = this.#find(id).finally(() => this.#underWay.delete(id));
    this.#underWay.set(id, wanted);
    return wanted;
  }

  /** Loads sets from their files again, whatever the table has, and writes what changed. */
  async refresh(ids: readonly string[], signal?: AbortSignal): Promise<void> {
    for (let start = 0; start < ids.length; start += BATCH) {
      if (signal?.aborted) return;
      const batch = ids.slice(start, start + BATCH);
      // What was read before this call must not be stored after what is read now.
      await Promise.allSettled(batch.flatMap((id) => this.#underWay.get(id) ?? []));
      const load = ++this.#lastLoad;
      const loaded = await this.#supervisor.call('loadCredentials', batch);
      for (const credential of loaded) {
        await this.#store(credential, load);
        await turn();
      }
    }
  }

  /** What was read just now. */
  async take(credential: LoadedCredential): Promise<void> {
    await this.#store(credential, ++this.#lastLoad);
  }

  /** Loads what the table lacks (static files keep their id as long as they keep their content), and `anew` in any case. */
  async fill(
    ids: readonly string[],
    signal?: AbortSignal,
    anew: ReadonlySet<string> = new Set(),
  ): Promise<void> {
    await this.refresh(
      ids.filter((id) => id.startsWith('md:') || anew.has(id) || this.#table.version(id) === undefined),
      signal,
    );
  }

  /** Forgets all sets that are not among `ids`. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.#table.ids()) {
      // What is found by name is no host's, and sources/ bounds it.
      if (!ids.has(id) && !id.startsWith(DYNAMIC_PREFIX)) this.#table.remove(id);
    }
    for (const id of this.#loads.keys()) if (!ids.has(id)) this.#loads.delete(id);
    for (const id of this.#problems.keys()) if (!ids.has(id)) this.#problems.delete(id);
  }

  async #find(id: string): Promise<Wanted> {
    const present = this.#table.get(id);
    if (present) return { set: present };
    const load = ++this.#lastLoad;
    const [credential] = await this.#supervisor.call('loadCredentials', [id]);
    return credential ? this.#store(credential, load) : { problem: 'nothing is known of it' };
  }

  /** Stores what is good of it, the stopgap if nothing is, and remembers what is wrong with the rest. */
  async #store({ id, source, pems, stopgap, problem }: LoadedCredential, load: number): Promise<Wanted> {
    const wrong = problem === undefined ? [] : [problem];
    const usable = (candidates: readonly CredentialPem[]) =>
      candidates.flatMap(({ chainPem, keyPem }) => {
        try {
          return [{ certificate: createCredential({ chain: chainPem, key: keyPem }), chainPem }];
        } catch (error) {
          wrong.push(explain(error));
          return [];
        }
      });
    const good = usable(pems);
    const fallback = good.length === 0 && stopgap.length > 0;
    const bare = fallback ? usable(stopgap).map(({ certificate }) => certificate) : undefined;
    const later = () => ((this.#loads.get(id) ?? 0) > load ? this.#table.get(id) : undefined);
    // Or the later ones would not be kept supplied with staples any more.
    const before = later();
    if (before) return { set: before };
    const certificates = bare ?? (await this.#dress(id, good));
    const meanwhile = later();
    if (meanwhile) return { set: meanwhile };
    this.#loads.set(id, load);
    const wanted = this.#put(id, { fallback, certificates }, wrong);
    if (fallback || wrong.length > 0) this.#lacking(id);
    if (wrong.length === 0) this.#problems.delete(id);
    else this.#complain(id, `${source}: ${wrong.join('; ')}`);
    return wanted;
  }

  #put(id: string, set: Omit<CertificateSet, 'version'>, wrong: string[]): Wanted {
    try {
      if (set.certificates.length > 0) {
        this.#noteRoom(this.#table.put(id, set));
        return { set };
      }
      if (wrong.length === 0) wrong.push('there is no certificate');
    } catch (error) {
      wrong.push(explain(error));
    }
    return { problem: wrong.join('; ') };
  }

  #noteRoom(outcome: ReturnType<CertificateTable['put']>): void {
    if (outcome === 'full' && !this.#full) {
      this.#logger.error(
        'the certificate table is full: some certificates are fetched anew by each worker that needs them; give its folder more room',
      );
    }
    this.#full = outcome === 'full';
  }

  #complain(id: string, problem: string): void {
    if (this.#problems.get(id) === problem) return;
    this.#problems.set(id, problem);
    this.#logger.error(`AH02565: a certificate cannot be served: ${problem}`);
  }
}
