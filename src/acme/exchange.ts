/**
 * One request and its answer, read to its end. By undici's own interface: its request() makes a stream of each body
 * and turns each header over twice, which for answers of a kilobyte is most of what they cost.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';

export interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** As for fetch(): UTF-8, without a byte order mark. */
const UTF_8 = new TextDecoder();

export class Exchange implements Dispatcher.DispatchHandler {
  readonly #received = Promise.withResolvers<Received>();
  readonly #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #ended: { readonly reason: Error } | undefined;
  #status = 0;
  #headers: IncomingHttpHeaders = {};

  /** Rejects with what undici says, or with end()'s reason. */
  static perform(
    dispatcher: Dispatcher,
    options: Dispatcher.DispatchOptions,
    begun: (exchange: Exchange) => void,
  ): Promise<Received> {
    const exchange = new Exchange();
    begun(exchange);
    dispatcher.dispatch(options, exchange);
    return exchange.#received.promise;
  }

  /** Gives it up. */
  end(reason: Error): void {
    this.#ended = { reason };
    this.#received.reject(reason);
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(this.#ended.reason);
  }

  /** Also for interim answers, of which the last is the answer. */
  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    const body = UTF_8.decode(Buffer.concat(this.#chunks));
    this.#received.resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#received.reject(error);
  }
}
