/**
 * A number in a file beside a shared table, another one after each of its transactions. Whoever has looked something
 * up can tell by one system call that it is still so; asking LMDB costs its readers a transaction and a timer.
 */
import { closeSync, constants, openSync, readSync, writeFileSync, writeSync } from 'node:fs';

/** ms that a look at it counts: busy workers look some hundred times a second, not for each of their handshakes. */
const COUNTS_FOR = 5;
const SIZE = 8;
/** Of the number: what a double holds. */
const DIGITS = 6;

/** For a table that is made. Throws the system's error. */
export function makeStamp(path: string): void {
  // Its room is taken once: what is written later takes none of a full filesystem.
  writeFileSync(path, Buffer.alloc(SIZE), { mode: 0o600 });
}

export class TableStamp implements Disposable {
  readonly #file: number;
  readonly #bytes = Buffer.alloc(SIZE);
  #seen = NaN;
  /** By performance.now(), which nobody sets back. */
  #seenAt = -Infinity;

  /** Throws the system's error where there is none. */
  constructor(path: string, use: 'read' | 'advance') {
    this.#file = openSync(
      path,
      (use === 'read' ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NOFOLLOW,
    );
  }

  /** As it was at most 5 ms ago, and not before the last refresh(). */
  recent(): number {
    const now = performance.now();
    if (now - this.#seenAt >= COUNTS_FOR) {
      this.#seen = this.read();
      this.#seenAt = now;
    }
    return this.#seen;
  }

  refresh(): void {
    this.#seenAt = -Infinity;
  }

  /** NaN where it can't be read: equal to nothing that was read before. */
  read(): number {
    try {
      const taken = readSync(this.#file, this.#bytes, 0, SIZE, 0);
      return taken === SIZE ? this.#bytes.readUIntLE(0, DIGITS) : NaN;
    } catch {
      return NaN;
    }
  }

  /** Once what has changed can be read by all, and before anybody is told. Throws the system's error. */
  advance(): void {
    const before = this.read();
    this.#bytes.writeUIntLE(((before || 0) + 1) % 2 ** (8 * DIGITS), 0, DIGITS);
    writeSync(this.#file, this.#bytes, 0, SIZE, 0);
    this.refresh();
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
