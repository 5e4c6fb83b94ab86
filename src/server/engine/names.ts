/** The engine's part in certificates by name, which is loaded and open only where a host needs it. */
import { setImmediate as turn } from 'node:timers/promises';
import { explain } from '../../base/errors.ts';
import type { Loggers } from '../../base/log.ts';
import { type CertificateSource, type FoundCertificates, serverNameOf } from '../../certificates/source.ts';
import type { DynamicCertificates, Sought } from '../../certificates/sources/dynamic.ts';
import type { WantedName } from '../../certificates/sources/names.ts';
import type { DynamicSettings } from '../../certificates/sources/settings.ts';
import type { CertificateTable } from '../../certificates/table.ts';
import type { NamesStatus } from '../calls.ts';
import type { Snapshots } from './snapshots.ts';

/** How long (ms) a worker need not ask again where there is nobody to ask. */
const PAUSE = 1000;

export class EngineNames implements AsyncDisposable {
  readonly #table: CertificateTable;
  readonly #loggers: Loggers;
  readonly #secret: Uint8Array;
  readonly #onDemand: (id: string) => CertificateSource;
  #settings: DynamicSettings | undefined;
  #dynamic: DynamicCertificates | undefined;
  #snapshots: Snapshots | undefined;

  /** `secret`: of the store, for what is kept on disk. `onDemand`: what obtains certificates for these settings. */
  constructor(
    table: CertificateTable,
    loggers: Loggers,
    secret: Uint8Array,
    onDemand: (id: string) => CertificateSource,
  ) {
    this.#table = table;
    this.#onDemand = onDemand;
    this.#secret = secret;
    this.#loggers = loggers;
  }

  /** Loads the program that these settings need, if any. */
  static async load(settings: DynamicSettings): Promise<void> {
    if (isNeeded(settings)) await import('./dynamic.ts');
  }

  async configure(settings: DynamicSettings): Promise<void> {
    this.#settings = settings;
    if (this.#dynamic) return this.#dynamic.reconfigure(settings);
    if (!isNeeded(settings)) return undefined;
    const { openDynamic, openSnapshots } = await import('./dynamic.ts');
    this.#dynamic = openDynamic(settings, this.#table, this.#loggers, this.#onDemand);
    this.#snapshots = await openSnapshots(settings, this.#secret, this.#dynamic, this.#loggers);
    return undefined;
  }

  /** Takes over what an engine before this one has left, in the background. */
  adopt(): void {
    this.#dynamic
      ?.adoptAll(turn)
      .then(() => this.#snapshots?.start())
      .catch((error: unknown) => {
        this.#loggers('dynssl').error(`reading cached certificates again: ${explain(error)}`);
      });
  }

  async seek({ store, name, client }: WantedName): Promise<Sought> {
    return this.#dynamic?.seek(store, name, client) ?? { kind: 'failed', life: PAUSE };
  }

  used(ids: readonly string[]): void {
    this.#dynamic?.used(ids);
  }

  /** See DynamicCertificates.bring(). */
  bring(storeId: string, name: string, found: FoundCertificates): string | undefined {
    return this.#dynamic?.bring(storeId, name, found);
  }

  /** There is none any more. */
  forget(name: string): void {
    this.#dynamic?.flush(name);
  }

  /** Fulfilled when nothing could bring back what was flushed, the next start neither. */
  async flush(wanted: string | undefined): Promise<{ readonly problem: string | undefined }> {
    if (!this.#dynamic) {
      const what = wanted === undefined ? '' : `${wanted} is no managed domain, and `;
      return { problem: `${what}no host has DynSSLEnable on` };
    }
    const name = wanted === undefined ? undefined : serverNameOf(wanted);
    if (wanted !== undefined && name === undefined) return { problem: `'${wanted}' is no DNS name` };
    const done = name === undefined ? await this.#dynamic.flushAll() : this.#dynamic.flush(name);
    await this.#snapshots?.forget();
    this.#loggers('dynssl').notice(`flushed: ${name ?? 'all'}`);
    return { problem: done ? undefined : 'the certificate table is full and cannot be written' };
  }

  status(): NamesStatus {
    const nothing = { entries: 0, bytes: 0, sample: [], stores: [] };
    const flushes = { all: 0, single: 0, lastName: undefined };
    const maxBytes = this.#settings?.cacheBytes ?? 0;
    return { pid: process.pid, ...(this.#dynamic?.status() ?? { ...nothing, flushes, maxBytes }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#snapshots?.[Symbol.asyncDispose]();
    await this.#dynamic?.[Symbol.asyncDispose]();
  }
}

function isNeeded({ stores, onDemand }: DynamicSettings): boolean {
  return stores.length + onDemand.length > 0;
}
