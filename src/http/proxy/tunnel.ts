/** Two sockets joined, nothing looked into: a WebSocket connection after its handshake, or CONNECT's. */
import { createHash, randomBytes } from 'node:crypto';
import { ServerResponse } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { Duplex } from 'node:stream';
import { systemCode } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Exchange } from '../exchange.ts';
import { responseHeaders } from './response-headers.ts';

export interface Ends {
  /** `head`: what came of it already. */
  readonly client: { readonly socket: Duplex; readonly head: Buffer };
  readonly backend: Duplex;
  /** ms without a byte in either direction after which both ends are closed. */
  readonly timeout: number;
  readonly log: Logger;
}

/** A Sec-WebSocket-Key (RFC 6455, section 4.1). */
export function newKey(): string {
  return randomBytes(16).toString('base64');
}

/** Whether a 101 answers our key (RFC 6455, section 4.2.2). */
export function acceptedBy(key: string, headers: IncomingHttpHeaders): boolean {
  const proof = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return headers['sec-websocket-accept'] === proof;
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
export function openTunnel(
  exchange: Exchange,
  { headers, ...ends }: Ends & { readonly headers: IncomingHttpHeaders },
): void {
  const { response } = exchange;
  if (response instanceof ServerResponse) {
    response.statusCode = 101;
    ends.client.socket.write(switching(headers), 'latin1');
  } else {
    // RFC 8441, section 5.1: 200 stands for 101, and nothing speaks of keys.
    for (const [name, value] of passing(headers))
      if (name !== 'sec-websocket-accept') response.setHeader(name, value);
    response.writeHead(200);
  }
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

function passing(headers: IncomingHttpHeaders): [string, string | string[]][] {
  return responseHeaders(headers, 101, (url) => url);
}

function switching(headers: IncomingHttpHeaders): string {
  const lines = passing(headers).flatMap(([name, value]) =>
    [value].flat().map((each) => `${name}: ${each}\r\n`),
  );
  return `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n${lines.join('')}\r\n`;
}
