/**
 * A disk that fails at the n-th change, to try every n: the process dies there, or the operation fails once. And
 * it can lose power: whatever was not synced is gone then, contents and names alike (a harsher filesystem than
 * most, which is the point).
 */
import * as fs from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { MakeDirectoryOptions } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { type Disk, type OpenFile, systemDisk } from './system-disk.ts';

/** A change of names in a folder. */
interface Change {
  /** The folders (inodes) that it is a change of: syncing one makes it durable. */
  readonly folders: readonly number[];
  readonly undo: () => Promise<unknown>;
}

type Trouble = { readonly kind: 'crash' } | { readonly kind: 'error'; readonly code: string };

export class Crash extends Error {}

export class FlakyDisk implements AsyncDisposable {
  /** Changes tried so far. */
  steps = 0;
  readonly disk: Disk;
  readonly #limbo: string;
  readonly #failAt: number;
  readonly #trouble: Trouble;
  #dead = false;
  #saved = 0;
  readonly #folders = new Map<number, FileHandle>();
  #changes: Change[] = [];
  /** Files whose content is not synced: inode to a spare name. */
  readonly #dirty = new Map<number, string>();

  /** `limbo`: an existing folder on the same filesystem. `failAt` counts from 0; Infinity for never. */
  constructor(limbo: string, failAt: number, trouble: Trouble = { kind: 'crash' }) {
    this.#limbo = limbo;
    this.#failAt = failAt;
    this.#trouble = trouble;
    const overrides: Partial<Record<keyof Disk, unknown>> = {
      open: (path: string, flags: string | number, mode?: number) => this.#open(path, flags, mode),
      mkdir: (path: string, options: MakeDirectoryOptions) => this.#mkdir(path, options),
      rename: (from: string, to: string) => this.#rename(from, to),
      unlink: (path: string) => this.#unlink(path),
      rmdir: (path: string) => this.#rmdir(path),
    };
    this.disk = new Proxy(systemDisk, {
      get: (target, name: keyof Disk) => {
        const operation = overrides[name] ?? target[name];
        return async (...args: unknown[]) => {
          if (this.#dead) throw new Crash('the process is dead');
          return Reflect.apply(operation as () => unknown, target, args);
        };
      },
    });
  }

  /** Loses what is not durable. The disk is of no more use then. */
  async losePower(): Promise<void> {
    this.#dead = true;
    for (const { undo } of this.#changes.reverse()) await undo().catch(() => {});
    for (const path of this.#dirty.values()) await fs.truncate(path, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#dead = true;
    for (const handle of this.#folders.values()) await handle.close();
  }

  #step(): void {
    const now = this.steps;
    this.steps += 1;
    if (now !== this.#failAt) return;
    if (this.#trouble.kind === 'error') {
      throw Object.assign(new Error(this.#trouble.code), { code: this.#trouble.code });
    }
    this.#dead = true;
    throw new Crash('the process dies here');
  }

  async #open(path: string, flags: string | number, mode?: number): Promise<OpenFile> {
    if (flags === 'wx') this.#step();
    const handle = await fs.open(path, flags, mode);
    const { ino } = await handle.stat();
    if (flags === 'wx') {
      // A second name, to find the file wherever it is renamed to.
      const spare = this.#spare();
      await fs.link(path, spare);
      this.#dirty.set(ino, spare);
      const lasting = await this.#lasting(path);
      await this.#note(path, () => fs.unlink(lasting));
    }
    return new Proxy(handle, { get: (target, name) => this.#handleMember(target, ino, name) });
  }

  #handleMember(handle: FileHandle, ino: number, name: string | symbol): unknown {
    const value: unknown = Reflect.get(handle, name, handle);
    if (typeof value !== 'function') return value;
    return async (...args: unknown[]) => {
      if (name !== 'close' && name !== Symbol.asyncDispose)
        await this.#beforeCall(handle, String(name), args);
      const result: unknown = await Reflect.apply(value, handle, args);
      if (name === 'sync') {
        this.#dirty.delete(ino);
        this.#changes = this.#changes.filter(({ folders }) => !folders.includes(ino));
      }
      return result;
    };
  }

  async #beforeCall(handle: FileHandle, name: string, args: unknown[]): Promise<void> {
    if (this.#dead) throw new Crash('the process is dead');
    if (!['writeFile', 'sync', 'chmod', 'chown'].includes(name)) return;
    try {
      this.#step();
    } catch (error) {
      // Dying in the middle of a write leaves half of it.
      if (name === 'writeFile') {
        const value = Buffer.from(args[0] as string);
        await handle.writeFile(value.subarray(0, Math.ceil(value.length / 2)));
      }
      throw error;
    }
  }

  async #mkdir(path: string, options: MakeDirectoryOptions): Promise<unknown> {
    this.#step();
    const made = await fs.mkdir(path, options);
    const lasting = await this.#lasting(path);
    await this.#note(path, () => fs.rm(lasting, { recursive: true }));
    return made;
  }

  async #rename(from: string, to: string): Promise<void> {
    this.#step();
    const replaced = await this.#keep(to);
    const [source, target] = [await this.#lasting(from), await this.#lasting(to)];
    await fs.rename(from, to);
    const undo = async () => {
      await fs.rename(target, source);
      if (replaced) await fs.rename(replaced, target);
    };
    await this.#note(to, undo, from);
  }

  async #unlink(path: string): Promise<void> {
    this.#step();
    const kept = await this.#keep(path);
    const lasting = await this.#lasting(path);
    await fs.unlink(path);
    await this.#note(path, async () => kept && fs.rename(kept, lasting));
  }

  async #rmdir(path: string): Promise<void> {
    this.#step();
    const lasting = await this.#lasting(path);
    await fs.rmdir(path);
    await this.#note(path, () => fs.mkdir(lasting));
  }

  async #note(path: string, undo: () => Promise<unknown>, other = path): Promise<void> {
    const [one, two] = [await fs.stat(dirname(path)), await fs.stat(dirname(other))];
    this.#changes.push({ folders: [one.ino, two.ino], undo });
  }

  /** A path that stays right when the folder is renamed; closed with the disk. */
  async #lasting(path: string): Promise<string> {
    const handle = await fs.open(dirname(path));
    const { ino } = await handle.stat();
    const known = this.#folders.get(ino);
    if (known) await handle.close();
    else this.#folders.set(ino, handle);
    return join(`/proc/self/fd/${(known ?? handle).fd}`, basename(path));
  }

  /** A second name of a file that is about to go; undefined where there is none. */
  async #keep(path: string): Promise<string | undefined> {
    const spare = this.#spare();
    return fs.link(path, spare).then(
      () => spare,
      () => undefined,
    );
  }

  #spare(): string {
    this.#saved += 1;
    return join(this.#limbo, String(this.#saved));
  }
}
