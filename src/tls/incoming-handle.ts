/**
 * A listener's connections without a net.Socket for each: TLS is begun on the TCP handle itself, as Node does it for
 * clients. A socket that only reads a ClientHello, and then lies beneath another one, takes a twenty-fifth of what a
 * handshake costs.
 *
 * What Node does not document, looked for by takeConnections() but for the last:
 * - `server._handle.onconnection`: called for each connection with an error or its TCP handle
 * - of a TCP handle `readStart()`, `reading`, `onread`, `bytesRead`, `getsockname()`, `getpeername()`,
 *   `setNoDelay()`, `close()`, `reset()`
 * - `new net.Socket({ handle })`
 */
import { Socket, type Server } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { LatchkeyError } from '../base/errors.ts';
import type { Endpoints, Incoming } from './incoming.ts';
import { startTls, type ServerSocketOptions, type TcpHandle } from './server-socket.ts';

const PIECES = [
  'readStart',
  'onread',
  'bytesRead',
  'getsockname',
  'getpeername',
  'setNoDelay',
  'close',
  'reset',
] as const;

/**
 * Takes the connections of a server that listens; it emits none of them, and none keeps it from closing.
 * @throws LatchkeyError `tls-private-surface`: this Node lacks something that is needed for it.
 */
export function takeConnections(server: Server, take: (connection: IncomingHandle) => void): void {
  const { _handle: listener } = server as unknown as { readonly _handle: unknown };
  if (!isListener(listener)) {
    throw new LatchkeyError(
      'tls-private-surface',
      `Latchkey does not know Node ${process.versions.node}: the connections of its net.Server can't be taken. Use a release of Node that this version of Latchkey supports`,
    );
  }
  const bound = boundOf(server);
  listener.onconnection = (error, handle) => {
    // A failed accept concerns one connection. (Where no descriptors are left nobody is told.)
    if (error === 0 && handle) take(new IncomingHandle(handle, bound));
  };
}

/** Where all of a server's connections come to, which none of them has to be asked; undefined where it listens on every address. */
function boundOf(server: Server): Address | undefined {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return undefined;
  return bound.address === '::' || bound.address === '0.0.0.0' ? undefined : bound;
}

interface Listener {
  onconnection: (error: number, handle?: TcpHandle) => void;
}

function isListener(value: unknown): value is Listener {
  if (typeof value !== 'object' || value === null || !('onconnection' in value)) return false;
  return typeof value.onconnection === 'function' && PIECES.every((name) => name in value);
}

export class IncomingHandle implements Incoming {
  readonly #handle: TcpHandle;
  readonly #bound: Address | undefined;
  readonly #onClose: (() => void)[] = [];
  #endpoints: Endpoints | undefined;
  /** What it has become. */
  #stream: Socket | undefined;
  #closed = false;

  constructor(handle: TcpHandle, bound: Address | undefined) {
    this.#handle = handle;
    this.#bound = bound;
    // What is said in TLS is said at once.
    handle.setNoDelay(true);
  }

  get endpoints(): Endpoints {
    return (this.#endpoints ??= endpointsOf(this.#handle, this.#bound));
  }

  get bytesRead(): number {
    return this.#handle.bytesRead;
  }

  get closed(): boolean {
    return this.#closed || this.#stream?.destroyed === true;
  }

  onClose(callback: () => void): void {
    this.#onClose.push(callback);
  }

  read(take: (bytes: Buffer | null) => void): void {
    this.#handle.onread = (bytes) => take(bytes ? Buffer.from(bytes) : null);
    // Whoever reads on looks there whether it is begun.
    this.#handle.reading = true;
    if (this.#handle.readStart() !== 0) this.destroy();
  }

  toSocket(): Socket {
    return this.#become(socketOf(this.#handle)).on('error', ignore);
  }

  toTls(options: ServerSocketOptions): TLSSocket {
    this.#handle.onread = ignore;
    return this.#become(startTls(this.#handle, options));
  }

  destroy(): void {
    if (this.#stream) this.#stream.destroy();
    else if (this.#end()) this.#handle.close(this.#gone);
  }

  reset(): void {
    if (!this.#end()) return;
    if (this.#handle.reset(this.#gone) !== 0) this.#handle.close(this.#gone);
  }

  #become<Stream extends Socket>(stream: Stream): Stream {
    this.#stream = stream;
    stream.once('close', this.#gone);
    return stream;
  }

  /** False where it has been ended before. */
  #end(): boolean {
    if (this.#closed) return false;
    this.#closed = true;
    this.#handle.onread = ignore;
    return true;
  }

  readonly #gone = () => {
    this.#closed = true;
    for (const callback of this.#onClose.splice(0)) callback();
  };
}

function socketOf(handle: TcpHandle): Socket {
  // Said twice, it would be set twice.
  const options = { handle, noDelay: true };
  return new Socket(options as object);
}

interface Address {
  address?: string;
  port?: number;
}

function endpointsOf(handle: TcpHandle, bound: Address | undefined): Endpoints {
  const local = bound ?? asked((into) => handle.getsockname(into));
  const remote = asked((into) => handle.getpeername(into));
  return {
    localAddress: local.address ?? '',
    localPort: local.port ?? 0,
    remoteAddress: remote.address ?? '',
    remotePort: remote.port ?? 0,
  };
}

function asked(question: (into: Address) => number): Address {
  const address: Address = {};
  question(address);
  return address;
}

function ignore(): void {}
