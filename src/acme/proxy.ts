/** Connections to a CA by way of an HTTP proxy (CONNECT, RFC 9110 section 9.3.6), in plain text or TLS up to it. */
import { type ClientRequest, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { explain } from '../base/errors.ts';
import { AcmeError } from './errors.ts';

export interface ProxyOptions {
  /** http or https; user and password in it are sent by Basic authentication. */
  readonly url: string;
  /** PEM of an https proxy's trust anchors, instead of the system's. */
  readonly ca?: string | undefined;
}

/**
 * Connects undici by the proxy. A failure to do so is an AcmeError `acme-proxy`, which names the proxy without its
 * password.
 * @param secure what speaks TLS with the CA inside of the tunnel
 * @param timeout ms for the proxy to connect
 */
export function proxyConnector(
  { url, ca }: ProxyOptions,
  secure: buildConnector.connector,
  timeout: number,
): buildConnector.connector {
  const proxy = new URL(url);
  return (target, callback) => {
    const port = target.port || (target.protocol === 'https:' ? '443' : '80');
    const host = target.hostname.includes(':')
      ? `[${target.hostname.replace(/[[\]]/g, '')}]`
      : target.hostname;
    const asking = ask(proxy, `${host}:${port}`, ca);
    let failed = false;
    const fail = (what: string, cause?: unknown) => {
      // Destroyed, it fails once more.
      if (failed) return;
      failed = true;
      callback(failure(proxy, what, cause), null);
      asking.destroy();
    };
    asking.setTimeout(timeout, () => fail(`did not connect to ${host} within ${timeout / 1000} seconds`));
    asking.once('connect', ({ statusCode = 0 }, socket: Socket) => {
      asking.removeAllListeners('timeout');
      socket.setTimeout(0);
      if (statusCode < 200 || statusCode > 299) {
        socket.destroy();
        return fail(refusal(statusCode, host));
      }
      if (target.protocol !== 'https:') return callback(null, socket);
      secure({ ...target, httpSocket: socket }, callback);
    });
    // A proxy that refuses may answer as to any request.
    asking.once('response', ({ statusCode = 0 }) => fail(refusal(statusCode, host)));
    asking.on('error', (cause) => fail(`can't be reached or does not answer: ${explain(cause)}`, cause));
    asking.end();
  };
}

function ask(proxy: URL, path: string, ca: string | undefined): ClientRequest {
  const login = [proxy.username, proxy.password].map(decodeURIComponent).join(':');
  const options = {
    method: 'CONNECT',
    host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
    path,
    agent: false,
    headers: {
      host: path,
      ...(login !== ':' && { 'proxy-authorization': `Basic ${Buffer.from(login).toString('base64')}` }),
    },
  } as const;
  return proxy.protocol === 'https:' ? requestSecure({ ...options, ca }) : requestPlain(options);
}

function refusal(status: number, host: string): string {
  if (status === 407) {
    return 'demands a login (status 407): write http://user:password@… in MDHttpProxy, with what it accepts';
  }
  return `refuses to connect to ${host} (status ${status}): its administrator has to allow that`;
}

function failure(proxy: URL, what: string, cause: unknown): AcmeError {
  const at = `${proxy.protocol}//${proxy.host}`;
  return new AcmeError('acme-proxy', `The proxy at ${at} (MDHttpProxy) ${what}`, { cause });
}
