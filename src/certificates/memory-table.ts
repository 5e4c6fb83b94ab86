import { encodeSet } from './blob.ts';
import type { CertificateSet, CertificateTable, NamedSet } from './table.ts';

/** A table in one process: the library's. Never full; bounded by what its owner puts in. */
export class MemoryTable implements CertificateTable {
  readonly #sets = new Map<string, CertificateSet>();
  readonly #names = new Map<string, Map<string, string>>();
  #changes = 0;

  get(id: string): CertificateSet | undefined {
    return this.#sets.get(id);
  }

  version(id: string): string | undefined {
    return this.#sets.get(id)?.version;
  }

  changes(): number {
    return this.#changes;
  }

  refresh(): void {}

  find(scope: string, name: string): string | undefined {
    return this.#names.get(scope)?.get(name);
  }

  put(id: string, set: Omit<CertificateSet, 'version'>): 'stored' | 'unchanged' {
    const { version } = encodeSet(set);
    if (this.version(id) === version) return 'unchanged';
    this.#sets.set(id, { ...set, version });
    this.#changes++;
    return 'stored';
  }

  point(scope: string, names: readonly string[], id: string): 'stored' {
    this.#changes++;
    let known = this.#names.get(scope);
    if (!known) this.#names.set(scope, (known = new Map()));
    for (const name of names) known.set(name, id);
    return 'stored';
  }

  unpoint(scope: string, names: readonly string[]): 'removed' {
    this.#changes++;
    const known = this.#names.get(scope);
    for (const name of names) known?.delete(name);
    if (known?.size === 0) this.#names.delete(scope);
    return 'removed';
  }

  remove(id: string): 'removed' {
    this.#changes++;
    this.#sets.delete(id);
    return 'removed';
  }

  forget(scope: string, sets: Iterable<NamedSet>): 'removed' {
    for (const { id, names } of sets) {
      this.unpoint(
        scope,
        [...names].filter((name) => this.find(scope, name) === id),
      );
      this.remove(id);
    }
    return 'removed';
  }

  ids(): Iterable<string> {
    return [...this.#sets.keys()];
  }

  [Symbol.dispose](): void {
    this.#sets.clear();
    this.#names.clear();
  }
}
