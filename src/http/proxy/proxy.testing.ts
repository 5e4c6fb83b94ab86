/** A front in the small (both HTTP versions) with the proxy behind it, and backends on raw sockets. */
import { createServer as createHttpServer, request as httpRequest, ServerResponse } from 'node:http';
import type {
  IncomingHttpHeaders,
  IncomingMessage,
  RequestListener,
  RequestOptions,
  Server,
} from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { createLoggers } from '../../base/log.ts';
import type { HostSettings, ProxyMapping } from '../../config/settings.ts';
import type { Exchange, ProxyHandler, Request, Response } from '../exchange.ts';
import { hostSettings, settingsOf } from '../settings.testing.ts';
import { createProxy } from './proxy.ts';
import { introduce } from './request-headers.ts';

export interface FrontOptions {
  /** URL of the backend, put before the request's path. */
  readonly to: string;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly host?: Partial<HostSettings>;
  readonly http2?: boolean;
  readonly roots?: readonly string[];
  /** By path. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Front {
  readonly port: number;
  readonly url: string;
  readonly proxy: ProxyHandler & AsyncDisposable;
  /** Lines of the error log. */
  readonly log: string[];
  /** How many exchanges are under way. */
  readonly active: () => number;
}

export async function startFront(t: TestContext, options: FrontOptions): Promise<Front> {
  const log: string[] = [];
  const logger = createLoggers(
    (line) => log.push(line),
    () => ({ all: 'debug', modules: {} }),
  )('proxy');
  const proxy = createProxy({ log: () => logger, roots: options.roots, files: () => options.files ?? {} });
  let active = 0;
  const run = (request: Request, response: Response, upgrade?: Exchange['upgrade']) => {
    const exchange = exchangeOf(options, request, response, upgrade);
    const target = options.to + request.url;
    const mapping: ProxyMapping = {
      kind: 'proxy',
      from: '/',
      to: options.to,
      parameters: options.parameters ?? {},
    };
    active++;
    const over = upgrade ? proxy.upgrade(exchange, target, mapping) : proxy.handle(exchange, target, mapping);
    void over.finally(() => active--);
  };
  const server = options.http2
    ? createHttp2Server((request: Http2ServerRequest, response: Http2ServerResponse) =>
        run(request, response),
      )
    : createHttpServer((request, response) => run(request, response));
  // As the front end has it: who closes one side may still be answered.
  Object.assign(server, { httpAllowHalfOpen: true });
  if (!options.http2)
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(socket as Socket);
      response.once('finish', () => socket.end());
      run(request, response, { socket, head });
    });
  const port = await listen(t, server);
  t.after(() => proxy[Symbol.asyncDispose]());
  return { port, url: `http://127.0.0.1:${port}`, proxy, log, active: () => active };
}

function exchangeOf(
  options: FrontOptions,
  request: Request,
  response: Response,
  upgrade: Exchange['upgrade'],
): Exchange {
  const host = hostSettings({ serverName: 'front.example', ...options.host });
  const [rawPath = '', query = ''] = (request.url ?? '').split('?');
  const connection = {
    secure: false,
    alpn: undefined,
    sni: undefined,
    host,
    localAddress: '127.0.0.1',
    localPort: 80,
    remoteAddress: '127.0.0.1',
    remotePort: 4711,
  };
  // As the pipeline does.
  introduce({ request, connection, directory: host.directory });
  const authority = String(request.headers.host ?? request.headers[':authority'] ?? '');
  return {
    request,
    response,
    connection,
    settings: settingsOf(),
    host,
    started: 0,
    method: request.method ?? 'GET',
    authority,
    hostname: authority.replace(/:\d+$/, ''),
    rawPath,
    path: rawPath,
    query,
    directory: host.directory,
    filename: undefined,
    env: new Map(),
    upgrade,
    forwardTo: undefined,
    fail: async (status) => {
      const head: Pick<ServerResponse, 'statusCode'> = response;
      head.statusCode = status;
      (response as ServerResponse).end(`failed: ${status}`);
    },
  };
}

/** Listens on a free port of 127.0.0.1; when the test ends, closes and breaks every connection. */
export async function listen(
  t: TestContext,
  server: NetServer | Server | ReturnType<typeof createHttp2Server>,
): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return (server.address() as AddressInfo).port;
}

/** A backend of Node's own HTTP server. */
export async function httpBackend(t: TestContext, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(t, createHttpServer(listener))}`;
}

/** A backend that is given each socket and what came first on it. */
export async function rawBackend(
  t: TestContext,
  serve: (socket: Socket, received: string) => void,
): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => serve(socket, chunk.toString('latin1')));
  });
  return `http://127.0.0.1:${await listen(t, server)}`;
}

/** Waits, turn by turn of the event loop, until `condition` holds. The test's own time limit is the bound. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

export interface Answered {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request on a connection of its own; rejects if the answer breaks off. */
export function ask(url: string, options: RequestOptions = {}, body?: string | Readable): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent: false, ...options }, (response) => {
      text(response).then(
        (received) =>
          resolve({
            status: response.statusCode ?? 0,
            reason: response.statusMessage ?? '',
            headers: response.headers,
            body: received,
          }),
        reject,
      );
    });
    request.once('error', reject);
    if (body instanceof Readable) body.pipe(request);
    else request.end(body === undefined ? undefined : Buffer.from(body));
  });
}
