/** CONNECT (RFC 9110, section 9.3.6): a connection to where the client says, and both ends joined. */
import { connect, type Socket } from 'node:net';
import { explain, systemCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Exchange } from '../exchange.ts';
import { join, watchForEnd } from './tunnel.ts';

export interface Destination {
  /** A name, or an address without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** Fulfilled when the tunnel stands, the client was told why it doesn't, or the client is gone. */
export async function openConnection(exchange: Exchange, to: Destination, log: Logger): Promise<void> {
  const { upgrade, host } = exchange;
  if (!upgrade) return exchange.fail(500);
  const timeout = host.proxy.timeout ?? host.limits.timeout;
  const socket = connect({ host: to.hostname, port: to.port });
  const failure = await settled(socket, upgrade.socket, timeout);
  if (failure === undefined) {
    exchange.response.statusCode = 200;
    upgrade.socket.write('HTTP/1.1 200 Connection Established\r\n\r\n', 'latin1');
    join({ client: upgrade, backend: socket, timeout, log });
    return;
  }
  socket.destroy();
  if (failure === 'gone') return void upgrade.socket.destroy();
  log.error(`AH00957: CONNECT: attempt to connect to ${to.hostname}:${to.port} failed: ${explain(failure)}`);
  await exchange.fail(systemCode(failure) === 'ETIMEDOUT' ? 504 : 502);
}

/** Undefined once connected; `gone` where the client doesn't wait for it. */
function settled(socket: Socket, client: Parameters<typeof watchForEnd>[0], timeout: number) {
  const { promise, resolve } = Promise.withResolvers<Error | 'gone' | undefined>();
  const stopWatching = watchForEnd(client, () => resolve('gone'));
  socket.setTimeout(timeout, () =>
    resolve(Object.assign(new Error(`no connection within ${timeout / 1000} s`), { code: 'ETIMEDOUT' })),
  );
  socket.once('connect', () => resolve(undefined)).once('error', resolve);
  return promise.finally(() => {
    stopWatching();
    socket.off('error', resolve).setTimeout(0);
    socket.removeAllListeners('timeout').on('error', () => {});
  });
}
