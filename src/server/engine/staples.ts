/**
 * OCSP responses for the sets of the certificate table. Loaded only where a host staples: a start without doesn't
 * wait for it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger, Loggers } from '../../base/log.ts';
import type { CertificateTable, TableCertificate } from '../../certificates/table.ts';
import type { HostStapling, Settings } from '../../config/settings.ts';
import { OcspEngine, type OcspEngineOptions } from '../../ocsp/engine.ts';
import type { StaplingStatus } from '../../ocsp/status.ts';
import type { JobDocument } from '../../store/documents.ts';
import type { Store } from '../../store/store.ts';
import type { Plan } from '../calls.ts';

/** A certificate for the table with the chain as its source has it, root included. */
export interface FoundCertificate {
  readonly certificate: TableCertificate;
  readonly chainPem: string;
}

export interface StaplesParts {
  readonly plan: Plan;
  readonly store: Store;
  readonly table: CertificateTable;
  readonly loggers: Loggers;
  readonly onRevoked: OcspEngineOptions['onRevoked'];
}

export class Staples implements AsyncDisposable {
  readonly #engine: OcspEngine;
  readonly #table: CertificateTable;
  readonly #logger: Logger;
  #policies: ReadonlyMap<string, HostStapling>;

  /** Asks no responder before start(). */
  constructor({ plan, store, table, loggers, onRevoked }: StaplesParts) {
    this.#table = table;
    this.#logger = loggers('ssl');
    this.#policies = policiesOf(plan);
    this.#engine = new OcspEngine({
      store,
      loggers,
      onRevoked,
      onChange: (id) => this.#restaple(id),
      ...paceOf(plan.settings),
    });
  }

  start(): void {
    this.#engine.start();
  }

  /** Ids of the sets that the configuration staples. */
  get setIds(): Iterable<string> {
    return this.#policies.keys();
  }

  /** Gives the ids of sets that are to be stapled otherwise than before: they have to be dressed anew. */
  reconfigure(plan: Plan): string[] {
    const before = this.#policies;
    this.#policies = policiesOf(plan);
    this.#engine.reconfigure(paceOf(plan.settings));
    for (const id of before.keys()) if (!this.#policies.has(id)) this.#engine.forget(id);
    const ids = new Set([...before.keys(), ...this.#policies.keys()]);
    return [...ids].filter((id) => !isDeepStrictEqual(before.get(id), this.#policies.get(id)));
  }

  /**
   * A set's certificates with the responses that are at hand, to be put into the table; from now on the table's set
   * is kept supplied. Nobody waits for a responder. Sets that the configuration does not know are stapled by `policy`.
   */
  async dress(
    id: string,
    found: readonly FoundCertificate[],
    policy: HostStapling | undefined = this.#policies.get(id),
  ): Promise<TableCertificate[]> {
    if (!policy || found.length === 0) {
      this.#engine.forget(id);
      return found.map(({ certificate }) => certificate);
    }
    const staples = await this.#engine.watch(
      id,
      found.map(({ chainPem }) => ({ chainPem, ...policy })),
    );
    return found.map(({ certificate }, index) => stapled(certificate, staples[index]));
  }

  /** The set is shown no more. */
  forget(id: string): void {
    this.#engine.forget(id);
  }

  /** See OcspEngine.status(). */
  status(folders?: ReadonlySet<string>): StaplingStatus[] {
    return this.#engine.status(folders);
  }

  /** Of the certificates of a managed domain. */
  job(name: string): Promise<JobDocument | undefined> {
    return this.#engine.job(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
  }

  /** What the table does not have is dressed when it comes. */
  #restaple(id: string): void {
    const set = this.#table.get(id);
    if (!set) return;
    const { fallback } = set;
    const certificates = set.certificates.map((certificate) =>
      stapled(certificate, this.#engine.staple(certificate.chainPem)),
    );
    if (this.#table.put(id, { fallback, certificates }) !== 'full') return;
    // What it has would be stapled beyond its end; without the set, workers ask for it and get it dressed.
    const shown = this.#table.remove(id) === 'full' ? 'not shown' : 'shown more slowly';
    this.#logger.error(
      `the certificate table is full: a new OCSP response is ${shown}; give its folder more room`,
    );
  }
}

function stapled(certificate: TableCertificate, staple: Uint8Array | undefined): TableCertificate {
  const { staple: _before, ...bare } = certificate;
  return staple ? { ...bare, staple } : bare;
}

/** Of hosts that share a set, the first that staples decides how. */
function policiesOf({ settings, setIds }: Plan): Map<string, HostStapling> {
  const policies = new Map<string, HostStapling>();
  for (const [index, { stapling }] of [settings.base, ...settings.hosts].entries()) {
    const id = setIds[index];
    if (id !== undefined && stapling && !policies.has(id)) policies.set(id, stapling);
  }
  return policies;
}

function paceOf({ md }: Settings) {
  return { ...md.stapling, retryDelay: md.retryDelay };
}
