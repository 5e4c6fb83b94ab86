/**
 * The store as the engine has it: what belongs to User (challenges, staging, ocsp) it reads and writes itself;
 * domains, accounts and archive are the supervisor's, who reads them for the engine. Writing there is refused with StoreError `denied`.
 */
import type { StoreKey } from '../../store/storekey.ts';
import { StoreError, type Abortable, type Group, type Store, type SaveOptions } from '../../store/store.ts';
import type { SupervisorCalls } from '../calls.ts';
import type { Peer } from '../peer.ts';

const OWN: ReadonlySet<Group> = new Set<Group>(['challenges', 'staging', 'ocsp', 'limits', 'crl', 'tmp']);

export class SupervisedStore implements Store {
  readonly key: StoreKey;
  readonly #own: Store;
  readonly #supervisor: Peer<SupervisorCalls>;

  constructor(own: Store, supervisor: Peer<SupervisorCalls>) {
    this.key = own.key;
    this.#own = own;
    this.#supervisor = supervisor;
  }

  async load(group: Group, name: string, aspect: string, options?: Abortable): Promise<Buffer | undefined> {
    if (OWN.has(group)) return this.#own.load(group, name, aspect, options);
    const bytes = await this.#supervisor.call('storeLoad', { group, name, aspect });
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  async save(
    group: Group,
    name: string,
    aspect: string,
    value: Buffer | string,
    options?: SaveOptions,
  ): Promise<void> {
    if (!OWN.has(group)) throw denied('write', group, name);
    return this.#own.save(group, name, aspect, value, options);
  }

  async remove(group: Group, name: string, aspect: string, options?: SaveOptions): Promise<void> {
    if (!OWN.has(group)) throw denied('remove from', group, name);
    return this.#own.remove(group, name, aspect, options);
  }

  async purge(group: Group, name: string, options?: SaveOptions): Promise<void> {
    if (!OWN.has(group)) throw denied('purge', group, name);
    return this.#own.purge(group, name, options);
  }

  async list(group: Group, options?: Abortable): Promise<string[]> {
    return OWN.has(group) ? this.#own.list(group, options) : this.#supervisor.call('storeList', group);
  }

  async aspects(group: Group, name: string, options?: Abortable): Promise<string[]> {
    if (OWN.has(group)) return this.#own.aspects(group, name, options);
    return this.#supervisor.call('storeAspects', { group, name });
  }

  async modified(
    group: Group,
    name: string,
    aspect: string,
    options?: Abortable,
  ): Promise<number | undefined> {
    if (OWN.has(group)) return this.#own.modified(group, name, aspect, options);
    return this.#supervisor.call('storeModified', { group, name, aspect });
  }

  async activate(name: string): Promise<never> {
    throw denied('activate', 'domains', name);
  }
}

function denied(what: string, group: string, name: string): StoreError {
  return new StoreError('denied', `the engine may not ${what} ${group}/${name}: that is the supervisor's`);
}
