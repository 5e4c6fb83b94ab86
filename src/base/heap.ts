/** One entry: a name and when it is due (ms since the epoch). */
export interface Due {
  readonly name: string;
  readonly at: number;
}

/** A binary heap of names by due time; a name is in it once at most. All but shift() cost O(log n) or less. */
export class DueHeap {
  #entries: Due[] = [];
  readonly #places = new Map<string, number>();

  /** What is due first, or undefined when empty. */
  first(): Due | undefined {
    return this.#entries[0];
  }

  at(name: string): number | undefined {
    const place = this.#places.get(name);
    return place === undefined ? undefined : this.#entries[place]?.at;
  }

  /** Adds `name`, or moves it. */
  set(name: string, at: number): void {
    const place = this.#places.get(name) ?? this.#entries.length;
    this.#put(place, { name, at });
    this.#down(this.#up(place));
  }

  remove(name: string): void {
    const place = this.#places.get(name);
    if (place === undefined) return;
    this.#places.delete(name);
    const last = this.#entries.pop();
    if (!last || place === this.#entries.length) return;
    this.#put(place, last);
    this.#down(this.#up(place));
  }

  /** Moves every due time by `ms`. */
  shift(ms: number): void {
    this.#entries = this.#entries.map(({ name, at }) => ({ name, at: at + ms }));
  }

  #put(place: number, entry: Due): void {
    this.#entries[place] = entry;
    this.#places.set(entry.name, place);
  }

  #up(start: number): number {
    let place = start;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#swapIfEarlier(place, parent)) break;
      place = parent;
    }
    return place;
  }

  #down(start: number): void {
    let place = start;
    for (;;) {
      const left = 2 * place + 1;
      const child = this.#earlier(left, left + 1);
      if (child === undefined || !this.#swapIfEarlier(child, place)) return;
      place = child;
    }
  }

  #earlier(a: number, b: number): number | undefined {
    const [first, second] = [this.#entries[a], this.#entries[b]];
    if (!first) return undefined;
    return second && second.at < first.at ? b : a;
  }

  #swapIfEarlier(child: number, parent: number): boolean {
    const [lower, upper] = [this.#entries[child], this.#entries[parent]];
    if (!lower || !upper || lower.at >= upper.at) return false;
    this.#put(parent, lower);
    this.#put(child, upper);
    return true;
  }
}
