/** HTTP to a responder (RFC 6960 appendix A, RFC 5019 section 5): bounded in time, size and redirects. */
import { Agent, errors, request } from 'undici';
import type { Clock } from '../base/clock.ts';
import { systemCode } from '../base/errors.ts';
import { parseRetryAfter } from '../base/retry-after.ts';
import { LARGEST_RESPONSE } from '../pki/ocsp-response.ts';
import { ResponderError } from './errors.ts';

export interface Inquiry {
  readonly url: string;
  /** DER. */
  readonly request: Buffer;
  /** By POST even where it is short enough for GET. */
  readonly post: boolean;
  /** ms, from the start to the last byte, redirects included. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

export interface Fetched {
  readonly body: Buffer;
  /** ms for which caches may keep it, and asking again is of no use; 0 where nothing is said. */
  readonly fresh: number;
}

/** GET is for requests up to this many characters (RFC 5019 section 5). */
const LONGEST_GET = 255;
const MOST_REDIRECTS = 3;
const LONGEST_FRESH = 30 * 24 * 60 * 60 * 1000;

export class Transport implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #agent = new Agent({
    connections: 4,
    maxResponseSize: LARGEST_RESPONSE,
    // Time is bounded for the whole of an inquiry, below.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws ResponderError, or the signal's reason */
  async fetch(inquiry: Inquiry): Promise<Fetched> {
    const { url, timeout } = inquiry;
    const late = new AbortController();
    const done = new AbortController();
    const signal = AbortSignal.any([inquiry.signal, late.signal]);
    const expire = () => {
      const message = `The OCSP responder ${url} did not answer within ${timeout / 1000} seconds`;
      late.abort(new ResponderError('responder-timeout', message));
    };
    this.#clock.sleep(timeout, { signal: done.signal }).then(expire, () => {});
    try {
      return await this.#follow({ ...inquiry, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof ResponderError ? error : fault(error, url);
    } finally {
      done.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async #follow(inquiry: Inquiry): Promise<Fetched> {
    let at = inquiry.post ? undefined : getUrl(inquiry);
    const body = at === undefined ? inquiry.request : undefined;
    at ??= inquiry.url;
    for (let left = MOST_REDIRECTS; ; left--) {
      const answer = await this.#send(at, body, inquiry.signal);
      if (typeof answer !== 'string') return answer;
      if (left === 0) throw redirected(inquiry.url, 'again and again');
      at = answer;
    }
  }

  /** What came, or where it is to be had. */
  async #send(url: string, body: Buffer | undefined, signal: AbortSignal): Promise<Fetched | string> {
    const answer = await request(url, {
      dispatcher: this.#agent,
      method: body ? 'POST' : 'GET',
      signal,
      headers: {
        accept: 'application/ocsp-response',
        ...(body && { 'content-type': 'application/ocsp-request' }),
      },
      ...(body && { body }),
    });
    const { statusCode, headers } = answer;
    const header = (name: string) => [headers[name]].flat()[0];
    if ([301, 302, 303, 307, 308].includes(statusCode)) {
      await answer.body.dump();
      return target(url, header('location'));
    }
    const now = this.#clock.now();
    if (statusCode !== 200) {
      await answer.body.dump();
      const message = `The OCSP responder ${url} answers with status ${statusCode}`;
      const retryAfter = parseRetryAfter(header('retry-after'), now);
      throw new ResponderError('responder-status', message, { retryAfter, httpStatus: statusCode });
    }
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    return { body: bytes, fresh: freshness(header, now) };
  }
}

/** undefined where the request does not fit into a path. */
function getUrl({ url, request }: Inquiry): string | undefined {
  const encoded = encodeURIComponent(request.toString('base64'));
  if (encoded.length > LONGEST_GET || new URL(url).search !== '') return undefined;
  return `${url.replace(/\/$/, '')}/${encoded}`;
}

function target(url: string, location: string | undefined): string {
  const to = URL.parse(location ?? '', url);
  if (to && /^https?:$/.test(to.protocol)) return to.href;
  throw redirected(url, `to ${to?.href ?? 'nowhere'}`);
}

function redirected(url: string, whereTo: string): ResponderError {
  return new ResponderError('responder-redirect', `The OCSP responder ${url} redirects ${whereTo}`);
}

/** Cache-Control: max-age (less Age), else Expires. */
function freshness(header: (name: string) => string | undefined, now: number): number {
  const control = header('cache-control') ?? '';
  if (/\bno-(?:cache|store)\b/i.test(control)) return 0;
  const seconds = /\bmax-age\s*=\s*"?(\d{1,10})/i.exec(control)?.[1];
  const age = /^\d{1,10}$/.exec(header('age') ?? '')?.[0] ?? '0';
  const ms =
    seconds === undefined
      ? Date.parse(header('expires') ?? '') - now
      : (Number(seconds) - Number(age)) * 1000;
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), LONGEST_FRESH);
}

/** Names a failure of undici, node:net, node:tls or the HTTP parser. */
function fault(cause: unknown, url: string): ResponderError {
  if (cause instanceof errors.ResponseExceededMaxSizeError) {
    const message = `The OCSP responder ${url} answers with more than ${LARGEST_RESPONSE} bytes`;
    return new ResponderError('responder-too-large', message, { cause });
  }
  const code = systemCode(cause) ?? (cause instanceof Error ? cause.name : '');
  const message = `The OCSP responder ${url} can't be reached (${code})`;
  return new ResponderError('responder-unreachable', message, { cause });
}
