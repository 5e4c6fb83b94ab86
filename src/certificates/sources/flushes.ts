/**
 * What was flushed while something was being fetched: an answer from before a flush must not come back by the
 * back door. Counted for the status page, too.
 */
import { wildcardOf } from '../source.ts';

/** Where in the certificate table workers see that something was flushed: the value differs after each. */
export const FLUSHES = { scope: 'dyn', name: 'flushes' } as const;

export class Flushes {
  #count = 0;
  #lastAll = 0;
  /** Of names, by the count they were flushed at; kept while anybody fetches. */
  readonly #names = new Map<string, number>();
  #fetching = 0;
  #all = 0;
  #single = 0;
  #lastName: string | undefined;

  /** All so far. */
  get count(): number {
    return this.#count;
  }

  get status(): { readonly all: number; readonly single: number; readonly lastName: string | undefined } {
    return { all: this.#all, single: this.#single, lastName: this.#lastName };
  }

  flushAll(): void {
    this.#all++;
    this.#lastAll = ++this.#count;
  }

  /** A flush of all took its time: a list of what was there meanwhile may have what it has flushed since. */
  ended(): void {
    this.#count++;
  }

  flush(name: string): void {
    this.#single++;
    this.#lastName = name;
    this.#count++;
    if (this.#fetching > 0) this.#names.set(name, this.#count);
  }

  /** Runs a fetch, and tells which names were flushed in its time. */
  async during<Result>(
    fetch: () => Promise<Result>,
  ): Promise<{ readonly result: Result; readonly isOld: (name: string) => boolean }> {
    const since = this.#count;
    this.#fetching++;
    try {
      const result = await fetch();
      const names = new Map(this.#names);
      const [all, count] = [this.#lastAll, this.#count];
      if (count === since) return { result, isOld: () => false };
      const after = (name: string | undefined) => name !== undefined && (names.get(name) ?? 0) > since;
      // Whoever flushed a name under a wildcard got rid of the wildcard's certificate.
      const under = (name: string) =>
        name.startsWith('*.') &&
        [...names].some(([flushed, at]) => at > since && wildcardOf(flushed) === name);
      return {
        result,
        isOld: (name) => all > since || after(name) || after(wildcardOf(name)) || under(name),
      };
    } finally {
      this.#fetching--;
      if (this.#fetching === 0) this.#names.clear();
    }
  }
}
