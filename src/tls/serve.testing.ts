/** A server for tests: an Acceptor with HTTP/1.1 and HTTP/2 behind it, and clients that talk to it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { connect as connectTcp, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { createLoggers } from '../base/log.ts';
import { Acceptor } from './accept.ts';
import type { AcceptorOptions, Secured } from './accept.ts';
import { takeConnections } from './incoming-handle.ts';
import { IncomingSocket, type Incoming } from './incoming.ts';

export interface ServedBy {
  readonly tag: string;
  readonly sni: string | undefined;
  readonly alpn: string | undefined;
  readonly authorized: boolean;
}

export interface TestServer extends AsyncDisposable {
  readonly port: number;
  readonly acceptor: Acceptor<string>;
  /** Connections that became secure, in order. */
  readonly secured: ServedBy[];
  /** Lines of the log. */
  readonly log: string[];
  /** The callbacks of timers not disposed, with their times. */
  readonly timers: Set<{ readonly fire: () => void; readonly ms: number }>;
  /** Octets that have arrived by all connections that are open. */
  bytesRead(): number;
  /** Resolves when no connection is open and no handshake under way. */
  idle(): Promise<void>;
}

/** How a server's connections come to an acceptor. */
export type Kind = 'sockets' | 'handles';

type Options = Partial<AcceptorOptions<string>> & Pick<AcceptorOptions<string>, 'select'>;

/** Listens on a port of 127.0.0.1. Requests are answered with what is known of their connection, as JSON. */
export async function startServer(options: Options, kind: Kind = 'handles'): Promise<TestServer> {
  const secured: ServedBy[] = [];
  const log: string[] = [];
  const timers: TestServer['timers'] = new Set();
  const known = new WeakMap<object, ServedBy>();
  const text = (connection: object | undefined) => JSON.stringify(connection && known.get(connection));
  const http1 = createHttpServer((request, response) => response.end(text(request.socket)));
  // Its clocks start with this.
  http1.emit('listening');
  const http2 = createSecureServer(
    {},
    (request, response) => void response.end(text(request.stream.session)),
  );
  const acceptor = new Acceptor<string>({
    logger: createLoggers(
      (line) => log.push(line),
      () => ({ all: 'debug', modules: {} }),
    )('tls'),
    setTimer: (callback, ms) => {
      const timer = { fire: callback, ms };
      timers.add(timer);
      return { [Symbol.dispose]: () => timers.delete(timer) };
    },
    onSecure: (socket: TLSSocket, { tag, sni, alpn }: Secured<string>) => {
      const served = { tag, sni, alpn, authorized: socket.authorized };
      secured.push(served);
      known.set(socket, served);
      if (alpn === 'h2') {
        http2.once('session', (session) => known.set(session, served));
        http2.emit('secureConnection', socket);
      } else http1.emit('connection', socket);
    },
    ...options,
  });
  const open = new Set<Incoming>();
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  incoming(server, kind, (connection) => {
    open.add(connection);
    connection.onClose(() => open.delete(connection));
    acceptor.accept(connection);
  });
  return {
    port: (server.address() as AddressInfo).port,
    acceptor,
    secured,
    log,
    timers,
    bytesRead: () => [...open].reduce((sum, connection) => sum + connection.bytesRead, 0),
    async idle() {
      while (open.size > 0 || acceptor.pending > 0) await new Promise((resolve) => setImmediate(resolve));
    },
    async [Symbol.asyncDispose]() {
      acceptor.close();
      for (const connection of open) connection.destroy();
      http1.close();
      http2.close();
      server.close();
      await once(server, 'close');
    },
  };
}

function incoming(server: Server, kind: Kind, take: (connection: Incoming) => void): void {
  if (kind === 'handles') takeConnections(server, take);
  else server.on('connection', (socket) => take(new IncomingSocket(socket)));
}

export interface Outcome {
  readonly received: string;
  readonly error: (Error & { code?: string }) | undefined;
  readonly reused: boolean;
  readonly session: Buffer | undefined;
}

/** Asks for `/` by HTTP/1.0 over TLS; fulfilled when the connection is closed, however that came. */
export async function ask(server: TestServer, options: ConnectionOptions = {}): Promise<Outcome> {
  const socket = connectTls({ host: '127.0.0.1', port: server.port, ...options });
  let received = '';
  let error: Outcome['error'];
  let session: Buffer | undefined;
  let reused = false;
  socket.on('error', (cause: Error) => (error = cause));
  socket.on('session', (bytes: Buffer) => (session = bytes));
  socket.on('data', (data: Buffer) => (received += data.toString('latin1')));
  socket.on('secureConnect', () => {
    reused = socket.isSessionReused();
    // A ticket that replaces another in TLS 1.2 comes without the event.
    if (socket.getProtocol() === 'TLSv1.2') session = socket.getSession();
    socket.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  });
  socket.on('end', () => socket.end());
  await new Promise((resolve) => socket.once('close', resolve));
  return { received, error, reused, session };
}

export interface RawPeer {
  readonly socket: Socket;
  /** All that was received, when the server has closed its side or the connection is gone. */
  readonly received: Promise<Buffer>;
}

/** A peer without TLS. It keeps its side open until it is told otherwise. */
export async function connectRaw(server: TestServer): Promise<RawPeer> {
  const socket = connectTcp({ host: '127.0.0.1', port: server.port, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  const received = new Promise<Buffer>((resolve) => {
    const done = () => resolve(Buffer.concat(chunks));
    socket.once('end', done);
    socket.once('close', done);
  });
  await once(socket, 'connect');
  return { socket, received };
}

/** Runs a command; both of its outputs as one text. */
export async function run(command: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, args);
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString('latin1')));
  child.stderr.on('data', (data: Buffer) => (output += data.toString('latin1')));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  await once(child, 'close');
  return output;
}
