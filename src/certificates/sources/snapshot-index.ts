/**
 * Where in a snapshot names are, so that one of them is found without reading the rest: a few bytes for each name,
 * searched as they are read.
 *
 *     4       number of blocks, big-endian
 *     8 each  where they begin and the last one ends in the file (doubles, big-endian)
 *     8 each  for each name: 40 bits of its hash, 24 of its block's number, big-endian, sorted
 */
import { createHash } from 'node:crypto';

const RECORD = 8;

export class IndexBuilder {
  readonly #starts: number[] = [];
  readonly #records: bigint[] = [];

  /** How many there are by now. */
  get blocks(): number {
    return this.#starts.length;
  }

  /** `at`: where the next block begins. */
  addBlock(at: number, names: Iterable<readonly [store: string, name: string]>): void {
    const number = BigInt(this.#starts.length);
    for (const [store, name] of names) this.#records.push((hashOf(store, name) << 24n) | number);
    this.#starts.push(at);
  }

  /** `end`: of the last block. */
  encode(end: number): Buffer {
    const bounds = [...this.#starts, end];
    const bytes = Buffer.alloc(4 + RECORD * (bounds.length + this.#records.length));
    let at = bytes.writeUInt32BE(this.#starts.length);
    for (const bound of bounds) at = bytes.writeDoubleBE(bound, at);
    for (const record of BigUint64Array.from(this.#records).toSorted())
      at = bytes.writeBigUInt64BE(record, at);
    return bytes;
  }
}

/** Of bytes that are known to be what IndexBuilder made. */
export class SnapshotIndex {
  readonly #bytes: Buffer;
  readonly #records: number;
  readonly blocks: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.blocks = bytes.readUInt32BE();
    this.#records = 4 + RECORD * (this.blocks + 1);
  }

  /** Where a block lies in the file. */
  extent(block: number): { readonly start: number; readonly end: number } {
    const at = 4 + RECORD * block;
    return { start: this.#bytes.readDoubleBE(at), end: this.#bytes.readDoubleBE(at + RECORD) };
  }

  /** Numbers of the blocks that may have a name. */
  *find(store: string, name: string): Generator<number> {
    const hash = hashOf(store, name);
    for (let at = this.#firstOf(hash); at < this.#bytes.length; at += RECORD) {
      const record = this.#bytes.readBigUInt64BE(at);
      if (record >> 24n !== hash) return;
      yield Number(record & 0xff_ff_ffn);
    }
  }

  /** Where the records of this hash, or the ones after it, begin. */
  #firstOf(hash: bigint): number {
    let [low, high] = [0, (this.#bytes.length - this.#records) / RECORD];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#bytes.readBigUInt64BE(this.#records + RECORD * middle) >> 24n < hash) low = middle + 1;
      else high = middle;
    }
    return this.#records + RECORD * low;
  }
}

function hashOf(store: string, name: string): bigint {
  return BigInt(createHash('sha256').update(`${store} ${name}`).digest().readUIntBE(0, 5));
}
