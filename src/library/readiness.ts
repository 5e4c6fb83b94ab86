/** Who waits until all certificates are there. Looks again only at what something has happened to. */
export class Readiness {
  readonly #isReady: (name: string) => boolean;
  readonly #waiting = new Set<(name: string) => void>();
  readonly #closed = new AbortController();

  /** `isReady`: whether nothing is to be waited for of `name` (any more). */
  constructor(isReady: (name: string) => boolean) {
    this.#isReady = isReady;
  }

  /** Fulfilled when all of `names` are ready. Rejects with the reason of `signal`, or that of close(). */
  async all(names: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    const stop = AbortSignal.any([this.#closed.signal, ...(signal ? [signal] : [])]);
    stop.throwIfAborted();
    const missing = new Set(names.filter((name) => !this.#isReady(name)));
    if (missing.size === 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (name: string) => {
      if (missing.has(name) && this.#isReady(name)) missing.delete(name);
      if (missing.size === 0) resolve();
    };
    const abort = () => reject(stop.reason);
    stop.addEventListener('abort', abort, { once: true });
    this.#waiting.add(look);
    try {
      await promise;
    } finally {
      this.#waiting.delete(look);
      stop.removeEventListener('abort', abort);
    }
  }

  /** Something has happened to `name`. */
  told(name: string): void {
    for (const look of this.#waiting) look(name);
  }

  close(reason: Error): void {
    this.#closed.abort(reason);
  }
}
