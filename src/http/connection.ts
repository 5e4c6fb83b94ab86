/**
 * A connection under way: what is being answered on it, and whether its client keeps the times that the
 * configuration sets. Whoever is too slow with a head or a body gets 408, whoever doesn't take the answer is
 * dropped, whoever is idle is closed.
 */
import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { normalizeAddress } from '../base/addresses.ts';
import type { ConnectionLimits } from '../config/settings.ts';
import { ReadDeadline } from './deadline.ts';
import type { Watched } from './deadline.ts';
import type { ConnectionInfo } from './exchange.ts';
import type { LiveExchange } from './live.ts';
import { reasonPhrase, serverSoftware, statusPage } from './pages.ts';

/** How long a closed connection may go on sending, so that it can read our last words (httpd: 2 s). */
const lingering = 2000;

export class Connection implements Watched {
  readonly info: ConnectionInfo;
  /** HTTP/2, once it speaks. */
  session: ServerHttp2Session | undefined;
  /** Requests so far. */
  served = 0;
  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  readonly #exchanges = new Map<LiveExchange, ExchangeWatch>();
  #idle = 0;
  #closing = 0;
  #ended = false;
  #bytesBefore = 0;
  #head: ReadDeadline | undefined;

  constructor(socket: Socket, info: ConnectionInfo) {
    this.#socket = socket;
    this.info = normalized(info);
    this.#limits = info.host.limits;
    this.#head = new ReadDeadline(this.#limits.headerTimeout);
  }

  get busy(): boolean {
    return this.#exchanges.size > 0;
  }

  begin(exchange: LiveExchange): void {
    this.served += 1;
    this.#head = undefined;
    this.#exchanges.set(exchange, new ExchangeWatch(exchange, this.#limits));
  }

  /** The answer is out, or its client gone. An unread body goes on being watched (Node discards it). */
  end(exchange: LiveExchange): void {
    if (exchange.request.complete || exchange.upgrade || this.session) this.#forget(exchange);
  }

  #forget(exchange: LiveExchange): void {
    this.#exchanges.delete(exchange);
    if (this.busy) return;
    this.#idle = 0;
    this.#bytesBefore = this.#socket.bytesRead;
  }

  tick(ms: number): void {
    if (this.#ended) {
      this.#closing += ms;
      if (this.#closing > lingering) this.destroy();
      return;
    }
    for (const [exchange, watch] of this.#exchanges) {
      if (exchange.response.writableFinished && exchange.request.complete) this.#forget(exchange);
      else if (watch.stalls(ms)) this.#drop(exchange);
      else if (watch.isSlow(ms)) void this.#timeOut(exchange);
    }
    if (!this.busy) this.#tickIdle(ms);
  }

  #tickIdle(ms: number): void {
    const bytes = this.#socket.bytesRead - this.#bytesBefore;
    // HTTP/2 sends frames while idle: only requests count as life.
    if (this.session ? this.served === 0 : this.served === 0 || bytes > 0) {
      this.#head ??= new ReadDeadline(this.#limits.headerTimeout);
      if (this.#head.tick(ms, this.session ? 0 : bytes)) this.#refuseHead(bytes);
      return;
    }
    this.#idle += ms;
    if (this.#idle > this.#limits.keepAliveTimeout) this.close();
  }

  #refuseHead(bytes: number): void {
    if (this.session || bytes === 0) this.close();
    else this.refuse(408);
  }

  async #timeOut(exchange: LiveExchange): Promise<void> {
    if (exchange.response.headersSent) return this.#drop(exchange);
    exchange.closes = true;
    await exchange.fail(408, 'Request body read timeout');
    // A stream whose client goes on like this is dropped at the next look.
    if (!this.session) this.close();
  }

  #drop(exchange: LiveExchange): void {
    if (this.session) exchange.response.destroy();
    else this.destroy();
  }

  /**
   * What came can't become a request, and no parser follows it any more. If it was the body of a request that
   * one is answered so, else the socket is, unless answers are still due: these are sent, and nothing after.
   */
  refuse(status: number): void {
    // The parser complains of each further piece, while the answer to the first is on its way.
    if (this.#ended) return;
    if (!this.#socket.writable) return this.destroy();
    for (const exchange of this.#exchanges.keys()) {
      exchange.closes = true;
      if (!exchange.request.complete) void exchange.fail(status, 'Malformed request body');
    }
    if (this.busy) return;
    const page = statusPage(status);
    this.#socket.write(
      `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\nDate: ${new Date().toUTCString()}\r\nServer: ${serverSoftware}\r\n` +
        `Content-Type: text/html; charset=iso-8859-1\r\nContent-Length: ${page.length}\r\nConnection: close\r\n\r\n${page}`,
    );
    this.close();
  }

  /** Says good-bye and lingers. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.session) return this.session.close();
    this.#socket.end();
    this.#socket.resume();
  }

  destroy(): void {
    this.session?.destroy();
    this.#socket.destroy();
  }

  /** No further requests; ends at once if idle. */
  drain(): void {
    for (const exchange of this.#exchanges.keys()) exchange.closes = true;
    if (this.session) this.session.close();
    else if (!this.busy) this.close();
  }
}

/** One exchange's progress. */
class ExchangeWatch {
  readonly #exchange: LiveExchange;
  readonly #body: ReadDeadline;
  readonly #timeout: number;
  #flushed = 0;
  #still = 0;

  constructor(exchange: LiveExchange, limits: ConnectionLimits) {
    this.#exchange = exchange;
    this.#body = new ReadDeadline(limits.bodyTimeout);
    this.#timeout = limits.timeout;
  }

  /** Something is ready to be sent, and for `Timeout` the client has taken nothing. */
  stalls(ms: number): boolean {
    const { response, upgrade } = this.#exchange;
    // A tunnel has its own time.
    if (upgrade && response.headersSent) return false;
    const flushed = response.bodyBytes - response.writableLength;
    if (response.writableLength === 0 || flushed !== this.#flushed) {
      this.#flushed = flushed;
      this.#still = 0;
      return false;
    }
    this.#still += ms;
    return this.#timeout > 0 && this.#still > this.#timeout;
  }

  isSlow(ms: number): boolean {
    const { request, upgrade } = this.#exchange;
    if (request.complete || upgrade) return false;
    // A full buffer means that we don't read: that is not the client's fault.
    if (request.readableLength >= request.readableHighWaterMark) return false;
    return this.#body.tick(ms, request.bodyBytes);
  }
}

/** A listener for both families sees ::ffff:192.0.2.1; logs and proxied servers are to see 192.0.2.1. */
function normalized(info: ConnectionInfo): ConnectionInfo {
  const localAddress = normalizeAddress(info.localAddress);
  const remoteAddress = normalizeAddress(info.remoteAddress);
  const isNormal = localAddress === info.localAddress && remoteAddress === info.remoteAddress;
  return isNormal ? info : { ...info, localAddress, remoteAddress };
}
