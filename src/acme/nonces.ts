/** Enough for the parallel requests there are; more would only grow stale. */
const MOST = 64;

/** A Replay-Nonce header's value; what is not base64url must be ignored (RFC 8555 section 6.5.1). */
export function readNonce(header: string | undefined): string | undefined {
  return header !== undefined && /^[A-Za-z0-9_-]{1,1024}$/.test(header) ? header : undefined;
}

/** Anti-replay nonces for the requests to come. The newest is used first: CAs forget the old ones. */
export class NoncePool {
  readonly #nonces: string[] = [];

  add(nonce: string): void {
    this.#nonces.push(nonce);
    if (this.#nonces.length > MOST) this.#nonces.shift();
  }

  /** Each is given once. */
  take(): string | undefined {
    return this.#nonces.pop();
  }
}
