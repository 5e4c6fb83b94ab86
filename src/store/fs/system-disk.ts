/**
 * The filesystem of the system. Looking and reading (small files, in the kernel's caches) is done at once: by way of
 * the thread pool it would take ten times the CPU, which was most of what a certificate cost. Whatever may have to
 * wait for the disk, every change of names and fsync, leaves the thread.
 */
import * as fs from 'node:fs';
import { lchown, mkdir, rename, rm, rmdir, unlink } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';

/** The operations on a filesystem that a store is made of: tests put one below that fails or loses power. */
export interface Disk {
  open(path: string, flags: string | number, mode?: number): Promise<OpenFile>;
  mkdir(path: string, options: { readonly mode: number; readonly recursive?: boolean }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  rm(path: string, options: { readonly recursive: true; readonly force: true }): Promise<void>;
  readdir(path: string): Promise<fs.Dirent[]>;
  /** Whether lstat() would find something: at a third of its cost where it does. */
  has(path: string): Promise<boolean>;
  lstat(path: string): Promise<fs.Stats>;
  stat(path: string): Promise<fs.Stats>;
  lchown(path: string, uid: number, gid: number): Promise<void>;
}

export interface OpenFile extends AsyncDisposable {
  readonly fd: number;
  stat(): Promise<fs.Stats>;
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  writeFile(data: Buffer | string): Promise<void>;
  chmod(mode: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** How long work on the store may keep everything else waiting, ms. */
const STRETCH = 5;

export const systemDisk: Disk = createSystemDisk();

function createSystemDisk(): Disk {
  /** When the present stretch of work began; undefined once others had their turn. */
  let began: number | undefined;

  /** Nothing below waits for anything: a loop over many domains would let nobody else have a turn. */
  const others = async () => {
    const now = performance.now();
    if (began === undefined) {
      began = now;
      setImmediate(() => (began = undefined));
    } else if (now - began > STRETCH) await turn();
  };

  return {
    async open(path, flags, mode) {
      if (flags === 'wx') return new SystemFile(await open(path, flags, mode));
      await others();
      return new SystemFile(fs.openSync(path, flags, mode));
    },
    async readdir(path) {
      await others();
      return fs.readdirSync(path, { withFileTypes: true });
    },
    async has(path) {
      await others();
      return fs.existsSync(path) || fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
    },
    async lstat(path) {
      await others();
      return fs.lstatSync(path);
    },
    async stat(path) {
      await others();
      return fs.statSync(path);
    },
    mkdir,
    rename,
    unlink,
    rmdir,
    rm,
    lchown,
  };
}

const open = promisify(fs.open);
const fsync = promisify(fs.fsync);

class SystemFile implements OpenFile {
  readonly fd: number;
  #open = true;

  constructor(fd: number) {
    this.fd = fd;
  }

  async stat(): Promise<fs.Stats> {
    return fs.fstatSync(this.fd);
  }

  async read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }> {
    return { bytesRead: fs.readSync(this.fd, buffer, offset, length, position) };
  }

  async writeFile(data: Buffer | string): Promise<void> {
    fs.writeFileSync(this.fd, data);
  }

  async chmod(mode: number): Promise<void> {
    fs.fchmodSync(this.fd, mode);
  }

  async chown(uid: number, gid: number): Promise<void> {
    fs.fchownSync(this.fd, uid, gid);
  }

  sync(): Promise<void> {
    return fsync(this.fd);
  }

  async close(): Promise<void> {
    // A number that is closed twice may be another file's by then.
    if (!this.#open) return;
    this.#open = false;
    fs.closeSync(this.fd);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
