import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';

const length = 48;

/**
 * The secret of a store: 48 random bytes, kept base64url-encoded in md_store.json. The raw bytes are the
 * passphrase of the private keys in `staging` and `accounts`. It prints as `StoreKey`, wherever it ends up.
 */
export class StoreKey {
  readonly #bytes: Buffer;

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
