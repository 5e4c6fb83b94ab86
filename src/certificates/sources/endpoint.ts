/** One URL of a certificate store: kept connections, time and size bounded, a breaker of its own. */
import { Client, Pool, type Dispatcher } from 'undici';
import { askAgainIfCutOff, unlessAborted } from '../../base/asking.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Found, SourceStatus } from '../source.ts';
import { readAnswer } from './answer.ts';
import { Breaker, type BreakerState } from './breaker.ts';
import { connector } from './connector.ts';
import { StoreFault, statusFault, storeFault } from './faults.ts';
import type { DynamicStoreSettings, StoreUrl } from './settings.ts';

export interface EndpointParts {
  readonly settings: DynamicStoreSettings;
  /** PEM of DynSSLStoreCAFile. */
  readonly ca: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const CONNECTIONS = 16;
/** On one connection at a time, where it is HTTP/2. */
const STREAMS = 100;
const IDLE_CONNECTION_LIFE = 60_000;
const LONGEST_TAG = 256;
/** Without a reason of its own, each abort would make an error with a stack. */
const ANSWERED = 'answered';

export class Endpoint implements AsyncDisposable {
  readonly #parts: EndpointParts;
  readonly #url: StoreUrl;
  readonly #path: string;
  readonly #pool: Pool;
  readonly #breaker: Breaker;
  readonly #life = new AbortController();
  /** The connection made last speaks HTTP/2. */
  #multiplexed = false;
  /** Connections made so far. */
  #connections = 0;

  constructor(url: StoreUrl, parts: EndpointParts) {
    this.#parts = parts;
    this.#url = url;
    const { origin, pathname } = new URL(url.url);
    this.#path = pathname.replace(/\/$/, '');
    this.#pool = new Pool(origin, {
      connections: CONNECTIONS,
      allowH2: true,
      keepAliveTimeout: IDLE_CONNECTION_LIFE,
      connect: connector(
        url,
        parts.settings,
        parts.ca,
        (protocol) => (this.#multiplexed = protocol === 'h2'),
      ),
      factory: (...client) => this.#newClient(...client),
      // Time is bounded for the whole of a question, below.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const { breakerFailures, breakerReset } = parts.settings;
    this.#breaker = new Breaker({
      failures: breakerFailures,
      reset: breakerReset,
      clock: parts.clock,
      changed: (state) => this.#breakerChanged(state),
    });
  }

  /** Never rejects. `known`: the ETag of what the asker has. */
  async ask(name: string, known: string | undefined): Promise<Found> {
    const admission = this.#breaker.admit();
    if (!admission) return this.#failed('it is left alone after too many failures (circuit breaker open)');
    try {
      const found = await this.#withinTime((signal) => this.#request(name, known, signal));
      admission.settle('success');
      return found;
    } catch (error) {
      const fault = storeFault(error);
      const closing = this.#life.signal.aborted;
      admission.settle(closing ? 'neither' : fault.counts ? 'failure' : 'success');
      return this.#failed(closing ? 'it is no longer configured' : fault.message);
    }
  }

  status(): SourceStatus {
    const { breakerFailures: limit, breakerReset: reset } = this.#parts.settings;
    const { state, failures } = this.#breaker;
    return { url: this.#url.display, breaker: { state, failures, limit, reset } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#life.abort();
    await this.#pool.destroy();
  }

  /** undici would send one request at a time over HTTP/2, too. */
  #newClient(origin: URL, options: object): Dispatcher {
    const client = new Client(origin, options);
    client.on('connect', () => {
      this.#connections++;
      client.pipelining = this.#multiplexed ? STREAMS : 1;
    });
    return client;
  }

  async #withinTime<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const { clock, settings } = this.#parts;
    const late = new AbortController();
    const done = new AbortController();
    const expire = () => late.abort(new StoreFault(`it did not answer within ${settings.timeout} ms`));
    clock.sleep(settings.timeout, { signal: done.signal }).then(expire, () => {});
    const signal = AbortSignal.any([late.signal, this.#life.signal]);
    try {
      return await unlessAborted(work(signal), signal);
    } catch (error) {
      throw late.signal.aborted ? late.signal.reason : error;
    } finally {
      done.abort(ANSWERED);
    }
  }

  async #request(name: string, known: string | undefined, signal: AbortSignal): Promise<Found> {
    const answer = await this.#send(name, known, signal);
    const { statusCode, headers, body } = answer;
    if (statusCode === 200) {
      const found = readAnswer(await this.#text(answer), name, this.#parts.clock.now());
      return { ...found, tag: tagOf(headers) };
    }
    // A short rest is read, so that the connection can be kept.
    await body.dump({ limit: 16_384, signal }).catch(() => {});
    if (statusCode === 404) return { kind: 'none' };
    if (statusCode === 304 && known !== undefined) return { kind: 'unchanged' };
    throw statusFault(statusCode);
  }

  #send(name: string, known: string | undefined, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { token } = this.#parts.settings;
    const question = {
      method: 'GET',
      path: `${this.#path}/${encodeURIComponent(name)}`,
      headers: {
        accept: 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(known === undefined ? {} : { 'if-none-match': known }),
      },
      signal,
    } as const;
    return askAgainIfCutOff(
      () => this.#pool.request(question),
      () => this.#connections,
    );
  }

  async #text({ headers, body }: Dispatcher.ResponseData): Promise<string> {
    const { maxAnswer } = this.#parts.settings;
    const announced = Number(headers['content-length']);
    if (announced > maxAnswer) {
      body.destroy();
      throw tooLong(`has ${announced} bytes, more`, maxAnswer);
    }
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxAnswer) throw tooLong('is longer', maxAnswer);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  #failed(problem: string): Found {
    return { kind: 'failed', problem: `the certificate store ${this.#url.display}: ${problem}` };
  }

  #breakerChanged(state: BreakerState): void {
    const { logger, settings } = this.#parts;
    const store = `the certificate store ${this.#url.display}`;
    if (state === 'open') {
      logger.error(
        `${store} has failed and is not asked for ${settings.breakerReset / 1000} s (circuit breaker open)`,
      );
    }
    if (state === 'closed') logger.notice(`${store} answers again (circuit breaker closed)`);
  }
}

function tooLong(how: string, read: number): StoreFault {
  return new StoreFault(
    `its answer ${how} than the ${read} bytes that are read: raise DynSSLMaxAnswer if the chain must be so long`,
  );
}

function tagOf(headers: Readonly<Record<string, string | string[] | undefined>>): string | undefined {
  const { etag } = headers;
  return typeof etag === 'string' && etag.length <= LONGEST_TAG ? etag : undefined;
}
