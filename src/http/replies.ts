/** Answers that the server makes itself: redirects and error pages. */
import { ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import type { Response } from './exchange.ts';
import type { LiveExchange } from './live.ts';
import { statusPage } from './pages.ts';

export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/** `location`: absolute, or a path of this origin. */
export function redirect(exchange: LiveExchange, status: number, location: string): void {
  const absolute = location.startsWith('/') ? exchange.origin + location : location;
  sendPage(exchange, status, statusPage(status, absolute), { Location: absolute });
}

export function sendPage(
  exchange: LiveExchange,
  status: number,
  page: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const { response } = exchange;
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  exchange.isError = true;
  const body = Buffer.from(page);
  // oxlint-disable-next-line eslint/no-control-regex -- ASCII is what is looked for
  const charset = /^[\0-\x7f]*$/.test(page) ? 'iso-8859-1' : 'utf-8';
  response.writeHead(status, {
    ...headers,
    'Content-Type': `text/html; charset=${charset}`,
    'Content-Length': String(body.length),
  });
  response.end(body);
}

/** Ends an answer in the middle, so that the client can't take what it has for the whole: a reset, never a regular end. */
export function breakOff(response: Response): void {
  if (response instanceof ServerResponse) response.destroy();
  else response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
}
