/** Signed requests: nonces in, signatures on, refused nonces retried. */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { BAD_NONCE, invalidAnswer, refusal } from './answers.ts';
import { signRequest } from './jws.ts';
import { NoncePool, readNonce } from './nonces.ts';
import type { Abortable, Answer, Transport } from './transport.ts';

/** Times that one request is sent. Some CAs forget nonces by the handful after a restart, so more than a few. */
const ATTEMPTS = 10;

export interface SignedRequest extends Abortable {
  readonly key: KeyObject;
  /** The account's URL; without it the request is signed as a newcomer's. */
  readonly kid?: string | undefined;
  /** Undefined: POST-as-GET. */
  readonly payload?: unknown;
  readonly accept?: string | undefined;
}

export class Sender {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #nonces = new NoncePool();

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
  }

  /**
   * Sends a signed request to `url`, with a nonce of the pool or a new one from `newNonceUrl`.
   * @throws AcmeError of any kind; answers of status 400 and more are errors here.
   */
  async post(url: string, newNonceUrl: string, options: SignedRequest): Promise<Answer> {
    const { key, kid, payload, accept, signal } = options;
    for (let attempt = 1; ; attempt++) {
      const nonce = this.#nonces.take() ?? (await this.#newNonce(newNonceUrl, signal));
      const jws = await signRequest({ key, kid, url, nonce, payload });
      const answer = await this.#transport.request(url, {
        method: 'POST',
        body: JSON.stringify(jws),
        accept,
        signal,
      });
      const next = readNonce(answer.header('replay-nonce'));
      if (next !== undefined) this.#nonces.add(next);
      if (answer.status < 400) return answer;
      const error = refusal(answer, this.#clock.now());
      // The answer that refuses a nonce brings a good one (RFC 8555 section 6.5), which is on top of the pool now.
      if (error.problem?.type !== BAD_NONCE || attempt === ATTEMPTS) throw error;
    }
  }

  async #newNonce(url: string, signal: AbortSignal | undefined): Promise<string> {
    const answer = await this.#transport.request(url, { method: 'HEAD', signal });
    if (answer.status >= 400) throw refusal(answer, this.#clock.now());
    const nonce = readNonce(answer.header('replay-nonce'));
    if (nonce === undefined) throw invalidAnswer(answer, 'without a nonce');
    return nonce;
  }
}
