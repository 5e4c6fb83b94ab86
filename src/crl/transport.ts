/** Fetching a revocation list: bounded in time, size and redirects, and only where there is another than before. */
import { Agent, errors, request } from 'undici';
import type { Clock } from '../base/clock.ts';
import { LatchkeyError, systemCode } from '../base/errors.ts';
import { parseRetryAfter } from '../base/retry-after.ts';

export type CrlTransportErrorCode =
  /** No connection, or one that broke: DNS, routing, refused, reset. */
  | 'crl-unreachable'
  | 'crl-timeout'
  /** A status other than 200 and 304. */
  | 'crl-status'
  | 'crl-too-large'
  /** Redirected in a circle, or to what is no http URL. */
  | 'crl-redirect';

export class CrlTransportError extends LatchkeyError<CrlTransportErrorCode> {
  /** ms to wait at least, if the server said so. */
  readonly retryAfter: number | undefined;

  constructor(
    code: CrlTransportErrorCode,
    message: string,
    options: ErrorOptions & { retryAfter?: number | undefined } = {},
  ) {
    super(code, message, options);
    this.retryAfter = options.retryAfter;
  }
}

/** What tells one version of a list from another (RFC 9110 section 8.8). */
export interface Validators {
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
}

export interface FetchedList extends Validators {
  /** DER, as far as anybody knows. */
  readonly body: Buffer;
}

/** Bytes at most. The largest lists of public CAs had some 10 MB, and CAs go over to many small ones. */
export const LARGEST_LIST = 32 * 1024 * 1024;

/** ms for the whole of it, redirects included. */
const TIMEOUT = 60_000;
const MOST_REDIRECTS = 3;

export class CrlTransport implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #agent = new Agent({
    connections: 1,
    maxResponseSize: LARGEST_LIST,
    // Time is bounded for the whole, below.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** undefined: it is the one that `known` tells of. @throws CrlTransportError, or the signal's reason */
  async fetch(url: string, known: Validators, given: AbortSignal): Promise<FetchedList | undefined> {
    const late = new AbortController();
    const done = new AbortController();
    const signal = AbortSignal.any([given, late.signal]);
    const expire = () => {
      const message = `The revocation list ${url} was not to be had within ${TIMEOUT / 1000} seconds`;
      late.abort(new CrlTransportError('crl-timeout', message));
    };
    this.#clock.sleep(TIMEOUT, { signal: done.signal }).then(expire, () => {});
    try {
      return await this.#follow(url, known, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof CrlTransportError ? error : fault(error, url);
    } finally {
      done.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async #follow(url: string, known: Validators, signal: AbortSignal): Promise<FetchedList | undefined> {
    let at = url;
    for (let left = MOST_REDIRECTS; ; left--) {
      const answer = await this.#send(at, known, signal);
      if (typeof answer !== 'string') return answer;
      if (left === 0) throw redirected(url, 'again and again');
      at = answer;
    }
  }

  /** What came, or where it is to be had. */
  async #send(
    url: string,
    { etag, lastModified }: Validators,
    signal: AbortSignal,
  ): Promise<FetchedList | string | undefined> {
    const { statusCode, headers, body } = await request(url, {
      dispatcher: this.#agent,
      signal,
      headers: {
        accept: 'application/pkix-crl',
        ...(etag !== undefined && { 'if-none-match': etag }),
        ...(lastModified !== undefined && { 'if-modified-since': lastModified }),
      },
    });
    const header = (name: string) => [headers[name]].flat()[0];
    if (statusCode === 200) {
      const bytes = Buffer.from(await body.arrayBuffer());
      return { body: bytes, etag: header('etag'), lastModified: header('last-modified') };
    }
    await body.dump();
    if (statusCode === 304) return undefined;
    if ([301, 302, 303, 307, 308].includes(statusCode)) return target(url, header('location'));
    const retryAfter = parseRetryAfter(header('retry-after'), this.#clock.now());
    throw new CrlTransportError('crl-status', `${url} is answered with status ${statusCode}`, { retryAfter });
  }
}

function target(url: string, location: string | undefined): string {
  const to = URL.parse(location ?? '', url);
  if (to && /^https?:$/.test(to.protocol)) return to.href;
  throw redirected(url, `to ${to?.href ?? 'nowhere'}`);
}

function redirected(url: string, whereTo: string): CrlTransportError {
  return new CrlTransportError('crl-redirect', `The revocation list ${url} is redirected ${whereTo}`);
}

/** Names a failure of undici, node:net, node:tls or the HTTP parser. */
function fault(cause: unknown, url: string): CrlTransportError {
  if (cause instanceof errors.ResponseExceededMaxSizeError) {
    const message = `The revocation list ${url} has more than ${LARGEST_LIST} bytes`;
    return new CrlTransportError('crl-too-large', message, { cause });
  }
  const code = systemCode(cause) ?? (cause instanceof Error ? cause.name : '');
  return new CrlTransportError('crl-unreachable', `The revocation list ${url} can't be reached (${code})`, {
    cause,
  });
}
