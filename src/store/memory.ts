import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { checkNames, checkValue, describe } from './names.ts';
import { StoreKey } from './storekey.ts';
import type { Abortable, Group, Store, SaveOptions } from './store.ts';

interface Value {
  readonly bytes: Buffer;
  readonly modified: number;
}

/** A Store that lasts as long as the object: for the library without a folder, and for tests. */
export class MemoryStore implements Store {
  readonly key: StoreKey = StoreKey.generate();
  readonly #clock: Clock;
  readonly #groups = new Map<Group, Map<string, Map<string, Value>>>();

  constructor(options: { readonly clock?: Clock } = {}) {
    this.#clock = options.clock ?? systemClock;
  }

  async load(group: Group, name: string, aspect: string, options?: Abortable): Promise<Buffer | undefined> {
    const value = this.#find(group, name, aspect, options);
    return value && Buffer.from(value.bytes);
  }

  async modified(
    group: Group,
    name: string,
    aspect: string,
    options?: Abortable,
  ): Promise<number | undefined> {
    return this.#find(group, name, aspect, options)?.modified;
  }

  async save(
    group: Group,
    name: string,
    aspect: string,
    value: Buffer | string,
    options?: SaveOptions,
  ): Promise<void> {
    begin([name, aspect], options);
    const names = this.#names(group);
    const made = this.#value(describe(group, name, aspect), value);
    const aspects = names.get(name) ?? new Map<string, Value>();
    names.set(name, aspects.set(aspect, made));
  }

  async remove(group: Group, name: string, aspect: string, options?: Abortable): Promise<void> {
    begin([name, aspect], options);
    this.#names(group).get(name)?.delete(aspect);
  }

  async purge(group: Group, name: string, options?: Abortable): Promise<void> {
    begin([name], options);
    this.#names(group).delete(name);
  }

  async list(group: Group, options?: Abortable): Promise<string[]> {
    begin([], options);
    return [...this.#names(group).keys()].sort();
  }

  async aspects(group: Group, name: string, options?: Abortable): Promise<string[]> {
    begin([name], options);
    return [...(this.#names(group).get(name)?.keys() ?? [])].sort();
  }

  async activate(
    name: string,
    files: ReadonlyMap<string, Buffer | string>,
    options?: Abortable,
  ): Promise<number | undefined> {
    begin([name, ...files.keys()], options);
    const set = new Map<string, Value>();
    for (const [aspect, value] of files) {
      set.set(aspect, this.#value(describe('domains', name, aspect), value));
    }
    const domains = this.#names('domains');
    const old = domains.get(name);
    const number = old && this.#archive(name, old);
    domains.set(name, set);
    return number;
  }

  #archive(name: string, set: Map<string, Value>): number {
    const archive = this.#names('archive');
    let number = 1;
    while (archive.has(`${name}.${number}`)) number += 1;
    checkNames(`${name}.${number}`);
    archive.set(`${name}.${number}`, set);
    return number;
  }

  #value(where: string, value: Buffer | string): Value {
    checkValue(where, value);
    return { bytes: Buffer.from(value), modified: this.#clock.now() };
  }

  #find(group: Group, name: string, aspect: string, options?: Abortable): Value | undefined {
    begin([name, aspect], options);
    return this.#names(group).get(name)?.get(aspect);
  }

  #names(group: Group): Map<string, Map<string, Value>> {
    const known = this.#groups.get(group);
    if (known) return known;
    const made = new Map<string, Map<string, Value>>();
    this.#groups.set(group, made);
    return made;
  }
}

function begin(names: readonly string[], options: Abortable | undefined): void {
  options?.signal?.throwIfAborted();
  checkNames(...names);
}
