/**
 * Responses that call back once before their head is written, whoever writes it and however, and that count
 * what they send. Node makes them in place of its own (option `ServerResponse` of http, `Http2ServerResponse`
 * of http2); requests likewise count what arrives of their body.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { OutgoingHttpHeaders } from 'node:http';
import { reasonPhrase } from './pages.ts';

export type HeadersArgument = OutgoingHttpHeaders | readonly (string | readonly string[])[];

/** Called when everything but the rules of the configuration is in the headers. */
type HeadListener = () => void;

export class Answer extends ServerResponse<Received> {
  onHead: HeadListener | undefined;
  bodyBytes = 0;

  override writeHead(status: number, ...rest: unknown[]): this {
    if (this.headersSent) return this;
    prepareHead(this, status, rest);
    return super.writeHead(this.statusCode, this.statusMessage || reasonPhrase(this.statusCode));
  }

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    if (hasBody(this)) this.bodyBytes += sizeOf(chunk);
    return super.write(chunk, ...(rest as []));
  }

  override end(chunk?: unknown, ...rest: unknown[]): this {
    if (hasBody(this)) this.bodyBytes += sizeOf(chunk);
    return super.end(chunk, ...(rest as []));
  }
}

export class StreamAnswer extends Http2ServerResponse<StreamReceived> {
  onHead: HeadListener | undefined;
  bodyBytes = 0;

  override writeHead(status: number, ...rest: unknown[]): this {
    if (this.headersSent) return this;
    prepareHead(this, status, rest);
    return super.writeHead(this.statusCode);
  }

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    if (hasBody(this)) this.bodyBytes += sizeOf(chunk);
    return super.write(chunk as string, ...(rest as []));
  }
}

function prepareHead(answer: Answer | StreamAnswer, status: number, rest: readonly unknown[]): void {
  answer.statusCode = status;
  const [reason] = rest;
  if (typeof reason === 'string') answer.statusMessage = reason;
  setHeaders(answer, (typeof reason === 'object' ? reason : rest[1]) as HeadersArgument | undefined);
  answer.onHead?.();
}

/** Both shapes that writeHead() takes: an object, or names and values in turn (where names may repeat). */
function setHeaders(
  answer: ServerResponse | Http2ServerResponse,
  headers: HeadersArgument | undefined,
): void {
  if (!headers) return;
  if (!isList(headers)) {
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) answer.setHeader(name, value);
    }
    return;
  }
  const seen = new Set<string>();
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = String(headers[i]);
    const value = headers[i + 1] as string | string[];
    if (seen.has(name.toLowerCase())) answer.appendHeader(name, value);
    else answer.setHeader(name, value);
    seen.add(name.toLowerCase());
  }
}

function isList(headers: HeadersArgument): headers is readonly (string | readonly string[])[] {
  return Array.isArray(headers);
}

/** What is written for HEAD, 204 and 304 isn't sent. */
function hasBody({ req, statusCode }: Answer | StreamAnswer): boolean {
  return req.method !== 'HEAD' && statusCode !== 204 && statusCode !== 304;
}

function sizeOf(chunk: unknown): number {
  if (typeof chunk === 'string') return Buffer.byteLength(chunk);
  return chunk instanceof Uint8Array ? chunk.byteLength : 0;
}

export class Received extends IncomingMessage {
  bodyBytes = 0;
  /** Called with the number so far, before the chunk can be read. */
  onBody: ((bytes: number) => void) | undefined;

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    countBody(this, chunk);
    return super.push(chunk, encoding);
  }
}

export class StreamReceived extends Http2ServerRequest {
  bodyBytes = 0;
  onBody: ((bytes: number) => void) | undefined;

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    countBody(this, chunk);
    return super.push(chunk, encoding);
  }
}

function countBody(request: Received | StreamReceived, chunk: unknown): void {
  request.bodyBytes += sizeOf(chunk);
  if (chunk !== null) request.onBody?.(request.bodyBytes);
}
