/**
 * Handshakes take turns: so many are begun in one turn of the event loop, the next ones in the next turn, so that
 * between them connections that exist are served. Who has to wait is the backlog; beyond a bound nobody joins it,
 * since who would be served after seconds has often gone by then.
 */

export interface HandshakeQueueOptions {
  /** Handshakes begun in one turn. Default 32, which is some 25 ms. */
  readonly perTurn?: number;
  /** Handshakes that may wait, their ClientHello read. Default 2000, which is some 2 s. */
  readonly mostWaiting?: number;
  /** One was turned away. */
  readonly onRefused?: () => void;
}

export class HandshakeQueue {
  readonly #perTurn: number;
  readonly #mostWaiting: number;
  readonly #onRefused: (() => void) | undefined;
  #queue: (() => void)[] = [];
  /** Begun in this turn, or, while they are few, in some turns. */
  #begun = 0;
  #turns = false;

  constructor({ perTurn = 32, mostWaiting = 2000, onRefused }: HandshakeQueueOptions = {}) {
    this.#perTurn = perTurn;
    this.#mostWaiting = mostWaiting;
    this.#onRefused = onRefused;
  }

  /** Handshakes that wait for their turn. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Calls `begin`, which must not throw, now or in a later turn. Gives false where too many wait: never, then. */
  take(begin: () => void): boolean {
    if (this.#begun < this.#perTurn) {
      // To look for the end of the turn after each handshake would be a twentieth of what one costs.
      if (++this.#begun >= this.#perTurn / 4) this.#awaitTurn();
      begin();
      return true;
    }
    if (this.#queue.length >= this.#mostWaiting) {
      this.#onRefused?.();
      return false;
    }
    this.#queue.push(begin);
    return true;
  }

  #awaitTurn(): void {
    if (!this.#turns) setImmediate(this.#nextTurn);
    this.#turns = true;
  }

  readonly #nextTurn = () => {
    this.#turns = false;
    const batch = this.#queue.slice(0, this.#perTurn);
    this.#queue = this.#queue.slice(batch.length);
    this.#begun = batch.length;
    if (batch.length > 0) this.#awaitTurn();
    for (const begin of batch) begin();
  };
}
