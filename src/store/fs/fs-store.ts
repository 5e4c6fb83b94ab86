/** The Store on a filesystem: mod_md's store, layout version 3.0. */
import { join, resolve } from 'node:path';
import { checkNames, checkValue, describe, isName } from '../names.ts';
import { StoreKey } from '../storekey.ts';
import { StoreError } from '../store.ts';
import type { Leases } from '../leases.ts';
import type { Abortable, Group, Store, SaveOptions } from '../store.ts';
import { abandon, finish, prepare } from './activation.ts';
import { ignoring, readBounded, syncFolder } from './disk.ts';
import type { Owner } from './disk.ts';
import { storeError, unreadable } from './errors.ts';
import { readHttpdFile, writeHttpdFile } from './httpd-file.ts';
import type { ServedProtocols } from './httpd-file.ts';
import { migrate, prepareFolders, recover } from './start.ts';
import { currentVersion, readStoreFile, storeFilePath, writeStoreFile } from './store-file.ts';
import { type Disk, systemDisk } from './system-disk.ts';
import { Tree } from './tree.ts';
import { Turns } from '../../base/turns.ts';

export interface AttachOptions {
  /** The store's folder (MDStoreDir). */
  readonly dir: string;
  /** Given where md_store.json is for other eyes (the engine's); default: from there. */
  readonly key?: StoreKey | Uint8Array | undefined;
  /** Who gets challenges, staging and ocsp, where root works on them; default: they stay root's. */
  readonly owner?: Owner | undefined;
  /** Refuses to change anything (StoreError `denied`); default false. */
  readonly readOnly?: boolean | undefined;
  /** For tests: a filesystem that fails. */
  readonly disk?: Disk | undefined;
}

export interface OpenOptions extends Omit<AttachOptions, 'key'> {
  /** Removes all challenges: at a server's start none can be under way. Default false. */
  readonly purgeChallenges?: boolean | undefined;
  /** Given where other servers use the store at the same time: what they work on is left to them. */
  readonly leases?: Leases | undefined;
  /**
   * Given what is left in `tmp` of a purged name, to be removed when there is leisure. Default: that is part of the
   * purge. What never is removed is left to the next open().
   */
  readonly later?: ((remove: () => Promise<void>) => void) | undefined;
}

interface Parts extends Pick<OpenOptions, 'later'> {
  readonly tree: Tree;
  readonly key: StoreKey;
  readonly readOnly: boolean;
}

export class FsStore implements Store {
  readonly key: StoreKey;
  readonly #tree: Tree;
  readonly #readOnly: boolean;
  readonly #later: OpenOptions['later'];
  /** Writers of the same name, by `GROUP/NAME`. */
  readonly #writes = new Turns();
  /** A domain's folder is away for an instant while it is replaced: that and reading it take turns, by name. */
  readonly #swaps = new Turns();
  readonly #replacing = new Set<string>();
  /** Listings of domains under way: a folder that is replaced meanwhile may escape them. */
  readonly #listings = new Set<Set<string>>();

  private constructor({ tree, key, readOnly, later }: Parts) {
    this.#tree = tree;
    this.#later = later;
    this.key = key;
    this.#readOnly = readOnly;
  }

  /**
   * Opens a store at the start of a server (or of the program that the library is used by): makes it if there is
   * none, brings older layouts to 3.0, finishes interrupted activations, clears `tmp`. One at a time: whoever
   * else uses the store meanwhile attaches to it. With `readOnly` all of that is left out.
   *
   * StoreError `garbage` or `unreadable` where md_store.json is, `missing` where there is none and readOnly.
   */
  static async open(options: OpenOptions): Promise<FsStore> {
    if (options.readOnly) return FsStore.attach(options);
    const tree = treeOf(options);
    try {
      const file = await readStoreFile(tree);
      await prepareFolders(tree);
      await recover(tree, options.leases);
      const key = file?.key ?? StoreKey.generate();
      const store = new FsStore({ tree, key, readOnly: false, later: options.later });
      if (file && file.version < currentVersion) await migrate(store);
      if (file?.version !== currentVersion) await writeStoreFile(tree, key);
      if (options.purgeChallenges) await store.#purgeAll('challenges');
      return store;
    } catch (error) {
      throw storeError(error, `open the store ${tree.dir}`);
    }
  }

  /**
   * Whether a store has to be opened before others can attach: there is none, or one of an older layout, which no
   * server has open. StoreErrors as of open().
   */
  static async needsOpening(options: AttachOptions): Promise<boolean> {
    const file = await readStoreFile(treeOf(options));
    return file === undefined || file.version < currentVersion;
  }

  /** Joins in using a store that is open: no start duties. StoreErrors as of open(). */
  static async attach(options: AttachOptions): Promise<FsStore> {
    const tree = treeOf(options);
    const readOnly = options.readOnly ?? false;
    const given = options.key instanceof Uint8Array ? new StoreKey(options.key) : options.key;
    const key = given ?? (await readStoreFile(tree))?.key;
    if (key) return new FsStore({ tree, key, readOnly });
    throw missing(tree.dir);
  }

  /** The store's folder, absolute. */
  get dir(): string {
    return this.#tree.dir;
  }

  async load(group: Group, name: string, aspect: string, options?: Abortable): Promise<Buffer | undefined> {
    return this.#read(group, [name, aspect], options, async () => {
      const links = !this.#tree.ownerOf(group);
      return this.#tree.within(group, name, (folder) =>
        readBounded(this.#tree.disk, join(folder, aspect), { links }),
      );
    });
  }

  async modified(
    group: Group,
    name: string,
    aspect: string,
    options?: Abortable,
  ): Promise<number | undefined> {
    return this.#read(group, [name, aspect], options, async () => {
      const { disk } = this.#tree;
      const links = !this.#tree.ownerOf(group);
      const stat = await this.#tree.within(group, name, (folder) => {
        const file = join(folder, aspect);
        return links ? disk.stat(file) : disk.lstat(file);
      });
      return stat.mtimeMs;
    });
  }

  async aspects(group: Group, name: string, options?: Abortable): Promise<string[]> {
    const found = await this.#read(group, [name], options, async () => {
      const { disk } = this.#tree;
      const read = (folder: string) => disk.readdir(folder);
      const entries = await this.#tree.within(group, name, read);
      return entries.filter((entry) => !entry.isDirectory() && isName(entry.name)).map(({ name }) => name);
    });
    return (found ?? []).sort();
  }

  async list(group: Group, options?: Abortable): Promise<string[]> {
    const names = new Set(group === 'domains' ? this.#replacing : []);
    if (group === 'domains') this.#listings.add(names);
    const found = await this.#read(group, [], options, async () => {
      const { disk } = this.#tree;
      const entries = await disk.readdir(this.#tree.path(group));
      return entries.filter((entry) => entry.isDirectory() && isName(entry.name));
    }).finally(() => this.#listings.delete(names));
    for (const { name } of found ?? []) names.add(name);
    return [...names].sort();
  }

  async save(
    group: Group,
    name: string,
    aspect: string,
    value: Buffer | string,
    options?: SaveOptions,
  ): Promise<void> {
    checkNames(name, aspect);
    checkValue(describe(group, name, aspect), value);
    await this.#write(group, name, options, `save ${describe(group, name, aspect)}`, () =>
      this.#tree.write(group, name, aspect, value, options),
    );
  }

  async remove(group: Group, name: string, aspect: string, options?: SaveOptions): Promise<void> {
    checkNames(name, aspect);
    await this.#write(group, name, options, `remove ${describe(group, name, aspect)}`, async () => {
      const { disk } = this.#tree;
      const unlink = this.#tree.within(group, name, async (folder) => {
        await disk.unlink(join(folder, aspect));
        if (options?.durable ?? true) await syncFolder(disk, folder);
      });
      await ignoring(['ENOENT', 'ENOTDIR'], unlink);
    });
  }

  async purge(group: Group, name: string, options?: SaveOptions): Promise<void> {
    checkNames(name);
    await this.#write(group, name, options, `remove ${describe(group, name)}`, () =>
      this.#tree.removeName(group, name, options, this.#later),
    );
  }

  async activate(
    name: string,
    files: ReadonlyMap<string, Buffer | string>,
    options?: Abortable,
  ): Promise<number | undefined> {
    checkNames(name, ...files.keys());
    for (const [aspect, value] of files) checkValue(describe('domains', name, aspect), value);
    return this.#write('domains', name, options, `activate ${name}`, async () => {
      try {
        await prepare(this.#tree, name, files, options?.signal);
        return await this.#swaps.take(name, () => this.#replace(name));
      } catch (error) {
        await abandon(this.#tree, name).catch(() => {});
        throw error;
      }
    });
  }

  async #replace(name: string): Promise<number | undefined> {
    this.#replacing.add(name);
    for (const names of this.#listings) names.add(name);
    try {
      return await finish(this.#tree, name);
    } finally {
      this.#replacing.delete(name);
    }
  }

  /** What httpd.json remembers of the server's listeners, undefined where it doesn't. */
  async servedProtocols(): Promise<ServedProtocols | undefined> {
    return readHttpdFile(this.#tree);
  }

  /** Keeps in httpd.json what the server listens for. */
  async saveServedProtocols(proto: ServedProtocols): Promise<void> {
    await this.#write('tmp', 'httpd.json', undefined, `save httpd.json in ${this.dir}`, () =>
      writeHttpdFile(this.#tree, proto),
    );
  }

  async #purgeAll(group: Group): Promise<void> {
    for (const name of await this.list(group)) await this.purge(group, name);
  }

  /** Reading: what isn't there is undefined, unless the whole store isn't. */
  async #read<T>(
    group: Group,
    names: readonly string[],
    options: Abortable | undefined,
    work: () => Promise<T>,
  ): Promise<T | undefined> {
    checkNames(...names);
    options?.signal?.throwIfAborted();
    const [name] = names;
    const there = () => ignoring(['ENOENT', 'ENOTDIR'], work());
    const swaps = group === 'domains' && name !== undefined;
    const found = await (swaps ? this.#swaps.take(name, there) : there()).catch((error: unknown) => {
      throw unreadable(error, [this.dir, group, ...names].join('/'));
    });
    if (found === undefined) await this.#assertThere();
    return found;
  }

  /** A folder that vanished (an unmounted disk) must not look like one where nothing was ever obtained. */
  async #assertThere(): Promise<void> {
    const { disk, dir } = this.#tree;
    if (!(await ignoring(['ENOTDIR'], disk.has(storeFilePath(dir))))) throw missing(dir);
  }

  async #write<T>(
    group: Group,
    name: string,
    options: Abortable | undefined,
    doing: string,
    work: () => Promise<T>,
  ): Promise<T> {
    if (this.#readOnly)
      throw new StoreError('denied', `can't ${doing}: the store was opened for reading only`);
    return this.#writes.take(`${group}/${name}`, async () => {
      options?.signal?.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        throw storeError(error, doing);
      }
    });
  }
}

function treeOf({ dir, disk, owner }: AttachOptions): Tree {
  return new Tree(resolve(dir), disk ?? systemDisk, owner);
}

function missing(dir: string): StoreError {
  return new StoreError(
    'missing',
    `there is no store in ${dir}: ${storeFilePath(dir)} does not exist; put it back, or have a reload or a start of the server make a new one`,
  );
}
