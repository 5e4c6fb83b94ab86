/** What is answered at port 80: challenges, and everything else by the way to https. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { normalizeAddress } from '../base/addresses.ts';
import type { Challenges } from '../domains/challenge-answers.ts';
import { CHALLENGE_PATH } from '../domains/preflight/token.ts';

export interface PlainHttpParts {
  readonly challenges: Challenges;
  /** Whether a name is one that https is served for. */
  readonly isServed: (name: string) => boolean;
  /** The port where listen() serves https. */
  readonly httpsPort: () => number;
}

/**
 * Answers challenges of http-01; other requests go on to `next`, or are redirected to https where there is none. It
 * is middleware for Express and Connect, and a listener for node:http.
 */
export type ChallengeHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void;

export function challengeHandler(parts: PlainHttpParts): ChallengeHandler {
  return (request, response, next) => {
    const { url = '' } = request;
    const host = hostOf(request);
    const otherwise = () => (next ? next() : redirect(request, response, host, parts));
    if (!url.startsWith(CHALLENGE_PATH)) return otherwise();
    const token = url.slice(CHALLENGE_PATH.length);
    void parts.challenges.http01(host.name, token).then((answer) => {
      if (answer === undefined || !isFor(answer, token)) return otherwise();
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(answer);
    });
  };
}

/** A key authorization begins with its token (RFC 8555 section 8.1); preflight's answer is the token itself. */
function isFor(answer: string, token: string): boolean {
  return answer === token || answer.startsWith(`${token}.`);
}

interface Host {
  readonly name: string;
  /** The client has named one. */
  readonly port: boolean;
}

function hostOf({ headers }: IncomingMessage): Host {
  const [, name = '', port] = /^(\[[^\]]*\]|[^:]*)(:\d*)?$/.exec(headers.host ?? '') ?? [];
  return { name: normalizeAddress(name.replace(/\.$/, '')), port: port !== undefined };
}

/**
 * To names of ours only: anybody may write anything into Host. Who has named a port speaks with us directly and is
 * given the one that we listen on; for others 443 leads here, whatever it is mapped to.
 */
function redirect(
  { url = '/', method }: IncomingMessage,
  response: ServerResponse,
  { name, port }: Host,
  { isServed, httpsPort }: PlainHttpParts,
): void {
  if (!isServed(name) || !url.startsWith('/')) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found\n');
    return;
  }
  const host = name.includes(':') ? `[${name}]` : name;
  const direct = port ? httpsPort() : 443;
  const location = `https://${host}${direct === 443 ? '' : `:${direct}`}${url}`;
  // 308 keeps the method, 301 is what everybody knows.
  const status = method === 'GET' || method === 'HEAD' ? 301 : 308;
  response.writeHead(status, { location, 'content-length': 0 }).end();
}
