/**
 * Speaks HTTP on connections that others accepted: HTTP/1 and HTTP/2, plain and over TLS. The servers in it
 * never listen themselves.
 */
import type { EventEmitter } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { explain } from '../base/errors.ts';
import type { HostSettings, Settings } from '../config/settings.ts';
import { Answer, Received, StreamAnswer, StreamReceived } from './answer.ts';
import { Connection } from './connection.ts';
import { Watch } from './deadline.ts';
import type { ConnectionInfo } from './exchange.ts';
import { LiveExchange } from './live.ts';
import { answer } from './pipeline.ts';
import type { Dependencies } from './pipeline.ts';
import { Site } from './site.ts';
import { environmentOf } from './variables.ts';

interface Engines {
  readonly http1: http.Server<typeof Received, typeof Answer>;
  readonly http2: EventEmitter;
  /** What can't be changed once they are made. */
  readonly bounds: Bounds;
}

interface Bounds {
  /** Bytes of a request's head, all in all. */
  readonly headSize: number;
  readonly fields: number;
}

const streamsPerConnection = 100;

export class Frontend {
  readonly #deps: Dependencies;
  readonly #watch: Watch;
  readonly #connections = new Set<Connection>();
  /** By what Node's servers know them by: the socket, or the HTTP/2 session. */
  readonly #owners = new Map<object, Connection>();
  #site: Site;
  #engines: Engines;
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(settings: Settings, deps: Dependencies) {
    this.#deps = deps;
    this.#watch = new Watch(deps.clock);
    this.#site = new Site(settings);
    this.#engines = this.#makeEngines(boundsOf(settings));
  }

  /** The settings that requests are answered by from now on. */
  get settings(): Settings {
    return this.#site.settings;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Takes over a connection; a secure one after its handshake. */
  connection(socket: Socket, info: ConnectionInfo): void {
    if (socket.destroyed) return;
    const connection = new Connection(socket, info);
    this.#connections.add(connection);
    this.#owners.set(socket, connection);
    this.#watch.add(connection);
    socket.on('close', () => this.#remove(connection, socket));
    // Of a secure connection, who accepted it does that.
    if (!info.secure)
      socket.on('error', (error) => this.#deps.loggers('core').debug(`connection: ${explain(error)}`));
    const speaksHttp2 = info.secure && info.alpn === 'h2';
    // A client may have said all it wants to say (`printf … | nc`); http2 would keep such a connection for ever.
    socket.allowHalfOpen = !speaksHttp2;
    if (speaksHttp2) {
      // Emitting is synchronous, so the next session is this connection's.
      this.#engines.http2.once('session', (session: http2.ServerHttp2Session) => {
        connection.session = session;
        this.#owners.set(session, connection);
      });
      this.#engines.http2.emit('secureConnection', socket);
    } else this.#engines.http1.emit('connection', socket);
    if (this.#drained) connection.drain();
  }

  /** The next request on any connection, old ones included, is answered by `settings`. */
  reconfigure(settings: Settings): void {
    const bounds = boundsOf(settings);
    const { headSize, fields } = this.#engines.bounds;
    if (bounds.headSize !== headSize || bounds.fields !== fields) this.#engines = this.#makeEngines(bounds);
    this.#site = new Site(settings);
  }

  /** Answers what is under way, takes no more requests, and is fulfilled when the last connection is gone. */
  async drain(): Promise<void> {
    this.#drained ??= Promise.withResolvers<void>();
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size === 0) this.#drained.resolve();
    await this.#drained.promise;
  }

  /** Ends everything at once. */
  close(): void {
    for (const connection of this.#connections) connection.destroy();
    this.#engines.http1.close();
  }

  #remove(connection: Connection, socket: Socket): void {
    this.#connections.delete(connection);
    this.#owners.delete(socket);
    this.#watch.remove(connection);
    // Node keeps a session that an error ended while anybody holds its socket, which this entry would do for ever.
    if (connection.session) this.#owners.delete(connection.session);
    if (this.#connections.size === 0) this.#drained?.resolve();
  }

  #makeEngines(bounds: Bounds): Engines {
    const http1 = http.createServer<typeof Received, typeof Answer>({
      IncomingMessage: Received,
      ServerResponse: Answer,
      maxHeaderSize: bounds.headSize,
      insecureHTTPParser: false,
      // Host is checked along with everything else, so that a missing one is logged and answered like it.
      requireHostHeader: false,
      keepAliveTimeout: 0,
      headersTimeout: 0,
      requestTimeout: 0,
      noDelay: true,
      shouldUpgradeCallback: isWebSocket,
    });
    // Not an option of the constructor, not in Node's types: a client that closes its side still gets its answers.
    Object.assign(http1, { httpAllowHalfOpen: true });
    // All fields up to the size count: dropping some silently is how requests get smuggled.
    http1.maxHeadersCount = 0;
    http1.on('request', (request, response) => this.#arrive(request, response, false));
    http1.on('checkContinue', (request, response) => this.#arrive(request, response, true));
    http1.on('upgrade', (request: Received, socket, head) => this.#upgrade(request, socket, head));
    http1.on('connect', (request: Received, socket, head) => this.#upgrade(request, socket, head));
    http1.on('clientError', (error, socket) => this.#malformed(error, socket));
    const http2Server = http2.createSecureServer({
      Http2ServerRequest: StreamReceived,
      Http2ServerResponse: StreamAnswer,
      maxHeaderListPairs: bounds.fields,
      settings: {
        maxConcurrentStreams: streamsPerConnection,
        maxHeaderListSize: bounds.headSize,
        // WebSockets (RFC 8441).
        enableConnectProtocol: true,
      },
    });
    const arrive =
      (expectsContinue: boolean) =>
      (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) =>
        this.#arrive(request as StreamReceived, response as StreamAnswer, expectsContinue);
    http2Server.on('request', arrive(false));
    http2Server.on('checkContinue', arrive(true));
    http2Server.on('connect', (request: StreamReceived, response: StreamAnswer) =>
      this.#connect(request, response),
    );
    http2Server.on('sessionError', (error) => this.#deps.loggers('http2').debug(explain(error)));
    return { http1, http2: http2Server, bounds };
  }

  #arrive(
    request: Received | StreamReceived,
    response: Answer | StreamAnswer,
    expectsContinue: boolean,
  ): void {
    const key = request instanceof StreamReceived ? request.stream.session : request.socket;
    const connection = key && this.#owners.get(key);
    if (!connection) return void response.destroy();
    this.#serve(connection, request, response, undefined, expectsContinue);
  }

  #upgrade(request: Received, socket: Duplex, head: Buffer): void {
    const connection = this.#owners.get(socket);
    if (!connection) return void socket.destroy();
    // Of a tunnel, neither side goes on without the other.
    Object.assign(socket, { allowHalfOpen: false });
    const response = new Answer(request);
    response.assignSocket(socket as Socket);
    response.once('finish', () => connection.close());
    this.#serve(connection, request, response, { socket, head }, false);
  }

  /** CONNECT of HTTP/2: a WebSocket's, by the protocol it names. */
  #connect(request: StreamReceived, response: StreamAnswer): void {
    const { stream } = request;
    const connection = stream.session && this.#owners.get(stream.session);
    if (!connection) return void response.destroy();
    const isBootstrap = request.headers[':protocol']?.toString().toLowerCase() === 'websocket';
    const upgrade = isBootstrap ? { socket: stream, head: Buffer.alloc(0) } : undefined;
    this.#serve(connection, request, response, upgrade, false);
  }

  #serve(
    connection: Connection,
    request: Received | StreamReceived,
    response: Answer | StreamAnswer,
    upgrade: LiveExchange['upgrade'],
    expectsContinue: boolean,
  ): void {
    const site = this.#site;
    const { clock } = this.#deps;
    const { info } = connection;
    if (site.isLogged) info.tls?.keep?.();
    const exchange = new LiveExchange({
      request,
      response,
      connection: info,
      settings: site.settings,
      clock,
      upgrade,
    });
    exchange.earlier = connection.served;
    connection.begin(exchange);
    exchange.expectsContinue = expectsContinue;
    exchange.closes = (upgrade !== undefined && request instanceof Received) || this.#drained !== undefined;
    limitBody(exchange);
    response.once('close', () => {
      connection.end(exchange);
      this.#log(site, exchange);
      if (this.#drained) connection.drain();
    });
    void answer(exchange, site, this.#deps);
  }

  /** What Node's parser refuses. */
  #malformed(error: NodeJS.ErrnoException, socket: Duplex): void {
    const connection = this.#owners.get(socket);
    if (!connection) return void socket.destroy();
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return connection.destroy();
    this.#deps
      .loggers('core')
      .info(`[client ${connection.info.remoteAddress}] ${error.code}: ${error.message}`);
    connection.refuse(error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400);
  }

  #log(site: Site, exchange: LiveExchange): void {
    const { response, host } = exchange;
    if (host.customLogs.length === 0) return;
    const outcome = {
      exchange,
      ended: this.#deps.clock.now(),
      aborted: !response.writableFinished,
      keepAlive: response instanceof StreamAnswer || response.shouldKeepAlive,
    };
    for (const { file, format, condition } of host.customLogs) {
      if (isLogged(exchange, condition)) this.#deps.accessLog(file, site.lineWriter(format)(outcome));
    }
  }
}

function isLogged(exchange: LiveExchange, condition: string | undefined): boolean {
  if (condition === undefined) return true;
  const negated = condition.startsWith('!');
  return (environmentOf(exchange, condition.slice(negated ? 1 : 0)) !== undefined) !== negated;
}

/** LimitRequestBody for bodies that don't say how long they are. The host is known once it is admitted. */
function limitBody(exchange: LiveExchange): void {
  const { request, response } = exchange;
  request.onBody = (bytes) => {
    const most = exchange.host.limits.requestBody;
    if (most === 0 || bytes <= most) return;
    request.onBody = undefined;
    exchange.closes = true;
    if (response.headersSent) response.destroy();
    else void exchange.fail(413, 'Request body too large');
  };
}

function isWebSocket({ method, headers }: http.IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
}

/**
 * One parser serves all hosts, so it gets the most generous bounds; each host's own are held when its name is
 * known. Beyond the longest line and the longest field there is room for 64 KiB of others.
 */
function boundsOf({ base, hosts }: Settings): Bounds {
  const all = [base, ...hosts].map((host) => host.limits);
  const most = (pick: (limits: HostSettings['limits']) => number) => Math.max(...new Set(all.map(pick)));
  return {
    headSize: most((limits) => limits.requestLine) + most((limits) => limits.requestFieldSize) + 65_536,
    fields: most((limits) => limits.requestFields || 1000) + 20,
  };
}
