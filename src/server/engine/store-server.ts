/** What the store protocol gives: certificates of managed domains, then those of folders of PEM pairs. */
import type { Logger } from '../../base/log.ts';
import { wildcardOf } from '../../certificates/source.ts';
import type { Settings } from '../../config/settings.ts';
import { PemFolder } from '../../store-server/folder.ts';
import type { Pair } from '../../store-server/protocol.ts';
import { domainSetId, type Wanted } from '../calls.ts';

export interface StoreServerParts {
  readonly want: (setId: string) => Promise<Wanted>;
  readonly logger: Logger;
}

export class StoreServer implements Disposable {
  readonly #parts: StoreServerParts;
  readonly #folders = new Map<string, PemFolder>();
  #settings: Settings | undefined;
  /** Managed domains by each of their names; made when the first is looked for. */
  #domains: ReadonlyMap<string, string> | undefined;

  constructor(parts: StoreServerParts) {
    this.#parts = parts;
  }

  configure(settings: Settings): void {
    const { serveFolders } = settings;
    this.#settings = settings;
    this.#domains = undefined;
    for (const [dir, folder] of this.#folders) {
      if (serveFolders.includes(dir)) continue;
      folder[Symbol.dispose]();
      this.#folders.delete(dir);
    }
    const complain = (problem: string) => this.#parts.logger.warn(problem);
    for (const dir of serveFolders) {
      if (!this.#folders.has(dir)) this.#folders.set(dir, new PemFolder(dir, { complain }));
    }
  }

  /** Rejects where a folder can't be read. */
  async find(name: string): Promise<Pair | undefined> {
    const domain = this.#domainOf(name) ?? this.#domainOf(wildcardOf(name) ?? '');
    const managed = domain === undefined ? undefined : await this.#managed(domain);
    if (managed) return managed;
    for (const folder of this.#folders.values()) {
      const pair = await folder.find(name);
      if (pair) return pair;
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    for (const folder of this.#folders.values()) folder[Symbol.dispose]();
  }

  #domainOf(name: string): string | undefined {
    this.#domains ??= new Map(
      this.#settings?.domains.flatMap((domain) => domain.domains.map((one) => [one, domain.name] as const)),
    );
    return this.#domains.get(name);
  }

  /** The protocol has room for one: the first. A stopgap is nothing to hand on. */
  async #managed(domain: string): Promise<Pair | undefined> {
    const wanted = await this.#parts.want(domainSetId(domain));
    if ('problem' in wanted || wanted.set.fallback) return undefined;
    const [first] = wanted.set.certificates;
    return first && { cert: first.chainPem, key: first.keyPem };
  }
}
