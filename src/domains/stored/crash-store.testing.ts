import type { Abortable, Group, Store, SaveOptions } from '../../store/store.ts';

/** What a crashing store throws from its crash on. */
export class Crash extends Error {}

/**
 * A store that dies as a process does: before or after its nth change nothing reaches the disk any more.
 * Underneath, the store keeps what had been written until then.
 */
export class CrashStore implements Store {
  readonly #inner: Store;
  readonly #at: number;
  readonly #applied: boolean;
  #changes = 0;

  /** @param at the change that it dies at, counted from 1; Infinity: never. `applied`: right after that one. */
  constructor(inner: Store, at: number, applied: boolean) {
    this.#inner = inner;
    this.#at = at;
    this.#applied = applied;
  }

  get changes(): number {
    return this.#changes;
  }

  get key(): Store['key'] {
    return this.#inner.key;
  }

  async #change<Result>(apply: () => Promise<Result>): Promise<Result> {
    this.#changes += 1;
    if (this.#changes > this.#at || (this.#changes === this.#at && !this.#applied)) throw new Crash('dead');
    const result = await apply();
    if (this.#changes === this.#at) throw new Crash('dead');
    return result;
  }

  load(group: Group, name: string, aspect: string, options?: Abortable): Promise<Buffer | undefined> {
    return this.#inner.load(group, name, aspect, options);
  }

  save(
    group: Group,
    name: string,
    aspect: string,
    value: Buffer | string,
    options?: SaveOptions,
  ): Promise<void> {
    return this.#change(() => this.#inner.save(group, name, aspect, value, options));
  }

  remove(group: Group, name: string, aspect: string, options?: Abortable): Promise<void> {
    return this.#change(() => this.#inner.remove(group, name, aspect, options));
  }

  purge(group: Group, name: string, options?: Abortable): Promise<void> {
    return this.#change(() => this.#inner.purge(group, name, options));
  }

  list(group: Group, options?: Abortable): Promise<string[]> {
    return this.#inner.list(group, options);
  }

  aspects(group: Group, name: string, options?: Abortable): Promise<string[]> {
    return this.#inner.aspects(group, name, options);
  }

  modified(group: Group, name: string, aspect: string, options?: Abortable): Promise<number | undefined> {
    return this.#inner.modified(group, name, aspect, options);
  }

  activate(
    name: string,
    files: ReadonlyMap<string, Buffer | string>,
    options?: Abortable,
  ): Promise<number | undefined> {
    return this.#change(() => this.#inner.activate(name, files, options));
  }
}
