/** Two sockets joined, nothing looked into: a WebSocket connection after its handshake, or CONNECT's. */
import type { IncomingHttpHeaders } from 'node:http';
import { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { Duplex } from 'node:stream';
import { systemCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { responseHeaders } from './response-headers.ts';

export interface Ends {
  /** `head`: what came of it already. */
  readonly client: { readonly socket: Duplex; readonly head: Buffer };
  readonly backend: Duplex;
  /** ms without a byte in either direction after which both ends are closed. */
  readonly timeout: number;
  readonly log: Logger;
}

/**
 * Calls back when a client hangs up that waits for its handshake: nobody reads its socket meanwhile, and a
 * socket that isn't read doesn't notice. Gives back how to stop.
 */
export function watchForEnd(socket: Duplex, hungUp: () => void): () => void {
  const ignore = () => {};
  socket.on('readable', ignore).on('error', ignore).once('end', hungUp).once('close', hungUp);
  return () => {
    socket.off('readable', ignore).off('end', hungUp).off('close', hungUp);
  };
}

/** Answers the client with the backend's 101 and joins the two. */
export function openTunnel({ headers, ...ends }: Ends & { readonly headers: IncomingHttpHeaders }): void {
  ends.client.socket.write(switching(headers), 'latin1');
  join(ends);
}

/** When one closes or fails, so does the other. */
export function join({ client, backend, timeout, log }: Ends): void {
  const { socket, head } = client;
  if (head.length > 0) backend.write(head);
  if (backend instanceof Socket) {
    // Each byte of either direction passes here, so one timer sees them all.
    backend.setTimeout(timeout, () => {
      log.info('AH10212: tunnel running timeout: both ends closed');
      backend.destroy();
      socket.destroy();
    });
  }
  const ended = (error: unknown) => {
    if (error) log.debug(`tunnel closed: ${systemCode(error) ?? 'unknown'}`);
  };
  pipeline(socket, backend, ended);
  pipeline(backend, socket, ended);
}

function switching(headers: IncomingHttpHeaders): string {
  const lines = responseHeaders(headers, 101, (url) => url).flatMap(([name, value]) =>
    [value].flat().map((each) => `${name}: ${each}\r\n`),
  );
  return `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n${lines.join('')}\r\n`;
}
