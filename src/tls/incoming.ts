/** A TCP connection before TLS begins on it: what is known of it, what arrives, and what becomes of it. */
import { Readable } from 'node:stream';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { startTls, type ServerSocketOptions } from './server-socket.ts';

/** Between whom a connection is. */
export interface Endpoints {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

export interface Incoming {
  /** Asked for once: every question is a system call. Empty where the connection was gone already. */
  readonly endpoints: Endpoints;
  /** Octets that have arrived so far, those of TLS included. */
  readonly bytesRead: number;
  /** It is gone, or on its way to be. */
  readonly closed: boolean;
  /** Calls back once, when the connection is gone, in whatever form it was by then. */
  onClose(callback: () => void): void;
  /** Gives what arrives, from now on until it becomes something else; null: the client sends no more. */
  read(take: (bytes: Buffer | null) => void): void;
  /** From now on it is a stream. Its errors are ignored. */
  toSocket(): Socket;
  /** From now on it is a TLS connection; see startTls(). */
  toTls(options: ServerSocketOptions): TLSSocket;
  destroy(): void;
  /** Ends it by a reset, which costs least. Only as long as it is nothing else yet. */
  reset(): void;
}

/** The connection of somebody's net.Server, from which nothing was read. */
export class IncomingSocket implements Incoming {
  readonly #socket: Socket;
  readonly endpoints: Endpoints;
  #secure: TLSSocket | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.endpoints = endpointsOf(socket);
    // With one side closed there is nothing more to say in TLS, and http2 would keep the other open for ever.
    socket.allowHalfOpen = false;
    socket.on('error', ignore);
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  onClose(callback: () => void): void {
    this.#socket.once('close', callback);
  }

  /**
   * What arrives is taken where the socket would put it in its buffer: its events come three turns of Node's queue
   * later, and cost more than reading the hello.
   */
  read(take: (bytes: Buffer | null) => void): void {
    this.#socket.push = (chunk: Buffer | null) => {
      take(chunk);
      return true;
    };
  }

  toSocket(): Socket {
    // oxlint-disable-next-line typescript/unbound-method -- it is put back to where it belongs
    this.#socket.push = Readable.prototype.push;
    return this.#socket;
  }

  toTls(options: ServerSocketOptions): TLSSocket {
    return (this.#secure = startTls(this.toSocket(), options));
  }

  destroy(): void {
    (this.#secure ?? this.#socket).destroy();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }
}

export function endpointsOf(socket: Socket): Endpoints {
  return {
    localAddress: socket.localAddress ?? '',
    localPort: socket.localPort ?? 0,
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
  };
}

function ignore(): void {}
