/** What became of a request to a backend, as a status for the client and a line for the log. */
import { explain, LatchkeyError, systemCode } from '../../base/errors.ts';
import type { Target } from './target.ts';

/** An answer that no client shall see. */
export class BadResponseError extends LatchkeyError<'proxy-bad-response'> {
  constructor(message: string, options?: ErrorOptions) {
    super('proxy-bad-response', message, options);
  }
}

export interface Failure {
  readonly status: number;
  /** As httpd words it. */
  readonly text: string;
}

/** How far it had come: no connection yet, the request on its way, the head sent to the client. */
export type Stage = 'connecting' | 'waiting' | 'answering';

export function failureOf(error: Error, stage: Stage, target: Target): Failure {
  const code = systemCode(error) ?? '';
  const { host, path } = target;
  if (faults.has(code)) return { status: 400, text: `AH01102: HTTP: request refused: ${reason(error)}` };
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED')
    return { status: 503, text: `AH01114: HTTP: no connection to backend: ${host} (shutting down)` };
  const status = timeouts.has(code) ? 504 : 502;
  if (stage === 'connecting') return { status, text: connecting(error, code, target) };
  if (stage === 'waiting')
    return {
      status,
      text: `AH01102: error reading status line from remote server ${host} for ${path}: ${reason(error)}`,
    };
  return { status, text: `AH01110: error reading response from ${host} for ${path}: ${reason(error)}` };
}

const timeouts: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ETIMEDOUT',
]);

/** The client's fault: a header, a method or a length that can't be passed on. */
const faults: ReadonlySet<string> = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
]);

function connecting(error: Error, code: string, target: Target): string {
  const { host, hostname, path } = target;
  if (code === 'ENOTFOUND' || code.startsWith('EAI_'))
    return `AH00898: DNS lookup failure for: ${hostname} returned by ${path}: ${reason(error)}`;
  if (target.secure && !unreachable(error, code))
    return `AH00898: Error during SSL Handshake with remote server ${host} returned by ${path}: ${reason(error)}`;
  return `AH01114: HTTP: failed to make connection to backend: ${host}: ${reason(error)}`;
}

/** No connection at all, as against one on which TLS failed (EPROTO, ERR_TLS_…, OpenSSL's verify codes). */
function unreachable(error: Error, code: string): boolean {
  if (error instanceof AggregateError || code === 'UND_ERR_CONNECT_TIMEOUT') return true;
  return /^E[A-Z]+$/.test(code) && code !== 'EPROTO';
}

function reason(error: Error): string {
  // Of several addresses, each has failed in its own way.
  if (error instanceof AggregateError) return error.errors.map(explain).join(', ');
  return explain(error);
}
