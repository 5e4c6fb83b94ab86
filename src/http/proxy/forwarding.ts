/**
 * One request on its way to a backend and its answer on the way back. undici calls it (DispatchHandler), the
 * client's response calls it (`drain`, `close`); whichever side ends first ends the other.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { systemCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ProxyMapping } from '../../config/settings.ts';
import type { Exchange } from '../exchange.ts';
import { breakOff } from '../replies.ts';
import { BadResponseError, failureOf } from './failure.ts';
import type { Stage } from './failure.ts';
import { ClientGoneError, RequestBody, uploadOf } from './request-body.ts';
import type { Upload } from './request-body.ts';
import { requestHeaders } from './request-headers.ts';
import { responseHeaders, reverseMap } from './response-headers.ts';
import type { NextRoute, Route } from './routes.ts';
import { acceptedBy, newKey, openTunnel, watchForEnd } from './tunnel.ts';

/** Interim answers (1xx) that are taken before the backend is given up. */
const MOST_INTERIM = 32;

/** Bytes of an error's body that are read to keep the connection, where we answer with our own. */
const LARGEST_DISCARDED = 64 * 1024;

export interface Assignment {
  readonly exchange: Exchange;
  readonly mapping: ProxyMapping;
  readonly route: Route;
  /** After a failure to connect. */
  readonly next: NextRoute;
  readonly log: Logger;
  /** A WebSocket handshake: both sockets are joined on 101. */
  readonly upgrade: boolean;
}

/** Fulfilled when the answer is handed over, the client is gone, or a tunnel stands. */
export function forward(assignment: Assignment): Promise<void> {
  return new Forwarding(assignment).run();
}

/** What the responses of HTTP/1 and HTTP/2 have in common for writing a head. */
interface Head {
  setHeader(name: string, value: string | string[]): unknown;
  removeHeader(name: string): void;
  writeHead(status: number): unknown;
}

type DispatchOptions = Dispatcher.DispatchOptions & { readonly servername: string };

class Forwarding implements Dispatcher.DispatchHandler {
  readonly #assignment: Assignment;
  readonly #upload: Upload;
  #route: Route;
  #options: DispatchOptions;
  /** The client's connection, where it can be closed in one direction: not in HTTP/2, nor beneath a tunnel. */
  readonly #client: Socket | undefined;
  /** The client's response, as a stream. */
  readonly #out: Writable;
  #body: RequestBody | null = null;
  readonly #over = Promise.withResolvers<void>();
  #controller: Dispatcher.DispatchController | undefined;
  #stage: Stage = 'connecting';
  #interim = 0;
  #attempts = 0;
  #ended = false;
  #flushed = false;
  #discarded = 0;
  /** Sent for a client that has none: a WebSocket over HTTP/2 (RFC 8441). */
  readonly #key: string | undefined;
  /** Of the backend's answer. */
  #status: number | undefined;
  #stopWatching: (() => void) | undefined;

  constructor(assignment: Assignment) {
    const { exchange, route, upgrade } = assignment;
    // An error document is fetched by GET, whatever the request that failed brought along.
    const own = !upgrade && exchange.method === exchange.request.method;
    this.#assignment = assignment;
    this.#upload = own ? uploadOf(exchange.request) : { hasBody: false, length: undefined };
    this.#key = upgrade && !(exchange.request instanceof IncomingMessage) ? newKey() : undefined;
    this.#route = route;
    this.#options = this.#optionsFor(route);
    this.#client =
      exchange.request instanceof IncomingMessage && !upgrade ? exchange.request.socket : undefined;
    this.#out = exchange.response;
  }

  run(): Promise<void> {
    if (hasClosed(this.#assignment.exchange)) {
      this.#finish();
      return this.#over.promise;
    }
    if (this.#client?.readableEnded) {
      this.#onClientEnd();
      return this.#over.promise;
    }
    // Pipelined requests share the connection, each with its listener.
    this.#client?.setMaxListeners(0).once('end', this.#onClientEnd);
    this.#out.on('drain', this.#onDrain).once('close', this.#onClientGone);
    const { upgrade, exchange } = this.#assignment;
    if (upgrade && exchange.upgrade)
      this.#stopWatching = watchForEnd(exchange.upgrade.socket, this.#onClientGone);
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
    this.#status = status;
    if (this.#isOverridden(status)) return void this.#override(status).catch(this.#over.reject);
    try {
      this.#writeHead(status, headers, reason);
      this.#stage = 'answering';
      process.nextTick(this.#flushHead);
    } catch (error) {
      controller.abort(new BadResponseError('a head that HTTP does not allow', { cause: error }));
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) {
      this.#discarded += chunk.length;
      if (this.#discarded > LARGEST_DISCARDED) controller.abort(new ClientGoneError());
      return;
    }
    this.#flushed = true;
    if (!this.#out.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#ended) return;
    this.#finish();
    this.#out.end();
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    _status: number,
    headers: IncomingHttpHeaders,
    backend: Duplex,
  ): void {
    const { exchange, log } = this.#assignment;
    const { upgrade } = exchange;
    if (this.#ended || !upgrade) {
      backend.destroy();
      return;
    }
    const switched = headers.upgrade?.toLowerCase() === 'websocket';
    if (!switched || (this.#key !== undefined && !acceptedBy(this.#key, headers))) {
      backend.destroy();
      const error = new BadResponseError(
        switched ? 'no answer to our WebSocket key' : `switched to '${headers.upgrade}', not to websocket`,
      );
      this.#fail(error).catch(this.#over.reject);
      return;
    }
    this.#finish();
    openTunnel(exchange, { client: upgrade, backend, headers, timeout: this.#route.plan.timeout, log });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return;
    if (error instanceof ClientGoneError) {
      this.#onClientGone();
    } else if (this.#mayRepeat(error)) {
      this.#stage = 'connecting';
      this.#dispatch();
    } else if (!this.#goElsewhere(error)) {
      this.#fail(error).catch(this.#over.reject);
    }
  }

  #optionsFor({ target, plan }: Route): DispatchOptions {
    const { exchange, upgrade } = this.#assignment;
    this.#body = this.#upload.hasBody ? new RequestBody(exchange.request) : null;
    const headers = requestHeaders(exchange, target, this.#upload.length);
    if (this.#key !== undefined) headers.push('sec-websocket-key', this.#key);
    return {
      path: target.path,
      method: exchange.method,
      headers,
      body: this.#body,
      headersTimeout: plan.timeout,
      bodyTimeout: plan.timeout,
      servername: target.hostname,
      ...(plan.disableReuse ? { reset: true } : {}),
      ...(upgrade ? { upgrade: 'websocket' } : {}),
    };
  }

  #dispatch(): void {
    this.#attempts++;
    this.#route.pool.dispatch(this.#options, this);
  }

  /** To the next member of a balancer, if nothing has been sent yet. */
  #goElsewhere(error: Error): boolean {
    if (this.#stage !== 'connecting' || this.#body?.started) return false;
    const { next } = this.#assignment;
    const failed = this.#route;
    failed.release(true);
    const route = next();
    if (!route) {
      this.#route = { ...failed, release: () => {} };
      return false;
    }
    this.#log(failureOf(error, this.#stage, failed.target).text);
    this.#route = route;
    this.#options = this.#optionsFor(route);
    this.#attempts = 0;
    this.#dispatch();
    return true;
  }

  /** ProxyErrorOverride. */
  #isOverridden(status: number): boolean {
    const wanted = this.#assignment.exchange.directory.proxyErrorOverride ?? [];
    return wanted === 'all' ? status >= 400 : wanted.includes(status);
  }

  async #override(status: number): Promise<void> {
    this.#release();
    await this.#assignment.exchange.fail(status);
    this.#over.resolve();
  }

  #writeHead(status: number, headers: IncomingHttpHeaders, reason: string | undefined): void {
    const { exchange, mapping } = this.#assignment;
    const { response } = exchange;
    const head: Head = response;
    if (this.#key !== undefined && status < 300)
      throw new BadResponseError(`${status} instead of a WebSocket`);
    const passed = responseHeaders(
      headers,
      status,
      (url) => reverseMap(exchange, mapping, url),
      exchange.directory.proxyCookies,
    );
    try {
      for (const [name, value] of passed) head.setHeader(name, value);
      // HTTP/2 has no reason phrase; of HTTP/1's, what Node refuses to write is replaced by the usual one.
      if (reason && response instanceof ServerResponse && /^[\t -~\u00a0-\u00ff]+$/.test(reason))
        response.writeHead(status, reason);
      else head.writeHead(status);
    } catch (error) {
      // The error page that follows shall not carry them.
      if (!response.headersSent) for (const [name] of passed) head.removeHeader(name);
      throw error;
    }
  }

  /** A kept connection that the backend closed meanwhile is nobody's failure. */
  #mayRepeat(error: Error): boolean {
    const { method, upgrade } = this.#options;
    return (
      this.#attempts === 1 &&
      this.#stage === 'waiting' &&
      this.#interim === 0 &&
      this.#body === null &&
      !upgrade &&
      repeatable.has(method) &&
      closed.has(systemCode(error) ?? '')
    );
  }

  async #fail(error: Error): Promise<void> {
    const { exchange } = this.#assignment;
    const { status, text } = failureOf(error, this.#stage, this.#route.target);
    this.#log(text);
    this.#release(this.#stage === 'connecting');
    if (this.#stage === 'answering') breakOff(exchange.response);
    else await exchange.fail(status);
    this.#over.resolve();
  }

  #log(text: string): void {
    const { exchange, log } = this.#assignment;
    const { remoteAddress, remotePort } = exchange.connection;
    log.error(`[client ${remoteAddress}:${remotePort ?? 0}] ${text}`);
  }

  /** A head without a body yet (an event stream, a long poll) goes out alone; else it shares its packet. */
  readonly #flushHead = () => {
    const { response } = this.#assignment.exchange;
    if (!this.#flushed && !this.#ended && response instanceof ServerResponse) response.flushHeaders();
  };

  readonly #onDrain = () => this.#controller?.resume();

  readonly #onClientGone = () => {
    if (this.#ended) return;
    this.#finish();
    if (this.#assignment.upgrade) this.#assignment.exchange.upgrade?.socket.destroy();
    this.#controller?.abort(new ClientGoneError());
    this.#assignment.log.debug(`the client went away from ${this.#route.target.path}`);
  };

  /** Half closed or gone can't be told apart, and a backend must not work for nobody: gone, as for nginx. */
  readonly #onClientEnd = () => {
    this.#onClientGone();
    this.#assignment.exchange.response.destroy();
  };

  #finish(): void {
    this.#release();
    this.#over.resolve();
  }

  #release(failed = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#route.release(failed, this.#status);
    this.#out.off('drain', this.#onDrain).off('close', this.#onClientGone);
    this.#client?.off('end', this.#onClientEnd);
    this.#stopWatching?.();
    this.#body?.destroy();
    if (this.#upload.hasBody) this.#assignment.exchange.request.resume();
  }
}

const repeatable: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

const closed: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

function hasClosed({ response }: Exchange): boolean {
  return response instanceof ServerResponse ? response.destroyed : response.stream.destroyed;
}
