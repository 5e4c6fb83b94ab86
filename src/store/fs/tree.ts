import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import type { Group, SaveOptions } from '../store.ts';
import { discard, ignoring, makeFolder, setAccess, syncFolder, writeInPlace } from './disk.ts';
import type { Access, Owner } from './disk.ts';
import type { Disk } from './system-disk.ts';

interface Modes {
  readonly folder: number;
  readonly file: number;
}

const secret: Modes = { folder: 0o700, file: 0o600 };
const open: Modes = { folder: 0o755, file: 0o644 };

const modes: Readonly<Record<Group, Modes>> = {
  accounts: open,
  challenges: open,
  domains: secret,
  staging: open,
  archive: secret,
  ocsp: open,
  limits: open,
  crl: open,
  tmp: secret,
};

/** The groups that the engine writes, as another user than the one that opened the store. */
export const owned: readonly Group[] = ['challenges', 'staging', 'ocsp', 'limits', 'crl'];

/** The folders of a store: where things are, whose they are, and how to get there without being misled. */
export class Tree {
  readonly dir: string;
  readonly disk: Disk;
  readonly #owner: Owner | undefined;

  /** `owner` has effect only for root: nobody else could give files away. */
  constructor(dir: string, disk: Disk, owner: Owner | undefined) {
    this.dir = dir;
    this.disk = disk;
    this.#owner = process.geteuid?.() === 0 ? owner : undefined;
  }

  /** Of a group, or of a name in it. */
  path(group: Group, name = ''): string {
    return join(this.dir, group, name);
  }

  /** A fresh path under `tmp`: hidden, so never a name; what is left there is removed by the next open(). */
  scratch(): string {
    return this.path('tmp', hidden());
  }

  /** Whom the files of a group are given to; undefined: they stay ours. */
  ownerOf(group: Group): Owner | undefined {
    return owned.includes(group) ? this.#owner : undefined;
  }

  /** Mode and owner of the folders of a group. */
  folderAccess(group: Group): Access {
    return { mode: modes[group].folder, owner: this.ownerOf(group) };
  }

  /** Mode and owner of an aspect. Keys that answer challenges are plain, so for their owner's eyes only. */
  fileAccess(group: Group, aspect: string): Access {
    const plainKey = group === 'challenges' && aspect.includes('privkey');
    return { mode: plainKey ? 0o600 : modes[group].file, owner: this.ownerOf(group) };
  }

  /**
   * Works in a name's folder. Where root works in a folder of someone else's, that one could swap it for a link
   * at any time and have root's hand guided elsewhere: so the folder is opened first, refusing links, and gone
   * through by its handle.
   */
  async within<T>(group: Group, name: string, work: (folder: string) => Promise<T>): Promise<T> {
    const folder = this.path(group, name);
    if (!this.ownerOf(group) || process.platform !== 'linux') return work(folder);
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    await using handle = await this.disk.open(folder, flags);
    return await work(`/proc/self/fd/${handle.fd}`);
  }

  /** Writes one aspect, atomically and (unless told otherwise) durably, making the folders it needs. */
  async write(
    group: Group,
    name: string,
    aspect: string,
    value: Buffer | string,
    { durable = true, signal }: SaveOptions = {},
  ): Promise<void> {
    await this.#ensureName(group, name, durable);
    if (!owned.includes(group)) await this.need('tmp');
    await this.within(group, name, (folder) => {
      // Not every writer of an owned group may write in tmp.
      const temporary = owned.includes(group) ? join(folder, hidden()) : this.scratch();
      const target = join(folder, aspect);
      return writeInPlace(
        this.disk,
        { target, temporary, value, durable, ...this.fileAccess(group, aspect) },
        signal,
      );
    });
  }

  /**
   * Removes a name with all that is in its folder: at one stroke, where it can be moved to `tmp` and is to last. What
   * is there then is removed before this is fulfilled, or by `later` when it thinks fit.
   */
  async removeName(
    group: Group,
    name: string,
    { durable = true }: SaveOptions = {},
    later?: (remove: () => Promise<void>) => void,
  ): Promise<void> {
    const folder = this.path(group, name);
    // Node's rm() takes three times as many trips through the thread pool.
    if (!durable && !this.ownerOf(group)) return discard(this.disk, folder, () => this.path(group, hidden()));
    const moved = this.scratch();
    try {
      await this.disk.rename(folder, moved);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return;
      if (this.ownerOf(group)) throw error;
      // The engine may not write in `tmp`, and a full disk may have no room there for one name more.
      await this.disk.rm(folder, { recursive: true, force: true });
      return syncFolder(this.disk, this.path(group));
    }
    if (durable) await syncFolder(this.disk, this.path(group));
    const remove = () => discard(this.disk, moved, () => this.scratch());
    if (later) later(remove);
    else await remove();
  }

  /** Makes a group's folder, or brings its mode and owner to what they should be. */
  async ensureGroup(group: Group): Promise<void> {
    const folder = this.path(group);
    if (await makeFolder(this.disk, folder, this.folderAccess(group))) return syncFolder(this.disk, this.dir);
    await ignoring(['EPERM', 'EACCES'], setAccess(this.disk, folder, this.folderAccess(group)));
  }

  /** Makes a group's folder where there is none: other software makes them when it needs them. */
  async need(group: Group): Promise<void> {
    if (!(await this.disk.has(this.path(group)))) await this.ensureGroup(group);
  }

  async #ensureName(group: Group, name: string, durable: boolean): Promise<void> {
    const folder = this.path(group, name);
    if (await this.disk.has(folder)) return;
    await this.need(group);
    await this.#makeName(group, folder);
    if (durable) await syncFolder(this.disk, this.path(group));
  }

  async #makeName(group: Group, folder: string): Promise<void> {
    const access = this.folderAccess(group);
    if (!access.owner) {
      await makeFolder(this.disk, folder, access);
      return;
    }
    // Its owner could not write in a folder that a crash left ours: it appears when it is theirs.
    const made = this.scratch();
    await makeFolder(this.disk, made, access);
    const moved = ignoring(
      ['EEXIST', 'ENOTEMPTY', 'ENOTDIR'],
      this.disk.rename(made, folder).then(() => true),
    );
    if (!(await moved)) await this.disk.rmdir(made);
  }
}

function hidden(): string {
  return `.${randomUUID()}`;
}
