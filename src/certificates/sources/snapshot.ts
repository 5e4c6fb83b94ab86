/**
 * What is cached, in an encrypted file, so that a server starts warm (DynSSLSnapshot).
 *
 *     8       LKDYN001
 *     16      salt: the key is HKDF-SHA256 of the store's secret and this
 *     then for each entry:
 *     4       length of what follows, big-endian
 *     12, 16  AES-256-GCM: nonce and tag; the entry's number is authenticated along
 *     n       JSON, encrypted
 *
 * It is a cache: what is damaged, cut off, or of another secret ends the reading, and all before it counts.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import * as v from 'valibot';
import { LatchkeyError, systemCode } from '../../base/errors.ts';

const MAGIC = Buffer.from('LKDYN001');
const SALT = 16;
const NONCE = 12;
const TAG = 16;
const LONGEST = 2 ** 21;
const CIPHER = 'aes-256-gcm';

const Entry = v.object({
  store: v.string(),
  asked: v.string(),
  tag: v.optional(v.string()),
  chain: v.string(),
  key: v.string(),
});

export type SnapshotEntry = v.InferOutput<typeof Entry>;

/** Replaces the file, mode 0600, when all is written. Rejects with the system's error; the old file stays then. */
export async function writeSnapshot(
  file: string,
  secret: Uint8Array,
  entries: Iterable<SnapshotEntry>,
): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  const salt = randomBytes(SALT);
  const key = keyOf(secret, salt);
  try {
    await using handle = await open(part, 'w', 0o600);
    await handle.write(Buffer.concat([MAGIC, salt]));
    let number = 0;
    for (const entry of entries) await handle.write(seal(key, number++, entry));
    await handle.sync();
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  await rename(part, file);
}

/** Nothing where there is no file. Rejects with LatchkeyError `snapshot-unusable` at what can't be read. */
export async function* readSnapshot(file: string, secret: Uint8Array): AsyncGenerator<SnapshotEntry> {
  const bytes = new Bytes(file);
  const magic = await bytes.take(MAGIC.length);
  if (!magic) return;
  if (!magic.equals(MAGIC)) throw unusable('it is no snapshot of certificates');
  const salt = await bytes.take(SALT);
  const key = keyOf(secret, salt ?? Buffer.alloc(SALT));
  for (let number = 0; ; number++) {
    const length = (await bytes.take(4))?.readUInt32BE();
    if (length === undefined) return;
    if (length > LONGEST || length < NONCE + TAG) throw unusable('it is damaged');
    const sealed = await bytes.take(length);
    if (!sealed) throw unusable('it is cut off');
    yield unseal(key, number, sealed);
  }
}

function seal(key: Buffer, number: number, entry: SnapshotEntry): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(numbered(number));
  const text = Buffer.concat([cipher.update(JSON.stringify(entry)), cipher.final()]);
  const length = numbered(NONCE + TAG + text.length);
  return Buffer.concat([length, nonce, cipher.getAuthTag(), text]);
}

function unseal(key: Buffer, number: number, sealed: Buffer): SnapshotEntry {
  try {
    const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAAD(numbered(number)).setAuthTag(sealed.subarray(NONCE, NONCE + TAG));
    const text = Buffer.concat([decipher.update(sealed.subarray(NONCE + TAG)), decipher.final()]);
    return v.parse(Entry, JSON.parse(text.toString('utf8')));
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

/** A file, so many bytes at a time. */
class Bytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest = Buffer.alloc(0);

  constructor(file: string) {
    this.#chunks = createReadStream(file)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Undefined where there are not so many left, or there is no file. */
  async take(count: number): Promise<Buffer | undefined> {
    while (this.#rest.length < count) {
      const chunk = await this.#next();
      if (!chunk) return undefined;
      this.#rest = Buffer.concat([this.#rest, chunk]);
    }
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return taken;
  }

  async #next(): Promise<Buffer | undefined> {
    try {
      const { done, value } = await this.#chunks.next();
      return done ? undefined : value;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}
