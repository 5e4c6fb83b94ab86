/**
 * The client's body, at arm's length: undici destroys the stream it is given when the backend answers early or
 * fails, and an IncomingMessage would take the client's connection with it. Destroyed, this one throws the
 * rest away, so that a kept connection gets to its next request. Until it is read from, the request is as it came.
 */
import { Readable } from 'node:stream';
import { LatchkeyError } from '../../base/errors.ts';
import type { Request } from '../exchange.ts';

/** The client went away, or broke its body off. Nobody is left to be told. */
export class ClientGoneError extends LatchkeyError<'proxy-client-gone'> {
  constructor() {
    super('proxy-client-gone', 'the client closed the connection before the exchange was over');
  }
}

export class RequestBody extends Readable {
  readonly #source: Request;
  #started = false;

  constructor(source: Request) {
    super();
    this.#source = source;
    // undici listens only as long as it sends; an error after that is nobody's.
    this.on('error', () => {});
  }

  /** Something of it has been asked for, so that it can't be sent once more. */
  get started(): boolean {
    return this.#started;
  }

  override _read(): void {
    if (this.#started) return void this.#source.resume();
    this.#started = true;
    const source = this.#source;
    source.on('data', this.#onData).once('end', this.#onEnd);
    source.once('error', this.#onBroken).once('close', this.#onBroken);
    if (source.destroyed) this.#onBroken();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const source = this.#source;
    source.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onBroken);
    if (this.#started) source.resume();
    callback(error);
  }

  readonly #onData = (chunk: Buffer) => {
    if (!this.push(chunk)) this.#source.pause();
  };

  readonly #onEnd = () => {
    this.push(null);
  };

  readonly #onBroken = () => {
    if (!this.#source.readableEnded) this.destroy(new ClientGoneError());
  };
}

export interface Upload {
  readonly hasBody: boolean;
  /** Content-Length to announce; undefined for none, or for a body in chunks. */
  readonly length: string | undefined;
}

/** What the request has in the way of a body, by what the parser of its protocol made of it. */
export function uploadOf(request: Request): Upload {
  const length = request.headers['content-length'];
  const chunked = request.headers['transfer-encoding'] !== undefined;
  const hasBody = 'stream' in request ? !request.stream.endAfterHeaders : chunked || Number(length ?? 0) > 0;
  return { hasBody, length: chunked ? undefined : length };
}
