/** Documents kept in a folder, one JSON file each, and in memory: what the ACME server remembers. */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { isPart, syncFolder, writeDurable } from '../base/durable.ts';
import { explain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export interface Kept {
  /** Names the file: base64url or hex. */
  readonly id: string;
}

const FILE = /^[\w-]{1,64}\.json$/;

/**
 * What a change promises: it is on the disk before its promise is fulfilled, and readers see nothing that is not
 * on the disk. Changes of one document happen one after the other; a write that fails rejects and changes nothing.
 * A file that can't be read at start is said in the log and left alone.
 */
export class Collection<T extends Kept> {
  readonly #dir: string;
  readonly #values: Map<string, T>;
  readonly #busy = new Map<string, Promise<unknown>>();
  /** Told of each change when readers see it; undefined for what isn't there. */
  onChange: ((before: T | undefined, after: T | undefined) => void) | undefined;

  private constructor(dir: string, values: Map<string, T>) {
    this.#dir = dir;
    this.#values = values;
  }

  static async open<T extends Kept>(
    dir: string,
    schema: v.GenericSchema<unknown, T>,
    logger: Logger,
  ): Promise<Collection<T>> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const values = new Map<string, T>();
    for (const name of await readdir(dir)) {
      if (isPart(name)) await rm(join(dir, name), { force: true });
      if (!FILE.test(name)) continue;
      const value = await loadDocument(join(dir, name), schema, logger);
      if (value && `${value.id}.json` === name) values.set(value.id, value);
    }
    return new Collection(dir, values);
  }

  get size(): number {
    return this.#values.size;
  }

  get(id: string): T | undefined {
    return this.#values.get(id);
  }

  values(): IterableIterator<T> {
    return this.#values.values();
  }

  /** Adds a document, or replaces the one of the same id. */
  put(value: T): Promise<T> {
    return this.#inTurn(value.id, () => this.#write(value));
  }

  /** Replaces a document by what `change` makes of it; undefined where there is none (any more). */
  update(id: string, change: (current: T) => T): Promise<T | undefined> {
    return this.#inTurn(id, async () => {
      const current = this.#values.get(id);
      return current && this.#write(change(current));
    });
  }

  remove(id: string): Promise<void> {
    return this.#inTurn(id, async () => {
      const before = this.#values.get(id);
      if (!this.#values.delete(id)) return;
      this.onChange?.(before, undefined);
      await rm(this.#file(id), { force: true });
      await syncFolder(this.#dir);
    });
  }

  async #write(value: T): Promise<T> {
    await writeDurable(this.#file(value.id), JSON.stringify(value), { mode: 0o600 });
    const before = this.#values.get(value.id);
    this.#values.set(value.id, value);
    this.onChange?.(before, value);
    return value;
  }

  #inTurn<R>(id: string, task: () => Promise<R>): Promise<R> {
    const turn = (this.#busy.get(id) ?? Promise.resolve()).then(task, task).finally(() => {
      if (this.#busy.get(id) === turn) this.#busy.delete(id);
    });
    this.#busy.set(id, turn);
    return turn;
  }

  #file(id: string): string {
    return join(this.#dir, `${id}.json`);
  }
}

/** One document of a file, or undefined (and a line in the log) where it is unreadable or garbage. */
export async function loadDocument<T>(
  file: string,
  schema: v.GenericSchema<unknown, T>,
  logger: Logger,
): Promise<T | undefined> {
  try {
    return v.parse(schema, JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    logger.warn(`${file} is no document of the local CA (${explain(error)}): it is left alone`);
    return undefined;
  }
}
