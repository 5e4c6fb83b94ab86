/** HTTP to a CA: bounded in time and size, verified, every failure named. */
import { createSecureContext } from 'node:tls';
import { Agent, buildConnector } from 'undici';
import type { Clock } from '../base/clock.ts';
import { systemTrust } from '../base/trust.ts';
import { AcmeError } from './errors.ts';
import { Exchange } from './exchange.ts';
import { transportFault } from './faults.ts';
import { proxyConnector, type ProxyOptions } from './proxy.ts';
import { isAllowedUrl } from './urls.ts';

/** Every asynchronous function here takes one; an abort rejects with the signal's reason. */
export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

/** An answer, read to its end. */
export interface Answer {
  readonly method: string;
  /** Where it came from, after redirects. */
  readonly url: string;
  readonly status: number;
  readonly body: string;
  /** A header by its lower-case name; the first if there are several. */
  header(name: string): string | undefined;
}

export interface TransportOptions {
  /** PEM trust anchors instead of the system's. */
  readonly ca?: string | undefined;
  readonly proxy?: ProxyOptions | undefined;
  readonly userAgent: string;
  readonly clock: Clock;
  /** ms for each request, from its start to the last byte of the answer. */
  readonly timeout: number;
}

export interface RequestOptions extends Abortable {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly body?: string | undefined;
  readonly accept?: string | undefined;
  /** How many redirects may be followed; default 0. */
  readonly redirects?: number | undefined;
}

/** One for all: an abort without a reason makes a DOMException with a stack, at each request. */
const DONE = new Error('the request has ended');

/** Far above any directory, order or chain there is. */
const LARGEST_ANSWER = 256 * 1024;

export class Transport implements AsyncDisposable {
  readonly #options: TransportOptions;
  readonly #agent: Agent;
  readonly #running = new Set<Running>();
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connect: connector(options),
      maxResponseSize: LARGEST_ANSWER,
      // Time is bounded for the whole of a request, below.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** @throws AcmeError `acme-unreachable`, `acme-tls`, `acme-timeout`, `acme-invalid-response`, `acme-closed` */
  async request(url: string, options: RequestOptions): Promise<Answer> {
    const { clock, timeout } = this.#options;
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#closed) throw closed();
    const running = new Running();
    const done = new AbortController();
    const expire = () => {
      const message = `The CA at ${url} did not answer within ${timeout / 1000} seconds`;
      running.end(new AcmeError('acme-timeout', message));
    };
    // No AbortSignal.any(): one for each request costs as much as the request itself.
    const abort = () => running.end(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    clock.sleep(timeout, { signal: done.signal }).then(expire, () => {});
    this.#running.add(running);
    try {
      return await this.#follow(url, options, running);
    } catch (error) {
      running.throwIfEnded();
      throw error instanceof AcmeError ? error : transportFault(error, url);
    } finally {
      this.#running.delete(running);
      signal?.removeEventListener('abort', abort);
      done.abort(DONE);
    }
  }

  async #follow(url: string, options: RequestOptions, running: Running): Promise<Answer> {
    let at = url;
    for (let left = options.redirects ?? 0; ; left--) {
      const answer = await this.#send(at, options, running);
      running.throwIfEnded();
      if (answer.status < 300 || answer.status > 399) return answer;
      at = redirection(answer, left);
    }
  }

  async #send(url: string, options: RequestOptions, running: Running): Promise<Answer> {
    const { method, body = null, accept = 'application/json' } = options;
    const { origin, pathname, search } = new URL(url);
    const request = {
      origin,
      path: pathname + search,
      method,
      body,
      headers: {
        'user-agent': this.#options.userAgent,
        'accept-language': 'en',
        accept,
        ...(body !== null && { 'content-type': 'application/jose+json' }),
      },
    };
    const received = await Exchange.perform(this.#agent, request, (exchange) => running.begin(exchange));
    const header = (name: string) => {
      const value = received.headers[name];
      return Array.isArray(value) ? value[0] : value;
    };
    return { method, url, status: received.status, header, body: received.body };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const running of this.#running) running.end(closed());
    await this.#agent.destroy();
  }
}

/** A request under way, whose exchanges (with redirects there are several) end at the first reason for it. */
class Running {
  #exchange: Exchange | undefined;
  #ended: { readonly reason: unknown } | undefined;

  begin(exchange: Exchange): void {
    this.#exchange = exchange;
  }

  end(reason: unknown): void {
    this.#ended ??= { reason };
    this.#exchange?.end(reason instanceof Error ? reason : DONE);
  }

  throwIfEnded(): void {
    if (this.#ended) throw this.#ended.reason;
  }
}

function closed(): AcmeError {
  return new AcmeError('acme-closed', 'The ACME client is closed');
}

function redirection(answer: Answer, left: number): string {
  const location = answer.header('location') ?? '';
  const to = URL.parse(location, answer.url)?.href ?? '';
  const redirects = `The CA at ${answer.url} redirects to ${to || 'nowhere'} (status ${answer.status})`;
  const options = { httpStatus: answer.status };
  if (left <= 0) {
    const remedy =
      answer.method === 'POST' ? 'ACME has no redirects of signed requests' : 'configure that URL';
    throw new AcmeError('acme-invalid-response', `${redirects}: ${remedy}`, options);
  }
  if (!isAllowedUrl(to)) {
    throw new AcmeError('acme-invalid-response', `${redirects}, which is no https URL`, options);
  }
  return to;
}

/** TLS contexts are made once, at the first https connection: a system's trust store takes tens of ms to load. */
function connector(options: TransportOptions): buildConnector.connector {
  const { timeout, ca, proxy } = options;
  const plain = buildConnector({ timeout });
  let made: buildConnector.connector | undefined;
  const secure: buildConnector.connector = (target, callback) => {
    made ??= buildConnector({
      timeout,
      secureContext: ca === undefined ? systemTrust() : createSecureContext({ ca }),
    });
    return made(target, callback);
  };
  if (proxy) return proxyConnector(proxy, secure, timeout);
  return (target, callback) => (target.protocol === 'https:' ? secure : plain)(target, callback);
}
