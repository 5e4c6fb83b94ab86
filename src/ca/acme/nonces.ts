import { randomBytes } from 'node:crypto';

/** Nonces that were given out and not used yet: each is good once. Bounded; the oldest give way. */
export class Nonces {
  readonly #open = new Set<string>();
  readonly #limit: number;

  constructor(limit = 20_000) {
    this.#limit = limit;
  }

  issue(): string {
    const nonce = randomBytes(16).toString('base64url');
    this.#open.add(nonce);
    for (const oldest of this.#open) {
      if (this.#open.size <= this.#limit) break;
      this.#open.delete(oldest);
    }
    return nonce;
  }

  /** Uses a nonce up: whether it was good. */
  use(nonce: string): boolean {
    return this.#open.delete(nonce);
  }
}
