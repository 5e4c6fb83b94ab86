/** Whether what DNS says leads to this server: asked as a CA would ask, from here. */
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { connect, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { normalizeAddress } from '../../base/addresses.ts';
import { explain, systemCode } from '../../base/errors.ts';
import { CHALLENGE_PATH } from './token.ts';

/** ms for one request or connection. */
const TIME = 5000;
/** As many as Let's Encrypt follows. */
const MOST_REDIRECTS = 10;
/** Bytes of an answer that are read. */
const MOST_READ = 1024;

export interface Target {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly signal?: AbortSignal | undefined;
}

/** What came back. */
export type Reached =
  | { readonly kind: 'ours' }
  /** Somebody answers, and it isn't us. */
  | { readonly kind: 'other'; readonly detail: string }
  /** Nobody answers: an error code, or words. */
  | { readonly kind: 'unreachable'; readonly detail: string };

/** Asks for a token that only this server's workers know. Redirects are followed on the same host. */
export async function probeHttp(target: Target, token: string): Promise<Reached> {
  let url = new URL(`http://${inUrl(target.name)}:${target.port}${CHALLENGE_PATH}${token}`);
  try {
    for (let left = MOST_REDIRECTS; ; left--) {
      const { status, location, body } = await get(url, target);
      if (location === undefined || status < 300 || status > 399) {
        if (status === 200 && body.trim() === token) return { kind: 'ours' };
        return { kind: 'other', detail: `answers with status ${status}, but not as this server` };
      }
      const to = URL.parse(location, url.href);
      if (left === 0) return { kind: 'other', detail: `redirects more than ${MOST_REDIRECTS} times` };
      if (!to || !/^https?:$/.test(to.protocol) || to.hostname !== url.hostname) {
        return { kind: 'other', detail: `redirects to ${to?.origin ?? 'nowhere'}` };
      }
      url = to;
    }
  } catch (error) {
    target.signal?.throwIfAborted();
    return { kind: 'unreachable', detail: words(error) };
  }
}

/** Whether the port takes connections. */
export function probePort({ address, port, signal }: Target): Promise<Reached> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, ...(signal && { signal }), timeout: TIME });
    const end = (reached: Reached) => {
      socket.destroy();
      resolve(reached);
    };
    socket.once('connect', () => end({ kind: 'ours' }));
    socket.once('timeout', () => end({ kind: 'unreachable', detail: 'no answer' }));
    socket.once('error', (error) => {
      if (signal?.aborted) reject(signal.reason);
      else end({ kind: 'unreachable', detail: words(error) });
    });
  });
}

/** Whether an address is one of this machine. */
export function isOwnAddress(address: string): boolean {
  const wanted = normalizeAddress(address);
  if (wanted === '::1' || wanted.startsWith('127.')) return true;
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return own.some((one) => normalizeAddress(one.address) === wanted);
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

/** By the given address, whatever the URL's host is; certificates are not judged, as CAs don't either. */
async function get(url: URL, { address, name, signal }: Target): Promise<Answer> {
  const within = AbortSignal.any([AbortSignal.timeout(TIME), ...(signal ? [signal] : [])]);
  const secure = url.protocol === 'https:';
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options = {
    host: address,
    port: url.port || (secure ? 443 : 80),
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, 'user-agent': 'latchkey-preflight' },
    signal: within,
    agent: false as const,
  };
  const asking = secure
    ? requestSecure(
        { ...options, rejectUnauthorized: false, ...(isIP(name) ? {} : { servername: name }) },
        resolve,
      )
    : requestPlain(options, resolve);
  asking.once('error', reject).end();
  const response = await promise;
  let body = '';
  for await (const chunk of response.setEncoding('latin1')) {
    body += String(chunk);
    if (body.length > MOST_READ) break;
  }
  asking.destroy();
  return { status: response.statusCode ?? 0, location: response.headers.location, body };
}

function inUrl(name: string): string {
  return isIP(name) === 6 ? `[${name}]` : name;
}

const CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connections are refused',
  ECONNRESET: 'the connection is closed without an answer',
  ETIMEDOUT: 'no answer',
  ABORT_ERR: 'no answer',
  ENETUNREACH: 'there is no route to it from here',
  EHOSTUNREACH: 'there is no route to it from here',
  EADDRNOTAVAIL: 'there is no route to it from here',
};

function words(error: unknown): string {
  return CODES[systemCode(error) ?? ''] ?? explain(error);
}
