/**
 * Which entries go when there is no room: segmented LRU. Who was used again after arriving is protected; who was
 * asked for once, by a scanner say, goes first. Bounded in bytes.
 */

/** The share of all bytes that may be protected. */
const PROTECTED = 0.8;

interface Segment {
  /** From the one used longest ago to the one used last. */
  readonly sizes: Map<string, number>;
  bytes: number;
}

export class Slru {
  readonly #new: Segment = { sizes: new Map(), bytes: 0 };
  readonly #protected: Segment = { sizes: new Map(), bytes: 0 };
  /** May be changed: `full` tells whether something is to go by then. */
  max: number;

  constructor(max: number) {
    this.max = max;
  }

  get bytes(): number {
    return this.#new.bytes + this.#protected.bytes;
  }

  get count(): number {
    return this.#new.sizes.size + this.#protected.sizes.size;
  }

  /** Adds an entry, or changes the size of one without using it. */
  set(id: string, size: number): void {
    const segment = this.#protected.sizes.has(id) ? this.#protected : this.#new;
    segment.bytes += size - (segment.sizes.get(id) ?? 0);
    segment.sizes.set(id, size);
  }

  use(id: string): void {
    const size = take(this.#protected, id) ?? take(this.#new, id);
    if (size === undefined) return;
    put(this.#protected, id, size);
    while (this.#protected.bytes > PROTECTED * this.max && this.#protected.sizes.size > 1) {
      const [oldest] = this.#protected.sizes;
      if (oldest) put(this.#new, oldest[0], take(this.#protected, oldest[0]) ?? 0);
    }
  }

  delete(id: string): void {
    if (take(this.#new, id) === undefined) take(this.#protected, id);
  }

  /** Who is to go first. */
  get oldest(): string | undefined {
    const [id] = this.#new.sizes.size > 0 ? this.#new.sizes.keys() : this.#protected.sizes.keys();
    return id;
  }

  get full(): boolean {
    return this.bytes > this.max;
  }

  *ids(): Generator<string> {
    yield* this.#new.sizes.keys();
    yield* this.#protected.sizes.keys();
  }
}

function take(segment: Segment, id: string): number | undefined {
  const size = segment.sizes.get(id);
  if (size === undefined) return undefined;
  segment.sizes.delete(id);
  segment.bytes -= size;
  return size;
}

function put(segment: Segment, id: string, size: number): void {
  segment.sizes.set(id, size);
  segment.bytes += size;
}
