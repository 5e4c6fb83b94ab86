/** The certificates that the program has named, by their first names. */
import { LatchkeyError } from '../base/errors.ts';
import { EngineError } from '../domains/engine-options.ts';
import type { ManagedDomainSettings } from '../domains/settings.ts';

export class Managed {
  readonly #domains = new Map<string, ManagedDomainSettings>();
  /** Which of them has a name. */
  readonly #owners = new Map<string, string>();

  get all(): ManagedDomainSettings[] {
    return [...this.#domains.values()];
  }

  get(name: string): ManagedDomainSettings | undefined {
    return this.#domains.get(name);
  }

  /** Whether a certificate has the name among its names. */
  covers(name: string): boolean {
    return this.#owners.has(name);
  }

  /** @throws LatchkeyError `name-taken` */
  add(domain: ManagedDomainSettings): void {
    const taken = domain.domains.find((name) => this.covers(name));
    if (taken !== undefined) {
      throw new LatchkeyError('name-taken', `${taken} is a name of a certificate already`);
    }
    this.replace(domain);
  }

  /** The same names, settled otherwise. */
  replace(domain: ManagedDomainSettings): void {
    this.#domains.set(domain.name, domain);
    for (const name of domain.domains) this.#owners.set(name, domain.name);
  }

  /** @throws EngineError `domain-unknown` */
  remove(name: string): ManagedDomainSettings {
    const domain = this.#domains.get(name);
    if (!domain) throw new EngineError('domain-unknown', `There is no certificate called ${name}`);
    this.#domains.delete(name);
    for (const one of domain.domains) this.#owners.delete(one);
    return domain;
  }
}
