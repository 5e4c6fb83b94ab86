/**
 * The CA's one port: ACME over TLS, and questions about revocation over plain HTTP. Which of both a connection
 * speaks is seen by its first octet.
 */
import { createServer as createHttpServer } from 'node:http';
import type { Server as HttpServer, ServerOptions } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import { isIP } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { createAdaptorServer } from '@hono/node-server';
import type { HttpBindings } from '@hono/node-server';
import { explain, systemCode } from '../base/errors.ts';
import { CaError } from './errors.ts';
import { endpoint } from './validation/failure.ts';

const MOST_CONNECTIONS = 1000;
/** How long requests under way may take to end when it is closed, ms. */
const CLOSING = 1000;
/** For a connection to say its first word, ms. */
const SILENCE = 10_000;
/** The first octet of a TLS connection: a handshake record. */
const HANDSHAKE = 22;

/** Key and chain, PEM. */
export interface OwnCertificate {
  readonly key: string;
  readonly cert: string;
}

export interface Apps {
  readonly secure: App;
  readonly plain: App;
}
interface App {
  fetch(request: Request, env: HttpBindings): Response | Promise<Response>;
}

const limits: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 10_000,
  maxHeaderSize: 16 * 1024,
};

export class CaListener {
  readonly #secure: Server;
  readonly #plain: HttpServer;
  readonly #unsorted = new Set<Socket>();

  /** `apps` may come later than the first request. */
  constructor(own: OwnCertificate, apps: Promise<Apps>) {
    const overrideGlobalObjects = false;
    this.#secure = createAdaptorServer({
      fetch: async (request, env) => (await apps).secure.fetch(request, env as HttpBindings),
      overrideGlobalObjects,
      createServer,
      serverOptions: { ...own, minVersion: 'TLSv1.2', handshakeTimeout: 10_000, ...limits },
    }) as Server;
    this.#plain = createAdaptorServer({
      fetch: async (request, env) => (await apps).plain.fetch(request, env as HttpBindings),
      overrideGlobalObjects,
      createServer: createHttpServer,
      serverOptions: limits,
    }) as HttpServer;
    // It never listens itself; its clocks start with this.
    this.#plain.emit('listening');
    this.#secure.maxConnections = MOST_CONNECTIONS;
    this.#secure.on('clientError', answerError);
    this.#plain.on('clientError', answerError);
    this.#sort();
  }

  /** Gives the port. Rejects with CaError `ca-listen`. */
  async listen(address: string, port: number): Promise<number> {
    const at = endpoint(address, port);
    if (!isIP(address) || /^(0\.0\.0\.0|[0:]+)$/.test(address)) {
      throw new CaError(
        'ca-listen',
        `the local CA can't listen on ${at}: it needs an address clients can go to`,
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#secure.once('listening', resolve).once('error', reject);
    this.#secure.listen({ host: address, port });
    try {
      await promise;
    } catch (cause) {
      throw new CaError('ca-listen', `the local CA can't listen on ${at}: ${reasonOf(cause)}`, { cause });
    } finally {
      this.#secure.off('error', reject);
    }
    return (this.#secure.address() as AddressInfo).port;
  }

  /** For connections from now on. */
  setCertificate(own: OwnCertificate): void {
    this.#secure.setSecureContext(own);
  }

  /** Fulfilled when no connection is left; those with a request under way have a second. */
  async close(): Promise<void> {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    this.#secure.close(() => resolve());
    this.#plain.close();
    for (const socket of this.#unsorted) socket.destroy();
    const waited = new AbortController();
    const late = delay(CLOSING, undefined, { signal: waited.signal }).catch(() => {});
    await Promise.race([closed, late]);
    waited.abort();
    this.closeNow();
    await closed;
  }

  /** Ends everything where nothing has begun. */
  closeNow(): void {
    this.#secure.close();
    this.#secure.closeAllConnections();
    this.#plain.closeAllConnections();
  }

  #sort(): void {
    const beginTls = this.#secure.listeners('connection');
    this.#secure.removeAllListeners('connection');
    this.#secure.on('connection', (socket: Socket) => {
      this.#unsorted.add(socket);
      const tooLate = () => socket.destroy();
      socket.setTimeout(SILENCE, tooLate);
      socket.on('error', () => {});
      socket.once('close', () => this.#unsorted.delete(socket));
      socket.once('readable', () => {
        socket.setTimeout(0, tooLate);
        this.#unsorted.delete(socket);
        const first = socket.read() as Buffer | null;
        if (first === null) {
          socket.destroy();
          return;
        }
        socket.unshift(first);
        if (first[0] !== HANDSHAKE) this.#plain.emit('connection', socket);
        else for (const begin of beginTls) begin.call(this.#secure, socket);
      });
    });
  }
}

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** As Node answers by itself, except that it would not wait until this is written: TLS that began late still writes. */
function answerError(error: Error, socket: Duplex): void {
  const status = statuses[systemCode(error) ?? ''] ?? '400 Bad Request';
  if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
  else socket.destroy();
}

function reasonOf(error: unknown): string {
  const code = systemCode(error);
  if (code === 'EADDRINUSE') return 'another program has that port. Stop it, or give LocalCA another one';
  if (code === 'EACCES') return 'that port is for root alone. Give LocalCA one above 1023';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address';
  return explain(error);
}
