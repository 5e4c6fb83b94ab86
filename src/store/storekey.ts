import { randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import { LRUCache } from 'lru-cache';
import { keyFromPem } from '../pki/keys.ts';
import { sealKey } from '../pki/sealed-key.ts';

const length = 48;

/** Decrypted keys remembered: one renewal reads its key several times, and each time takes that of a signature. */
const REMEMBERED = 64;

/**
 * The secret of a store: 48 random bytes, kept base64url-encoded in md_store.json. The raw bytes are the
 * passphrase of the private keys in `staging` and `accounts`. It prints as `StoreKey`, wherever it ends up.
 */
export class StoreKey {
  readonly #bytes: Buffer;
  readonly #sealed = new WeakMap<KeyObject, string>();
  /** By their encrypted PEM. */
  readonly #opened = new LRUCache<string, KeyObject>({ max: REMEMBERED });

  /** `bytes` are copied; RangeError unless there are 48. */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== length) throw new RangeError(`a store key has ${length} bytes, not ${bytes.length}`);
    this.#bytes = Buffer.from(bytes);
  }

  static generate(): StoreKey {
    return new StoreKey(randomBytes(length));
  }

  /** From base64url as in md_store.json, or undefined where that isn't a key. */
  static parse(text: string): StoreKey | undefined {
    const bytes = Buffer.from(text, 'base64url');
    if (bytes.length !== length || bytes.toString('base64url') !== text) return undefined;
    return new StoreKey(bytes);
  }

  /** The secret as md_store.json holds it: for that file and for handing it to the engine, nothing else. */
  encode(): string {
    return this.#bytes.toString('base64url');
  }

  /** The secret as the passphrase of a private key. */
  passphrase(): Buffer {
    return Buffer.from(this.#bytes);
  }

  /** A private key as encrypted PEM. */
  seal(key: KeyObject): string {
    const known = this.#sealed.get(key);
    if (known !== undefined) return known;
    const pem = sealKey(key, this.#bytes);
    this.#sealed.set(key, pem);
    this.#opened.set(pem, key);
    return pem;
  }

  /** Whether open() has the key of this PEM at hand. */
  knows(pem: string): boolean {
    return this.#opened.has(pem);
  }

  /**
   * The key of a PEM, which need not be encrypted.
   * @throws PkiError as keyFromPem()
   */
  open(pem: string): KeyObject {
    const known = this.#opened.get(pem);
    if (known) return known;
    const key = keyFromPem(pem, this.passphrase());
    if (pem.includes('ENCRYPTED')) this.#opened.set(pem, key);
    return key;
  }

  toJSON(): string {
    return 'StoreKey';
  }

  toString(): string {
    return 'StoreKey';
  }

  [inspect.custom](): string {
    return 'StoreKey';
  }
}
