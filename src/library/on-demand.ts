/** Names that are in no list: ordered when a client calls for one, where the program permits it. */
import type { Clock } from '../base/clock.ts';
import type { Loggers } from '../base/log.ts';
import { DynamicCertificates } from '../certificates/sources/dynamic.ts';
import { Names } from '../certificates/sources/names.ts';
import { OnDemandSource } from '../certificates/sources/on-demand.ts';
import type { CertificateSet, CertificateTable } from '../certificates/table.ts';
import type { RenewalEngine } from '../domains/engine.ts';
import { strayingOf } from '../domains/on-demand/leads-here.ts';
import { OnDemand } from '../domains/on-demand/on-demand.ts';
import { dnsBy, systemDns } from '../domains/preflight/dns.ts';
import type { Problem } from '../domains/issuer.ts';
import type { ManagedDomainSettings, OnDemandSettings } from '../domains/settings.ts';
import type { Abortable, Store } from '../store/store.ts';
import type { OnDemandOptions, Resolved } from './options.ts';

export interface NamesOnDemandParts {
  readonly allow: OnDemandOptions;
  readonly resolved: Resolved;
  readonly store: Store;
  readonly table: CertificateTable;
  readonly clock: Clock;
  readonly loggers: Loggers;
  readonly engine: RenewalEngine;
  /** What each name becomes, as things are now. */
  readonly template: () => ManagedDomainSettings;
  readonly isManaged: (name: string) => boolean;
}

/** As a certificate set may be found: in the table, or where that has no room for it. */
interface FoundSet {
  readonly id: string;
  readonly set?: Omit<CertificateSet, 'version'>;
}

const ID = 'on-demand';
const HOUR = 3_600_000;
const defaults = { wait: 20_000, keep: 720 * HOUR, addresses: [] } as const;
/** What is kept is compared with the store that often; a renewal is told at once. */
const LOOK_INTERVAL = HOUR;
const CENTURY = 876_000 * HOUR;
const CACHE_BYTES = 64 * 1024 * 1024;

export class NamesOnDemand implements AsyncDisposable {
  readonly #parts: NamesOnDemandParts;
  readonly #onDemand: OnDemand;
  readonly #orders: OnDemandSource;
  readonly #certificates: DynamicCertificates;
  readonly #names: Names;

  constructor(parts: NamesOnDemandParts) {
    const { store, table, clock, loggers, engine } = parts;
    this.#parts = parts;
    this.#onDemand = new OnDemand({
      settings: [this.#settings()],
      store,
      clock,
      logger: loggers('md'),
      engine,
      isConfigured: parts.isManaged,
      straying: (name, settings, options) => this.#straying(name, settings, options),
      discard: async (name) => {
        await store.purge('domains', name);
        this.#certificates.flush(name);
      },
    });
    this.#orders = new OnDemandSource({ id: ID, orders: this.#onDemand, clock, logger: loggers('md') });
    this.#certificates = new DynamicCertificates({
      table,
      clock,
      logger: loggers('md'),
      settings: { stores: [], onDemand: [this.#source()], cacheBytes: CACHE_BYTES },
      open: () => this.#orders,
    });
    this.#names = new Names({
      table: () => table,
      seek: ({ store: id, name, client }) => this.#certificates.seek(id, name, client),
      used: async () => {},
      clock,
    });
  }

  start(): void {
    this.#onDemand.start();
  }

  /** What to change in all names: the program answers other challenges by now. */
  async reconfigure(): Promise<void> {
    await this.#onDemand.reconfigure([this.#settings()]);
  }

  get domains(): readonly ManagedDomainSettings[] {
    return this.#onDemand.domains;
  }

  /** For the engine, before each order. */
  admit(domain: ManagedDomainSettings, options: Abortable): Promise<Problem | undefined> {
    return this.#onDemand.admit(domain, options);
  }

  has(name: string): boolean {
    return this.#onDemand.domain(name) !== undefined;
  }

  /** There is another certificate for a name in the store. */
  async load(name: string): Promise<void> {
    const found = await this.#orders.load(name);
    if (found) this.#certificates.bring(ID, name, found);
  }

  /** Of the set that is kept for a name. */
  idOf(name: string): string | undefined {
    return this.#names.find(ID, name);
  }

  /** The set for a name, ordered if it may be and has to. Never rejects. */
  async find(name: string, address: string): Promise<FoundSet | undefined> {
    const { table, clock } = this.#parts;
    const id = this.idOf(name);
    const set = id === undefined ? undefined : table.get(id);
    if (id !== undefined && set?.certificates.every(({ notAfter }) => notAfter > clock.now())) {
      this.#certificates.used([id]);
      return { id };
    }
    const sought = await this.#names.ask(this.#source(), name, address);
    return sought.kind === 'stored' || sought.kind === 'set' ? sought : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#names[Symbol.dispose]();
    await this.#onDemand[Symbol.asyncDispose]();
    await this.#certificates[Symbol.asyncDispose]();
  }

  #settings(): OnDemandSettings {
    const { allow, wait, keep, addresses } = { ...defaults, ...this.#parts.allow };
    const of = { ask: allow, template: this.#parts.template() };
    return {
      id: ID,
      ...of,
      wait: wait ?? defaults.wait,
      keep: keep ?? defaults.keep,
      addresses: addresses ?? [],
    };
  }

  #source() {
    const { wait = defaults.wait } = this.#parts.allow;
    return { id: ID, wait, cacheFloor: LOOK_INTERVAL, renewBefore: CENTURY };
  }

  /** As the CA will see it. */
  #straying(name: string, { addresses }: OnDemandSettings, options: Abortable): Promise<string | undefined> {
    const { store, resolved, template } = this.#parts;
    const isLocal = resolved.localCaDir !== undefined;
    const httpPort = isLocal ? resolved.ports.http : 80;
    return strayingOf(name, addresses, {
      dns: isLocal ? systemDns : dnsBy([]),
      httpPort: template().reach.http01.possible ? httpPort : undefined,
      store,
      local: isLocal,
      ...options,
    });
  }
}
