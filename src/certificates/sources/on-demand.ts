/** Certificates that are ordered when a client calls for them, as a source of certificates by name. */
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type CertificateSource, type Found, type FoundCertificates } from '../source.ts';
import { checkCertificate } from './answer.ts';

/** Who orders. Each rejects as the store behind it does. */
export interface Orders {
  /** Whether a name has been taken on. */
  knows(name: string): Promise<boolean>;
  /** Gives why there is no certificate for a name within the time that a handshake waits. */
  provide(id: string, name: string, client: string | undefined): Promise<string | undefined>;
  /** What there is for a name, one for each kind of key. */
  pems(name: string): Promise<readonly { readonly chainPem: string; readonly keyPem: string }[]>;
  /** Somebody calls for a name. */
  seen(name: string): void;
}

export interface OnDemandSourceParts {
  /** Of the settings that names are ordered by. */
  readonly id: string;
  readonly orders: Orders;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class OnDemandSource implements CertificateSource {
  readonly #parts: OnDemandSourceParts;

  constructor(parts: OnDemandSourceParts) {
    this.#parts = parts;
  }

  async find(name: string, known?: string, client?: string): Promise<Found> {
    const { orders, id } = this.#parts;
    try {
      const stored = (await orders.knows(name)) ? await this.load(name) : undefined;
      if (stored) return stored.tag === known ? { kind: 'unchanged' } : stored;
      const reason = await orders.provide(id, name, client);
      if (reason !== undefined) return { kind: 'none', reason: `on demand: ${reason}` };
      return (await this.load(name)) ?? { kind: 'none', reason: 'on demand: it was not kept' };
    } catch (error) {
      return { kind: 'failed', problem: `orders on demand: ${explain(error)}` };
    }
  }

  seen(name: string): void {
    this.#parts.orders.seen(name);
  }

  status() {
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** What there is and can be served, of any of the keys. Rejects as Orders does. */
  async load(name: string): Promise<FoundCertificates | undefined> {
    const pems = await this.#parts.orders.pems(name);
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
