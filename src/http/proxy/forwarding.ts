/**
 * One request on its way to a backend and its answer on the way back. undici calls it (DispatchHandler), the
 * client's response calls it (`drain`, `close`); whichever side ends first ends the other.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dispatcher, Pool } from 'undici';
import { explain, systemCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ProxyMapping } from '../../config/settings.ts';
import type { Exchange } from '../exchange.ts';
import { BadResponseError, failureOf } from './failure.ts';
import type { Stage } from './failure.ts';
import type { Plan } from './plan.ts';
import { ClientGoneError, uploadOf } from './request-body.ts';
import { requestHeaders } from './request-headers.ts';
import { responseHeaders, reverseMap } from './response-headers.ts';
import type { Target } from './target.ts';
import { openTunnel } from './tunnel.ts';

/** Interim answers (1xx) that are taken before the backend is given up. */
const MOST_INTERIM = 32;

export interface Assignment {
  readonly exchange: Exchange;
  readonly mapping: ProxyMapping;
  readonly target: Target;
  readonly plan: Plan;
  readonly pool: Pool;
  readonly log: Logger;
  /** A WebSocket handshake: both sockets are joined on 101. */
  readonly upgrade: boolean;
}

/** Fulfilled when the answer is handed over, the client is gone, or a tunnel stands. */
export function forward(assignment: Assignment): Promise<void> {
  return new Forwarding(assignment).run();
}

type DispatchOptions = Dispatcher.DispatchOptions & { readonly servername: string };

class Forwarding implements Dispatcher.DispatchHandler {
  readonly #assignment: Assignment;
  readonly #options: DispatchOptions;
  readonly #over = Promise.withResolvers<void>();
  #controller: Dispatcher.DispatchController | undefined;
  #stage: Stage = 'connecting';
  #interim = 0;
  #attempts = 0;
  #ended = false;

  constructor(assignment: Assignment) {
    const { exchange, target, plan, upgrade } = assignment;
    const { body, length } = upgrade ? { body: null, length: undefined } : uploadOf(exchange.request);
    this.#assignment = assignment;
    this.#options = {
      path: target.path,
      method: exchange.method,
      headers: requestHeaders(exchange, target, length),
      body,
      headersTimeout: plan.timeout,
      bodyTimeout: plan.timeout,
      servername: target.hostname,
      ...(plan.disableReuse ? { reset: true } : {}),
      ...(upgrade ? { upgrade: 'websocket' } : {}),
    };
  }

  run(): Promise<void> {
    const { response } = this.#assignment.exchange;
    response.on('drain', this.#onDrain).once('close', this.#onClientGone);
    this.#dispatch();
    return this.#over.promise;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    this.#stage = 'waiting';
    if (this.#ended) controller.abort(new ClientGoneError());
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    reason?: string,
  ): void {
    if (status < 200) {
      if (++this.#interim > MOST_INTERIM) controller.abort(new BadResponseError('no end of interim answers'));
      return;
    }
    try {
      this.#writeHead(status, headers, reason);
      this.#stage = 'answering';
    } catch (error) {
      controller.abort(new BadResponseError('a head that HTTP does not allow', { cause: error }));
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#assignment.exchange.response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#finish();
    this.#assignment.exchange.response.end();
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    _status: number,
    headers: IncomingHttpHeaders,
    backend: Duplex,
  ): void {
    const { exchange, plan, log } = this.#assignment;
    const { upgrade } = exchange;
    if (this.#ended || !upgrade) {
      backend.destroy();
      return;
    }
    this.#finish();
    openTunnel({ client: upgrade, backend, headers, timeout: plan.timeout, log });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return;
    if (error instanceof ClientGoneError) {
      this.#onClientGone();
    } else if (this.#mayRepeat(error)) {
      this.#stage = 'connecting';
      this.#dispatch();
    } else {
      void this.#fail(error);
    }
  }

  #dispatch(): void {
    this.#attempts++;
    this.#assignment.pool.dispatch(this.#options, this);
  }

  #writeHead(status: number, headers: IncomingHttpHeaders, reason: string | undefined): void {
    const { exchange, mapping } = this.#assignment;
    const { response } = exchange;
    const map = (url: string) => reverseMap(exchange, mapping, url);
    for (const [name, value] of responseHeaders(headers, status, map)) response.setHeader(name, value);
    // HTTP/2 has no reason phrase, and of HTTP/1's only what Node would write anyway is passed on.
    const phrase =
      exchange.request.httpVersionMajor === 1 && reason && /^[\t -~\u00a0-\u00ff]+$/.test(reason);
    if (phrase && 'assignSocket' in response) response.writeHead(status, reason);
    else response.writeHead(status);
  }

  /** A kept connection that the backend closed meanwhile is nobody's failure. */
  #mayRepeat(error: Error): boolean {
    const { method, body, upgrade } = this.#options;
    return (
      this.#attempts === 1 &&
      this.#stage === 'waiting' &&
      this.#interim === 0 &&
      body === null &&
      !upgrade &&
      repeatable.has(method) &&
      closed.has(systemCode(error) ?? '')
    );
  }

  async #fail(error: Error): Promise<void> {
    const { exchange, target, log } = this.#assignment;
    const { status, text } = failureOf(error, this.#stage, target);
    const { remoteAddress, remotePort } = exchange.connection;
    log.error(`[client ${remoteAddress}:${remotePort ?? 0}] ${text}`);
    this.#release();
    try {
      if (this.#stage !== 'answering') discardHead(exchange);
      await exchange.fail(status);
    } catch (failed) {
      log.error(`no error page for ${status}: ${explain(failed)}`);
      exchange.response.destroy();
    }
    this.#over.resolve();
  }

  readonly #onDrain = () => this.#controller?.resume();

  readonly #onClientGone = () => {
    if (this.#ended) return;
    this.#finish();
    this.#controller?.abort(new ClientGoneError());
    this.#assignment.log.debug(`the client went away from ${this.#assignment.target.path}`);
  };

  #finish(): void {
    this.#release();
    this.#over.resolve();
  }

  #release(): void {
    this.#ended = true;
    const { response } = this.#assignment.exchange;
    response.off('drain', this.#onDrain).off('close', this.#onClientGone);
  }
}

const repeatable: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

const closed: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** What was laid on the response before its head turned out to be bad is not part of the error page. */
function discardHead({ response }: Exchange): void {
  if (response.headersSent) return;
  for (const name of response.getHeaderNames()) response.removeHeader(name);
}
