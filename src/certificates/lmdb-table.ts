/**
 * The certificate table in an LMDB environment: one process writes, all read through a shared memory map.
 *
 * Three kinds of records in one tree: `s` + id: a set's blob; `n` + scope and name: the id; `c` + hash: an issuer
 * chain's blob, with `r` + hash: how many sets refer to it (decimal).
 *
 * Everything is written by synchronous transactions, after the space for them was taken (reserve.ts).
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import type { RootDatabase } from 'lmdb';
import { LatchkeyError } from '../base/errors.ts';
import { chainsOf, decodeSet, encodeSet, isChain, versionOf } from './blob.ts';
import type { CertificateSet, CertificateTable, CertificateTableReader, NamedSet } from './table.ts';
import { makeRoom, Reserve } from './reserve.ts';
import type { Demand } from './reserve.ts';
import { bootId, claimFolder, isOurs, newRecord, readRecord, writeRecord } from './table-record.ts';
import type { TableRecord } from './table-record.ts';
import { makeStamp, TableStamp } from './table-stamp.ts';

type Database = RootDatabase<Buffer, string>;

export interface TableLocation {
  /** The table's folder (chooseTableDir() finds one). Nothing else may be in it. */
  readonly dir: string;
}

export interface WritableTableOptions extends TableLocation {
  /** Bytes of address space; grows by itself beyond. Default 4 GiB, of which only what is stored takes memory. */
  readonly mapSize?: number;
  /** Begins with an empty table whatever is there: for after a crash that the table may have caused. */
  readonly fresh?: boolean;
}

/**
 * Opens the table to write it; one process does. What another format, another user or the time before the last
 * boot left there is thrown away: the table is a cache. Throws LatchkeyError `table-unusable`.
 */
export function openTableForWriting(options: WritableTableOptions): LmdbTable {
  claimFolder(options.dir);
  const old = options.fresh ? undefined : readRecord(options.dir);
  // Damaged files make LMDB crash the process. Without a record they are not opened a second time.
  rmSync(join(options.dir, 'table.json'), { force: true });
  if (old && isOurs(options.dir, [fileOf(options.dir)])) {
    try {
      const table = openTable(options, old);
      writeRecord(options.dir, old);
      return table;
    } catch {
      // Not a database any more: it is made anew.
    }
  }
  for (const name of ['certificates.mdb', 'certificates.mdb-lock']) {
    rmSync(join(options.dir, name), { force: true });
  }
  const record = newRecord();
  try {
    makeRoom(fileOf(options.dir));
    makeStamp(stampOf(options.dir));
    const table = openTable(options, record);
    // Last: a table without its record is one that was never finished.
    writeRecord(options.dir, record);
    return table;
  } catch (cause) {
    throw new LatchkeyError('table-unusable', `The certificate table in ${options.dir} cannot be made`, {
      cause,
    });
  }
}

/**
 * Opens the table to read it. Throws LatchkeyError `table-unusable` where there is none of this format, of this
 * user and of this boot: its writer must have opened it before. The user who opens it must be able to write the
 * lock file; afterwards the process may give up its rights. While the writer is opening it, there is none: try
 * again.
 */
export function openTableForReading(options: TableLocation): LmdbTableReader {
  const record = readRecord(options.dir);
  const files = [fileOf(options.dir), stampOf(options.dir)];
  if (!record || !isOurs(options.dir, files)) {
    throw new LatchkeyError(
      'table-unusable',
      `There is no certificate table for this process in ${options.dir}`,
    );
  }
  try {
    const stamp = new TableStamp(stampOf(options.dir), 'read');
    return new LmdbTableReader(openDatabase(options, true), record, stamp);
  } catch (cause) {
    throw new LatchkeyError('table-unusable', `The certificate table in ${options.dir} cannot be read`, {
      cause,
    });
  }
}

function openTable(options: WritableTableOptions, record: TableRecord): LmdbTable {
  const stamp = new TableStamp(stampOf(options.dir), 'advance');
  // Who wrote it last may have died between a transaction and its stamp.
  stamp.advance();
  const database = openDatabase(options, false);
  return new LmdbTable(database, record, stamp, new Reserve(fileOf(options.dir), database));
}

function fileOf(dir: string): string {
  return join(dir, 'certificates.mdb');
}

function stampOf(dir: string): string {
  return join(dir, 'certificates.stamp');
}

function openDatabase(options: WritableTableOptions, readOnly: boolean): Database {
  const settings = {
    path: fileOf(options.dir),
    encoding: 'binary' as const,
    mapSize: options.mapSize ?? 4 * 2 ** 30,
    // Undocumented, like its default 0664: the tests look at the files.
    permissionsMode: 0o600,
    // A table of another boot is thrown away, so nothing need be flushed; without a boot id everything is.
    noSync: bootId() !== undefined,
    readOnly,
  };
  return open<Buffer, string>(settings);
}

export class LmdbTableReader implements CertificateTableReader {
  protected readonly database: Database;
  /** Differs for every table made; equal for all who opened the same one. */
  readonly generation: string;
  protected readonly stamp: TableStamp;
  protected closed = false;

  constructor(database: Database, record: TableRecord, stamp: TableStamp) {
    this.database = database;
    this.generation = record.generation;
    this.stamp = stamp;
  }

  changes(): number {
    return this.closed ? NaN : this.stamp.recent();
  }

  refresh(): void {
    this.stamp.refresh();
  }

  get(id: string): CertificateSet | undefined {
    return this.atOnce(() => {
      const blob = this.read(setKey(id));
      // A copy, because chains are read while it is decoded.
      return blob && decodeSet(Buffer.from(blob), (hash) => this.chain(hash));
    });
  }

  version(id: string): string | undefined {
    return this.atOnce(() => {
      const blob = this.read(setKey(id));
      return blob && versionOf(blob);
    });
  }

  find(scope: string, name: string): string | undefined {
    return this.atOnce(() => this.read(nameKey(scope, name))?.toString());
  }

  /**
   * Reads one state of the table, and lets go of it. By itself lmdb keeps it for a millisecond or more: the next
   * read would miss what was written since, and the writer could not use the pages it frees.
   */
  protected atOnce<Found>(work: () => Found): Found {
    try {
      return work();
    } finally {
      if (!this.closed) this.database.resetReadTxn();
    }
  }

  protected chain(hash: string): Buffer | undefined {
    const blob = this.read(`c${hash}`);
    return blob && isChain(blob, hash) ? Buffer.from(blob) : undefined;
  }

  /** Valid until the next read. Whatever goes wrong is a miss: the table is a cache. */
  protected read(key: string): Buffer | undefined {
    if (this.closed || key.length > LONGEST_KEY) return undefined;
    try {
      const bytes = this.database.getBinaryFast(key);
      // LMDB's own buffer has a `length` that is not its byteLength.
      return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    } catch {
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    if (this.closed) return;
    this.closed = true;
    this.stamp[Symbol.dispose]();
    void this.database.close();
  }
}

export class LmdbTable extends LmdbTableReader implements CertificateTable {
  readonly #reserve: Reserve;

  constructor(database: Database, record: TableRecord, stamp: TableStamp, reserve: Reserve) {
    super(database, record, stamp);
    this.#reserve = reserve;
  }

  put(id: string, set: Omit<CertificateSet, 'version'>): 'stored' | 'unchanged' | 'full' {
    const { blob, version, chains } = encodeSet(set);
    const key = checked(setKey(id));
    // get() and not version(): what cannot be read any more is written again.
    if (this.get(id)?.version === version) return 'unchanged';
    const old = this.#chainsOf(key);
    const demand = {
      records: 1 + 2 * (chains.size + old.length),
      bytes: [blob, ...chains.values()].reduce((sum, { length }) => sum + length, 0),
      adds: this.version(id) === undefined,
    };
    return this.#write('stored', demand, () => {
      for (const [hash, chain] of chains) {
        if (!this.chain(hash)) this.database.putSync(`c${hash}`, chain);
      }
      this.#count(old, -1, chains);
      this.#count(chains.keys(), 1, chains);
      this.database.putSync(key, blob);
    });
  }

  point(scope: string, names: readonly string[], id: string): 'stored' | 'full' {
    const keys = names.map((name) => checked(nameKey(scope, name)));
    const value = Buffer.from(id);
    const demand = { records: keys.length, bytes: keys.length * value.length, adds: true };
    return this.#write('stored', demand, () => {
      for (const key of keys) this.database.putSync(key, value);
    });
  }

  unpoint(scope: string, names: readonly string[]): 'removed' | 'full' {
    const keys = names.map((name) => checked(nameKey(scope, name)));
    return this.#write('removed', { records: keys.length, bytes: 0, adds: false }, () => {
      for (const key of keys) this.database.removeSync(key);
    });
  }

  remove(id: string): 'removed' | 'full' {
    const key = checked(setKey(id));
    const chains = this.#chainsOf(key);
    return this.#write('removed', { records: 1 + 2 * chains.length, bytes: 0, adds: false }, () => {
      this.#count(chains, -1);
      this.database.removeSync(key);
    });
  }

  forget(scope: string, sets: Iterable<NamedSet>): 'removed' | 'full' {
    const all = Array.from(sets, ({ id, names }) => ({
      id,
      names: Array.from(names, (name) => checked(nameKey(scope, name))),
    }));
    for (let start = 0; start < all.length; start += FORGOTTEN_AT_ONCE) {
      const some = all.slice(start, start + FORGOTTEN_AT_ONCE);
      if (this.#forget(some) === 'removed') continue;
      // A full filesystem has room for one after the other, if for any.
      if (some.some((one) => this.#forget([one]) === 'full')) return 'full';
    }
    return 'removed';
  }

  #forget(sets: readonly { readonly id: string; readonly names: readonly string[] }[]): 'removed' | 'full' {
    const chains = sets.map(({ id }) => this.#chainsOf(checked(setKey(id))));
    const records = sets.reduce(
      (sum, { names }, at) => sum + 1 + names.length + 2 * (chains[at]?.length ?? 0),
      0,
    );
    return this.#write('removed', { records, bytes: 0, adds: false }, () => {
      for (const [at, { id, names }] of sets.entries()) {
        for (const key of names) if (this.read(key)?.toString() === id) this.database.removeSync(key);
        this.#count(chains[at] ?? [], -1);
        this.database.removeSync(setKey(id));
      }
    });
  }

  ids(): Iterable<string> {
    return [...this.database.getKeys({ start: 's', end: 't' })].map((key) => key.slice(1));
  }

  /**
   * Frees the pages that readers held who died (kill -9): to be called after a worker's death, or the table grows
   * from write to write. Gives how many there were.
   */
  readerCheck(): number {
    return this.database.readerCheck();
  }

  #chainsOf(key: string): string[] {
    return this.atOnce(() => {
      const blob = this.read(key);
      return blob ? chainsOf(Buffer.from(blob)) : [];
    });
  }

  /** Counts references to chains; one that nobody refers to goes, unless it is in `keep`. */
  #count(hashes: Iterable<string>, change: 1 | -1, keep?: ReadonlyMap<string, Buffer>): void {
    for (const hash of hashes) {
      const count = Number(this.read(`r${hash}`)?.toString() ?? 0) + change;
      if (count > 0 || keep?.has(hash)) {
        this.database.putSync(`r${hash}`, Buffer.from(String(Math.max(count, 0))));
      } else {
        this.database.removeSync(`r${hash}`);
        this.database.removeSync(`c${hash}`);
      }
    }
  }

  #write<Done>(done: Done, demand: Demand, work: () => void): Done | 'full' {
    try {
      if (!this.#reserve.take(demand)) return 'full';
      this.database.transactionSync(work);
      this.stamp.advance();
      return done;
    } catch (cause) {
      throw new LatchkeyError('table-unwritable', 'The certificate table cannot be written', { cause });
    }
  }

  override [Symbol.dispose](): void {
    if (this.closed) return;
    super[Symbol.dispose]();
    this.#reserve[Symbol.dispose]();
  }
}

/** Sets: the space for what a transaction removes is taken beforehand, which for 50 is some 2 MB. */
const FORGOTTEN_AT_ONCE = 50;
/** LMDB's limit is 1978 bytes; a character may take three of them. */
const LONGEST_KEY = 600;

function setKey(id: string): string {
  return `s${id}`;
}

/** The length makes it unambiguous where the scope ends, whatever is in it. */
function nameKey(scope: string, name: string): string {
  return `n${scope.length}:${scope}${name}`;
}

function checked(key: string): string {
  if (key.length <= LONGEST_KEY) return key;
  throw new LatchkeyError('table-bad-key', `A name of ${key.length} characters is too long for the table`);
}
