/** Opens connections to a backend: checked by what the configuration asks of TLS, within a time. */
import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { buildConnector, errors } from 'undici';
import { systemClock } from '../../base/clock.ts';
import { explain, LatchkeyError } from '../../base/errors.ts';
import { checkBackend } from '../../tls/backend.ts';
import type { Backend } from './backends.ts';
import type { Target } from './target.ts';

export interface Way {
  readonly target: Target;
  /** Of a target that is secure. */
  readonly backend: Backend | undefined;
  /** ms until connected, the TLS handshake included. */
  readonly timeout: number;
  /** An IP address to connect from; null: any. */
  readonly localAddress: string | null;
}

/** For undici: HTTP/1.1. */
export function connectorOf({ target, backend, timeout, localAddress }: Way): buildConnector.connector {
  const { socketPath } = target;
  const connect = buildConnector({
    ...backend?.options,
    timeout,
    ...(socketPath === undefined ? {} : { socketPath }),
  });
  return (wanted, callback) => {
    const finish = async (connected: Socket) => {
      try {
        await judge(connected);
      } catch (error) {
        return callback(error instanceof Error ? error : new Error(explain(error)), null);
      }
      callback(null, connected);
    };
    // undici gives the socket back at once, as its own Agent would, and does not say so.
    const socket: unknown = connect(
      { ...wanted, servername: serverName(target), localAddress },
      (...[error, connected]) => {
        if (error) callback(error, null);
        else void finish(connected);
      },
    );
    const judge = judgeOf(socket, target, backend);
  };
}

/**
 * For HTTP/2, which undici's connector can't ask for alone. Rejects with LatchkeyError `proxy-no-http2` where TLS
 * doesn't agree on it.
 */
export async function dial({ target, backend, timeout, localAddress }: Way): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const { hostname, origin, socketPath, secure } = target;
  const where =
    socketPath === undefined
      ? {
          host: hostname,
          port: Number(new URL(origin).port) || (secure ? 443 : 80),
          ...(localAddress === null ? {} : { localAddress }),
        }
      : { path: socketPath };
  const tls = { ...backend?.options, servername: serverName(target), ALPNProtocols: ['h2'] };
  const socket = secure ? connectTls({ ...where, ...tls }, resolve) : connectTcp(where, resolve);
  const judge = judgeOf(socket, target, backend);
  const timer = setTimeout(() => {
    socket.destroy(new errors.ConnectTimeoutError(`no connection within ${timeout} ms`));
  }, timeout);
  socket.setNoDelay(true).setKeepAlive(true, 60_000).once('error', reject);
  socket.once('close', () => reject(new errors.SocketError('closed while connecting')));
  try {
    await promise;
    await judge(socket);
  } finally {
    clearTimeout(timer);
  }
  if (!(socket instanceof TLSSocket) || socket.alpnProtocol === 'h2') return socket;
  socket.destroy();
  throw new LatchkeyError('proxy-no-http2', 'the backend offers no HTTP/2 over TLS: use https:// for it');
}

/** Whatever Host says (ProxyPreserveHost), the backend is known, and verified, by the name in its URL. */
function serverName({ hostname }: Target): string {
  return isIP(hostname) === 0 ? hostname : '';
}

/** Asked once the handshake is over; rejects, and has ended the connection, if the backend isn't to be trusted. */
function judgeOf(
  opening: unknown,
  { hostname: name }: Target,
  backend: Backend | undefined,
): (socket: Socket) => Promise<void> {
  let staple: Buffer | undefined;
  if (opening instanceof TLSSocket) opening.once('OCSPResponse', (der) => (staple = der ?? undefined));
  return async (socket) => {
    if (!backend || !(socket instanceof TLSSocket)) return;
    try {
      await checkBackend(socket, { policy: backend.policy, name, staple, now: systemClock.now() });
    } catch (error) {
      socket.destroy();
      throw error;
    }
  };
}
