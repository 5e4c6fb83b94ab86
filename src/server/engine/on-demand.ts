/** Certificates that are ordered when a client calls for them, as a source of certificates by name. */
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Clock } from '../../base/clock.ts';
import {
  type CertificateSource,
  type Found,
  type FoundCertificates,
  wildcardOf,
} from '../../certificates/source.ts';
import { checkCertificate } from '../../certificates/sources/answer.ts';
import type { Settings } from '../../config/settings.ts';
import { readPems } from '../../domains/stored/held.ts';
import { strayingOf, type Surroundings } from '../../domains/on-demand/leads-here.ts';
import type { OnDemand } from '../../domains/on-demand/on-demand.ts';
import { dnsBy, systemDns } from '../../domains/preflight/dns.ts';
import type { OnDemandSettings } from '../../domains/settings.ts';
import type { Abortable, Store } from '../../store/store.ts';

export interface OnDemandSourceParts {
  /** Of the settings that names are ordered by. */
  readonly id: string;
  readonly onDemand: OnDemand;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class OnDemandSource implements CertificateSource {
  readonly #parts: OnDemandSourceParts;

  constructor(parts: OnDemandSourceParts) {
    this.#parts = parts;
  }

  async find(name: string, known?: string, client?: string): Promise<Found> {
    const { onDemand } = this.#parts;
    try {
      const stored = (await onDemand.knows(name)) ? await this.load(name) : undefined;
      if (stored) return stored.tag === known ? { kind: 'unchanged' } : stored;
      const reason = await onDemand.provide(this.#parts.id, name, client);
      if (reason !== undefined) return { kind: 'none', reason: `on demand: ${reason}` };
      return (await this.load(name)) ?? { kind: 'none', reason: 'on demand: it was not kept' };
    } catch (error) {
      return { kind: 'failed', problem: `orders on demand: ${explain(error)}` };
    }
  }

  seen(name: string): void {
    this.#parts.onDemand.seen(name);
  }

  status() {
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** What the store has and can be served, of any of the keys. */
  async load(name: string): Promise<FoundCertificates | undefined> {
    const { store, onDemand } = this.#parts;
    const { keys = [] } = onDemand.domain(name) ?? {};
    const pems = await readPems(store, 'domains', name, keys);
    const found = pems.flatMap(({ chainPem, keyPem }) => this.#checked(name, chainPem, keyPem) ?? []);
    const [first] = found;
    if (!first) return undefined;
    const certificates = found.flatMap(({ set }) => set.certificates);
    const tag = certificates.map(({ serial }) => serial).join();
    return { ...first, set: { ...first.set, certificates }, tag };
  }

  #checked(name: string, chainPem: string, keyPem: string): FoundCertificates | undefined {
    const { clock, logger } = this.#parts;
    try {
      return checkCertificate(chainPem, keyPem, name, clock.now());
    } catch (error) {
      logger.info(`md(${name}): its certificate can't be served: ${explain(error)}`);
      return undefined;
    }
  }
}

/** See AdmissionParts.straying: as the first CA of a name sees it. */
export function strayingBy(settings: () => Settings, store: Store) {
  return (name: string, { addresses, template }: OnDemandSettings, options: Abortable) =>
    strayingOf(name, addresses, {
      ...eyesOf(template.authorities[0], settings(), template),
      store,
      ...options,
    });
}

function eyesOf(
  authority: string | undefined,
  { localCa, md }: Settings,
  { reach }: OnDemandSettings['template'],
): Pick<Surroundings, 'dns' | 'httpPort' | 'local'> {
  if (authority !== 'local' || !localCa) {
    const httpPort = reach.http01.possible ? 80 : undefined;
    return { dns: dnsBy(md.preflight.resolvers), httpPort, local: false };
  }
  const dns = localCa.resolver === undefined ? systemDns : dnsBy([localCa.resolver]);
  return { dns, httpPort: localCa.httpPort, local: true };
}

/** Tells names that managed domains of the configuration have. */
export function configuredNames({ domains }: Settings): (name: string) => boolean {
  const names = new Set(domains.flatMap(({ domains: all }) => all));
  return (name) => names.has(name) || names.has(wildcardOf(name) ?? '');
}
