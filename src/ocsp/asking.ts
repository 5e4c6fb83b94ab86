/** One question to one responder: by GET or by POST, with a nonce or without. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { ocspRequest } from '../pki/ocsp-request.ts';
import { type OcspAnswer, OcspError, readOcspResponse } from '../pki/ocsp-response.ts';
import type { Entry } from './entry.ts';
import { ResponderError } from './errors.ts';
import type { Responder } from './responder.ts';
import type { Subject } from './subject.ts';
import { type Fetched, Transport } from './transport.ts';

/** Statuses of responders that know POST only. */
const NO_GET: ReadonlySet<number | undefined> = new Set([400, 404, 405, 414, 501]);

/** What RFC 9654 section 2.1 recommends. */
const NONCE_BYTES = 32;

export interface Answered extends Fetched {
  readonly answer: OcspAnswer;
}

export class Asker implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #transport: Transport;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#transport = new Transport(clock);
  }

  /**
   * What the responder says, if it may be believed. An answer that is too old, or that the request was malformed, has
   * the next request of `entry` carry a nonce; a responder that answers that one is asked so from then on.
   * @throws ResponderError, OcspError, or the signal's reason
   */
  async ask(
    entry: Entry,
    responder: Responder,
    inquiry: NonNullable<Subject['inquiry']>,
    signal: AbortSignal,
  ): Promise<Answered> {
    const nonce = entry.nonce || responder.nonces ? randomBytes(NONCE_BYTES) : undefined;
    const question = { ...inquiry.question, nonce };
    const request = { request: ocspRequest(question), timeout: entry.subject.timeout, signal };
    try {
      // Caches have no answer to a POST.
      const fetched = nonce
        ? await this.#transport.fetch({ ...request, url: inquiry.url, post: true })
        : await this.#fetch(responder, { ...request, url: inquiry.url });
      const answer = readOcspResponse(fetched.body, question, this.#clock.now());
      if (nonce) responder.nonces = true;
      return { ...fetched, answer };
    } catch (error) {
      if (nonce) responder.nonces = false;
      entry.nonce = !nonce && wantsNonce(error);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]();
  }

  async #fetch(
    responder: Responder,
    inquiry: Omit<Parameters<Transport['fetch']>[0], 'post'>,
  ): Promise<Fetched> {
    try {
      return await this.#transport.fetch({ ...inquiry, post: responder.posts });
    } catch (error) {
      const noGet = error instanceof ResponderError && NO_GET.has(error.httpStatus);
      if (!noGet || responder.posts) throw error;
      const fetched = await this.#transport.fetch({ ...inquiry, post: true });
      responder.posts = true;
      return fetched;
    }
  }
}

/** Whether an error is about the responder: others of its certificates would fare no better. */
export function isResponders(error: unknown): boolean {
  if (error instanceof OcspError) {
    return error.code === 'ocsp-unreadable' || /tryLater|internalError/.test(error.refusal ?? '');
  }
  if (!(error instanceof ResponderError)) return false;
  const { httpStatus } = error;
  return httpStatus === undefined || httpStatus === 408 || httpStatus === 429 || httpStatus >= 500;
}

function wantsNonce(error: unknown): boolean {
  if (!(error instanceof OcspError)) return false;
  return error.code === 'ocsp-expired' || error.refusal === 'malformedRequest';
}
