/** http-01 (RFC 8555 section 8.3): the key authorization under `/.well-known/acme-challenge/TOKEN`. */
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { AcmeProblem } from '../acme/problem.ts';
import { readIdentifier } from '../identifiers.ts';
import { connect } from './connect.ts';
import { describe, quote } from './failure.ts';
import type { Attempt } from './attempt.ts';

const MOST_REDIRECTS = 10;
/** A key authorization has 87 characters; what is larger is something else. */
const LARGEST_BODY = 8192;
const redirects = new Set([301, 302, 303, 307, 308]);

/** Fulfilled when the answer is the key authorization. Rejects with AcmeProblem. */
export async function validateHttp01(attempt: Attempt): Promise<void> {
  const { identifier, token, keyAuthorization } = attempt;
  const host = isIP(identifier.value) === 6 ? `[${identifier.value}]` : identifier.value;
  let url = new URL(`http://${host}/.well-known/acme-challenge/${token}`);
  for (let followed = 0; followed <= MOST_REDIRECTS; followed++) {
    const answer = await get(url, attempt);
    if (answer.location === undefined) {
      checkAnswer(url, answer, keyAuthorization);
      return;
    }
    url = redirected(url, answer.location, attempt);
  }
  throw new AcmeProblem('connection', `${url.hostname}: more than ${MOST_REDIRECTS} redirects`);
}

interface Answer {
  readonly status: number;
  /** Of a redirect. */
  readonly location: string | undefined;
  readonly body: string;
  /** Address and port that answered. */
  readonly at: string;
}

function checkAnswer(url: URL, { status, body, at }: Answer, wanted: string): void {
  const what = `${at}: ${url.href}`;
  if (status !== 200) throw new AcmeProblem('unauthorized', `${what} answers with status ${status}`);
  if (body.trimEnd() === wanted) return;
  throw new AcmeProblem(
    'unauthorized',
    `${what} answers "${quote(body)}" where the key authorization was expected`,
  );
}

/** Ports: the default ones stand for the configured ones, which may be named too. */
function redirected(from: URL, location: string, { ports }: Attempt): URL {
  const to = URL.parse(location, from.href);
  const refuse = (reason: string) =>
    new AcmeProblem('connection', `${from.href} redirects to "${quote(location)}": ${reason}`);
  if (!to) throw refuse('that is not a URL');
  if (to.protocol !== 'http:' && to.protocol !== 'https:') throw refuse('only http and https are followed');
  const allowed = to.protocol === 'http:' ? ports.http : ports.https;
  if (to.port !== '' && Number(to.port) !== allowed) throw refuse('that port is not allowed');
  return to;
}

async function get(url: URL, attempt: Attempt): Promise<Answer> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const identifier = readIdentifier(isIP(host) ? 'ip' : 'dns', host);
  if ('wrong' in identifier) throw new AcmeProblem('connection', `${url.href}: ${identifier.wrong}`);
  const secure = url.protocol === 'https:';
  const addresses = isIP(host) ? [host] : await attempt.resolver.addresses(host, attempt.signal);
  const port = secure ? attempt.ports.https : attempt.ports.http;
  const { socket, at } = await connect(host, addresses, port, attempt.signal);
  try {
    // Whose certificate it is says nothing yet: obtaining one is what this is about.
    const servername = isIP(host) ? '' : host;
    const carrier = secure ? tlsConnect({ socket, servername, rejectUnauthorized: false }) : socket;
    return { ...(await exchange(url, carrier, attempt.signal)), at };
  } catch (cause) {
    throw new AcmeProblem('connection', `${at}: ${url.href}: ${describe(cause)}`, { cause });
  } finally {
    socket.destroy();
  }
}

async function exchange(url: URL, socket: Socket, signal: AbortSignal): Promise<Omit<Answer, 'at'>> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = request({
    createConnection: () => socket,
    // Without a port of its own: a mapped port looks like 80 from outside, and so it does here.
    headers: { host: url.host, 'user-agent': 'Latchkey local CA', accept: '*/*', connection: 'close' },
    path: url.pathname + url.search,
    signal,
  });
  outgoing.once('response', resolve).once('error', reject).end();
  const response = await promise;
  const status = response.statusCode ?? 0;
  const location = redirects.has(status) ? response.headers.location : undefined;
  return { status, location, body: location === undefined ? await read(response) : '' };
}

async function read(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    length += part.length;
    if (length > LARGEST_BODY) break;
  }
  return Buffer.concat(parts).toString('utf8', 0, LARGEST_BODY);
}
