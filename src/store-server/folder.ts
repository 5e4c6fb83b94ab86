/**
 * A folder of pairs NAME.crt and NAME.key as a certificate store. A name is found by its file, else by the names
 * inside of the certificates, wildcards last. What is answered is read at that moment; the index of the names
 * follows the folder.
 */
import { watch, type FSWatcher } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { systemCode } from '../base/errors.ts';
import { wildcardOf } from '../certificates/source.ts';
import { coversName, dnsNames, matchesKey, parseChain } from '../pki/certificate.ts';
import type { Certificate } from '../pki/certificate.ts';
import { keyFromPem, keyToPem } from '../pki/keys.ts';
import type { Pair } from './protocol.ts';

/** Bytes; a longer file is none of a pair. */
const LONGEST = 256 * 1024;
const ENDING = '.crt';

export interface FolderParts {
  /** Why a pair can't be used. Nothing of a key is in it. */
  readonly complain: (problem: string) => void;
}

export class PemFolder implements Disposable {
  readonly #dir: string;
  readonly #complain: FolderParts['complain'];
  readonly #watcher: FSWatcher | undefined;
  /** Names inside of certificates, by file (without ending); and the other way round. */
  readonly #names = new Map<string, readonly string[]>();
  readonly #files = new Map<string, string[]>();
  /** Files to be looked at before the index is asked. */
  readonly #changed = new Set<string>();
  /** Why a file is not served. */
  readonly #refused = new Map<string, string>();
  /** Something has changed that the system has not named, or there is no watching. */
  #allChanged = true;
  #reading: Promise<void> | undefined;

  /** `dir`: absolute. It may come to be later. */
  constructor(dir: string, { complain }: FolderParts) {
    this.#dir = dir;
    this.#complain = complain;
    this.#watcher = this.#watch();
  }

  /** The pair for `name`, of serverNameOf(). Rejects with the system's error where the folder can't be read. */
  async find(name: string): Promise<Pair | undefined> {
    const own = await this.#read(name);
    if (own && coversName({ names: dnsNames(own.leaf) }, name)) return own.pair;
    await this.update();
    return (await this.#latest(name, name)) ?? this.#latest(wildcardOf(name), name);
  }

  /** Brings the index up to date; the first time it reads the whole folder. */
  async update(): Promise<void> {
    while (this.#reading || this.#allChanged || this.#changed.size > 0) {
      this.#reading ??= this.#readChanges().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
      if (!this.#watcher) return;
    }
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
  }

  /** Undefined where the system can't; then each look-up that finds no file of its name reads all. */
  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#dir, { persistent: false }, (_event, file) => this.#note(file));
      return watcher.on('error', () => this.#note(null));
    } catch {
      return undefined;
    }
  }

  #note(file: string | null): void {
    if (file === null) this.#allChanged = true;
    else if (file.endsWith(ENDING)) this.#changed.add(file.slice(0, -ENDING.length));
  }

  async #readChanges(): Promise<void> {
    const all = this.#allChanged;
    this.#allChanged = this.#watcher === undefined;
    const files = all ? await this.#list() : [...this.#changed];
    for (const file of all ? [...this.#names.keys()].filter((known) => !files.includes(known)) : []) {
      this.#forget(file);
    }
    for (const file of files) {
      this.#changed.delete(file);
      await this.#index(file);
    }
  }

  async #list(): Promise<string[]> {
    try {
      const files = await readdir(this.#dir);
      return files.filter((file) => file.endsWith(ENDING)).map((file) => file.slice(0, -ENDING.length));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      this.#allChanged = true;
      throw error;
    }
  }

  async #index(file: string): Promise<void> {
    const chain = await this.#text(`${file}${ENDING}`);
    const leaf = chain === undefined ? undefined : this.#leafOf(chain, file);
    this.#forget(file);
    if (!leaf) return;
    const names = dnsNames(leaf);
    this.#names.set(file, names);
    for (const name of names) this.#files.set(name, [...(this.#files.get(name) ?? []), file]);
    await turn();
  }

  #forget(file: string): void {
    for (const name of this.#names.get(file) ?? []) {
      const others = this.#files.get(name)?.filter((other) => other !== file) ?? [];
      if (others.length > 0) this.#files.set(name, others);
      else this.#files.delete(name);
    }
    this.#names.delete(file);
  }

  /** Of the pairs with `known` among their names the one that lasts longest. */
  async #latest(known: string | undefined, name: string): Promise<Pair | undefined> {
    const files = known === undefined ? [] : (this.#files.get(known) ?? []);
    const found = (await Promise.all(files.map((file) => this.#read(file)))).filter(
      (one) => one !== undefined,
    );
    const fitting = found.filter(({ leaf }) => coversName({ names: dnsNames(leaf) }, name));
    return fitting.toSorted((a, b) => b.leaf.notAfter - a.leaf.notAfter)[0]?.pair;
  }

  /** Undefined for what is not there or is no pair. */
  async #read(file: string): Promise<{ readonly leaf: Certificate; readonly pair: Pair } | undefined> {
    const [cert, keyText] = await Promise.all([this.#text(`${file}${ENDING}`), this.#text(`${file}.key`)]);
    if (cert === undefined) return undefined;
    const leaf = this.#leafOf(cert, file);
    if (!leaf) return undefined;
    if (keyText === undefined) return this.#refuse(file, `there is no ${file}.key beside it`);
    try {
      const key = keyFromPem(keyText);
      if (!matchesKey(leaf, key)) return this.#refuse(file, `${file}.key is not its key`);
      this.#refused.delete(file);
      return { leaf, pair: { cert, key: keyToPem(key) } };
    } catch {
      // What a parser says of a key may quote it.
      return this.#refuse(file, `${file}.key is no plain private key in PEM`);
    }
  }

  #leafOf(chain: string, file: string): Certificate | undefined {
    try {
      return parseChain(chain)[0];
    } catch {
      return this.#refuse(file, 'there is no certificate in it');
    }
  }

  /** Said once for each change: everybody may ask any number of times. */
  #refuse(file: string, why: string): undefined {
    if (this.#refused.get(file) === why) return undefined;
    this.#refused.set(file, why);
    this.#complain(`${join(this.#dir, `${file}${ENDING}`)} is not served: ${why}`);
    return undefined;
  }

  async #text(file: string): Promise<string | undefined> {
    const path = join(this.#dir, file);
    try {
      const { size, isFile } = await stateOf(path);
      if (!isFile || size > LONGEST) return '';
      return await readFile(path, 'latin1');
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
      throw error;
    }
  }
}

/** Before it is opened: a FIFO would keep whoever opens it waiting. */
async function stateOf(path: string): Promise<{ readonly size: number; readonly isFile: boolean }> {
  const state = await stat(path);
  return { size: state.size, isFile: state.isFile() };
}
