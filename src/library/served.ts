/** From the store into the certificate table: what the next handshake is given, stapled as far as it can be. */
import type { Clock } from '../base/clock.ts';
import { explain } from '../base/errors.ts';
import type { Loggers } from '../base/log.ts';
import { createCredential } from '../certificates/credential.ts';
import { wildcardOf } from '../certificates/source.ts';
import type { CertificateTable, TableCertificate } from '../certificates/table.ts';
import type { ManagedDomainSettings } from '../domains/settings.ts';
import { readPems } from '../domains/stored/held.ts';
import { OcspEngine, type OcspEngineOptions } from '../ocsp/engine.ts';
import type { Store } from '../store/store.ts';

export interface ServedParts {
  readonly store: Store;
  readonly table: CertificateTable;
  readonly clock: Clock;
  readonly loggers: Loggers;
  readonly onRevoked: OcspEngineOptions['onRevoked'];
}

type Domain = Pick<ManagedDomainSettings, 'name' | 'domains' | 'keys' | 'stapling'>;

/** Where names of managed domains point to their sets. */
const SCOPE = 'managed';

export class Served implements AsyncDisposable {
  readonly #parts: ServedParts;
  readonly #ocsp: OcspEngine;
  /** Which load a set in the table is of: an earlier one must not replace what a later one has brought. */
  readonly #loads = new Map<string, number>();
  #lastLoad = 0;

  constructor(parts: ServedParts) {
    const { store, clock, loggers, onRevoked } = parts;
    this.#parts = parts;
    this.#ocsp = new OcspEngine({ store, clock, loggers, onRevoked, onChange: (id) => this.#restaple(id) });
  }

  /** Asks no responder before. */
  start(): void {
    this.#ocsp.start();
  }

  /** Serves what the store has of a domain now; what can't be used is said in the log. Rejects as the store does. */
  async load(domain: Domain): Promise<void> {
    const { store, table } = this.#parts;
    const id = setId(domain.name);
    const load = ++this.#lastLoad;
    this.#loads.set(id, load);
    const damaged = (error: unknown) => this.#complain(domain.name, error);
    const pems = await readPems(store, 'domains', domain.name, domain.keys, damaged);
    const isCurrent = () => this.#loads.get(id) === load;
    if (!isCurrent()) return;
    const good = pems.flatMap(({ chainPem, keyPem }) => {
      const certificate = this.#checked(domain.name, chainPem, keyPem);
      return certificate ? [{ certificate, chainPem, domain: domain.name }] : [];
    });
    const staples = domain.stapling && good.length > 0 ? await this.#ocsp.watch(id, good) : [];
    if (!isCurrent() || good.length === 0) return;
    const certificates = good.map(({ certificate }, index) => stapled(certificate, staples[index]));
    table.put(id, { fallback: false, certificates });
    table.point(SCOPE, domain.domains, id);
  }

  forget({ name, domains }: Domain): void {
    const { table } = this.#parts;
    const id = setId(name);
    this.#loads.delete(id);
    this.#ocsp.forget(id);
    table.unpoint(
      SCOPE,
      domains.filter((one) => table.find(SCOPE, one) === id),
    );
    table.remove(id);
  }

  /** Id of the set for a name: its own, or that of the wildcard over it. */
  find(name: string): string | undefined {
    const { table } = this.#parts;
    const wildcard = wildcardOf(name);
    return table.find(SCOPE, name) ?? (wildcard === undefined ? undefined : table.find(SCOPE, wildcard));
  }

  /** What is served of a domain; none while there is nothing. */
  certificates(name: string): readonly TableCertificate[] {
    return this.#parts.table.get(setId(name))?.certificates ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ocsp[Symbol.asyncDispose]();
  }

  #checked(name: string, chain: string, key: string): TableCertificate | undefined {
    try {
      return createCredential({ chain, key });
    } catch (error) {
      this.#complain(name, error);
      return undefined;
    }
  }

  #complain(name: string, error: unknown): void {
    this.#parts.loggers('md').error(`md(${name}): its certificate can't be served: ${explain(error)}`);
  }

  #restaple(id: string): void {
    const { table } = this.#parts;
    const set = table.get(id);
    if (!set) return;
    const certificates = set.certificates.map((one) => stapled(one, this.#ocsp.staple(one.chainPem)));
    table.put(id, { fallback: set.fallback, certificates });
  }
}

export function setId(name: string): string {
  return `md:${name}`;
}

function stapled(certificate: TableCertificate, staple: Uint8Array | undefined): TableCertificate {
  const { staple: _before, ...bare } = certificate;
  return staple ? { ...bare, staple } : bare;
}
