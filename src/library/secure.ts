/**
 * Servers of the program's own whose connections come in through ours: the ClientHello is read first, then TLS begins
 * with what it calls for. node:tls cannot do that: its callbacks come too late for the certificate of tls-alpn-01, and
 * not at all for clients without SNI.
 */
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { Server as TlsServer, type TLSSocket } from 'node:tls';
import { LatchkeyError } from '../base/errors.ts';
import { Acceptor, type AcceptorOptions } from '../tls/accept.ts';
import { IncomingSocket } from '../tls/incoming.ts';
import type { Selector } from './selection.ts';

export interface SecureOptions {
  /**
   * Protocols to offer by ALPN, the preferred first. Default `['h2', 'http/1.1']` for a server of node:http2,
   * `['http/1.1']` for one of node:https, none for one of node:tls.
   */
  readonly alpn?: readonly string[] | undefined;
}

/** What of a server is taken over. */
export class SecuredServer implements Disposable {
  readonly server: TlsServer;
  readonly #acceptor: Acceptor<undefined>;
  readonly #connections = new Set<TLSSocket>();

  /** @throws LatchkeyError `not-a-tls-server` */
  constructor(
    server: TlsServer,
    selector: Selector,
    telling: Pick<AcceptorOptions<undefined>, 'logger' | 'onFailed'>,
    { alpn }: SecureOptions,
  ) {
    // Any value may come from a program without types: an app, say.
    if (!(server instanceof TlsServer) || server.listenerCount('secureConnection') === 0) {
      throw new LatchkeyError(
        'not-a-tls-server',
        'This is no server with TLS: make it by https.createServer(), http2.createSecureServer() or tls.createServer() with a listener',
      );
    }
    this.server = server;
    const protocols = alpn ?? protocolsOf(server);
    this.#acceptor = new Acceptor({
      select: (hello, endpoints) => selector.select(hello, endpoints, protocols),
      onSecure: (socket) => this.#secured(socket),
      ...telling,
    });
    // In place of node:tls's own listener, the first, which begins TLS at once; others are the program's.
    const [begin] = server.listeners('connection') as ((socket: Socket) => void)[];
    if (begin) server.off('connection', begin);
    server.prependListener('connection', (socket: Socket) =>
      this.#acceptor.accept(new IncomingSocket(socket)),
    );
  }

  /** Ends what is under way. */
  destroyConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** Handshakes end, and no more begin. */
  [Symbol.dispose](): void {
    this.#acceptor.close();
  }

  #secured(socket: TLSSocket): void {
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    // As node:tls has it; node:http2 looks there for what HTTP/1.1 is answered with.
    Object.assign(socket, { server: this.server });
    this.server.emit('secureConnection', socket);
  }
}

function protocolsOf(server: TlsServer): readonly string[] {
  if ('updateSettings' in server) return ['h2', 'http/1.1'];
  return isHttps(server) ? ['http/1.1'] : [];
}

function isHttps(server: TlsServer): server is HttpsServer {
  return 'requestTimeout' in server;
}
