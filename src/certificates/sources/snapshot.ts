/**
 * What is cached, in an encrypted file, so that a server starts warm (DynSSLSnapshot). A name is found in it
 * without reading the rest, so how much there is does not delay the first handshake.
 *
 *     8       LKDYN002
 *     16      salt: the key is HKDF-SHA256 of the store's secret and this
 *     blocks  JSON of some entries each, sealed
 *     block   the index of the names (snapshot-index.ts), sealed
 *     8       where that begins, big-endian
 *
 * Sealed is 12 + 16 bytes AES-256-GCM nonce and tag, then what is encrypted; the block's number is authenticated
 * along. It is a cache: a block that is damaged is missing, and all the others count.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import * as v from 'valibot';
import { LatchkeyError, systemCode } from '../../base/errors.ts';
import { wildcardOf } from '../source.ts';
import { IndexBuilder, SnapshotIndex } from './snapshot-index.ts';

const MAGIC = Buffer.from('LKDYN002');
const SALT = 16;
const HEAD = MAGIC.length + SALT;
const TAIL = 8;
const NONCE = 12;
const TAG = 16;
const CIPHER = 'aes-256-gcm';
/** Bytes of text that a block has at least, but for the last: about ten certificates are read to find one. */
const BLOCK = 16 * 1024;
/** Bytes that are written at a time: each time costs a change of threads. */
const WRITTEN_AT_ONCE = 2 ** 20;
/** Number of the block that is the index. */
const INDEX = 2 ** 32 - 1;

const Entry = v.object({
  store: v.string(),
  /** The name that was asked for. */
  asked: v.string(),
  /** All that lead to it, the one that was asked for among them. */
  names: v.array(v.string()),
  tag: v.optional(v.string()),
  certificates: v.array(
    v.object({
      keyType: v.string(),
      chainPem: v.string(),
      keyPem: v.string(),
      serial: v.string(),
      notBefore: v.number(),
      notAfter: v.number(),
    }),
  ),
});
const Block = v.array(Entry);

export type SnapshotEntry = v.InferOutput<typeof Entry>;

/** Replaces the file, mode 0600, when all is written. Rejects with the system's error; the old file stays then. */
export async function writeSnapshot(
  file: string,
  secret: Uint8Array,
  entries: AsyncIterable<SnapshotEntry> | Iterable<SnapshotEntry>,
): Promise<void> {
  const part = `${file}.part`;
  try {
    // Of a writer that was killed, or of somebody else who may write here: it is not written through.
    await rm(part, { force: true });
    await using handle = await open(part, 'wx', 0o600);
    const salt = randomBytes(SALT);
    const writer = new BlockWriter(handle, keyOf(secret, salt));
    await handle.appendFile(Buffer.concat([MAGIC, salt]));
    for await (const entry of entries) await writer.add(entry);
    await writer.finish();
    await handle.sync();
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await rename(part, file);
}

class BlockWriter {
  readonly #handle: FileHandle;
  readonly #key: Buffer;
  readonly #index = new IndexBuilder();
  #texts: string[] = [];
  #names: [store: string, name: string][] = [];
  #length = 0;
  #at = HEAD;
  #unwritten: Buffer[] = [];
  #written = HEAD;

  constructor(handle: FileHandle, key: Buffer) {
    this.#handle = handle;
    this.#key = key;
  }

  async add(entry: SnapshotEntry): Promise<void> {
    const text = JSON.stringify(entry);
    this.#texts.push(text);
    this.#length += text.length;
    for (const name of entry.names) this.#names.push([entry.store, name]);
    if (this.#length < BLOCK) return;
    this.#endBlock();
    if (this.#at - this.#written >= WRITTEN_AT_ONCE) await this.#write();
  }

  async finish(): Promise<void> {
    if (this.#texts.length > 0) this.#endBlock();
    const at = Buffer.alloc(TAIL);
    at.writeBigUInt64BE(BigInt(this.#at));
    this.#unwritten.push(seal(this.#key, INDEX, this.#index.encode(this.#at)), at);
    await this.#write();
  }

  #endBlock(): void {
    const text = Buffer.from(`[${this.#texts.join(',')}]`);
    const sealed = seal(this.#key, this.#index.blocks, text);
    this.#index.addBlock(this.#at, this.#names);
    [this.#texts, this.#names, this.#length] = [[], [], 0];
    this.#unwritten.push(sealed);
    this.#at += sealed.length;
  }

  async #write(): Promise<void> {
    const bytes = Buffer.concat(this.#unwritten);
    this.#unwritten = [];
    this.#written = this.#at;
    await this.#handle.appendFile(bytes);
  }
}

/** A snapshot that is there, open. */
export class Snapshot implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #key: Buffer;
  readonly #index: SnapshotIndex;
  #closed: Promise<void> | undefined;

  /** Undefined where there is none. Rejects with LatchkeyError `snapshot-unusable`, or the system's error. */
  static async open(file: string, secret: Uint8Array): Promise<Snapshot | undefined> {
    const handle = await opened(file);
    if (!handle) return undefined;
    try {
      const head = await read(handle, 0, HEAD);
      if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw unusable('it is no snapshot of this version');
      const key = keyOf(secret, head.subarray(MAGIC.length));
      const end = (await handle.stat()).size - TAIL;
      const start = Number((await read(handle, end, TAIL)).readBigUInt64BE());
      const index = unseal(key, INDEX, await read(handle, start, end - start));
      return new Snapshot(handle, key, new SnapshotIndex(index));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private constructor(handle: FileHandle, key: Buffer, index: SnapshotIndex) {
    this.#handle = handle;
    this.#key = key;
    this.#index = index;
  }

  /** What `name` leads to, or the wildcard over it. Undefined where nothing does, or it is damaged. */
  async find(store: string, name: string): Promise<SnapshotEntry | undefined> {
    for (const candidate of [name, wildcardOf(name)]) {
      if (candidate === undefined) continue;
      for (const number of this.#index.find(store, candidate)) {
        const block = await this.#block(number);
        const found = block?.find((entry) => entry.store === store && entry.names.includes(candidate));
        if (found) return found;
      }
    }
    return undefined;
  }

  /** All, without what is damaged. */
  async *entries(): AsyncGenerator<SnapshotEntry> {
    for (let number = 0; number < this.#index.blocks; number++) yield* (await this.#block(number)) ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#handle.close();
    await this.#closed;
  }

  async #block(number: number): Promise<SnapshotEntry[] | undefined> {
    const { start, end } = this.#index.extent(number);
    try {
      const text = unseal(this.#key, number, await read(this.#handle, start, end - start));
      return v.parse(Block, JSON.parse(text.toString('utf8')));
    } catch {
      return undefined;
    }
  }
}

async function opened(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function read(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const { size } = await handle.stat();
  // Before there is a buffer for it: a damaged number may be anything.
  if (at < 0 || length < 0 || at + length > size) throw unusable('it is cut off');
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, at);
  if (bytesRead < length) throw unusable('it is cut off');
  return buffer;
}

function seal(key: Buffer, number: number, text: Buffer): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(numbered(number));
  const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

function unseal(key: Buffer, number: number, sealed: Buffer): Buffer {
  try {
    const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAAD(numbered(number)).setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE + TAG)), decipher.final()]);
  } catch {
    // Without a cause: it could quote a key.
    throw unusable('it is damaged, or of another store');
  }
}

function numbered(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}

function keyOf(secret: Uint8Array, salt: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, 'latchkey certificates by name', 32));
}

function unusable(why: string): LatchkeyError<'snapshot-unusable'> {
  return new LatchkeyError('snapshot-unusable', `the snapshot can't be read: ${why}`);
}
