/** The servers of listen(): https for the program, plain HTTP for challenges and redirects. */
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from 'node:http';
import { createSecureServer } from 'node:http2';
import type {
  Http2SecureServer,
  Http2ServerRequest,
  Http2ServerResponse,
  ServerHttp2Session,
} from 'node:http2';
import { createServer as createSecure, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import type { Clock } from '../base/clock.ts';
import { explain, LatchkeyError, systemCode } from '../base/errors.ts';
import type { SecuredServer } from './secure.ts';

/** What answers requests: an Express app, Fastify's or Hono's listener, a function. */
export type App = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface ListenOptions {
  /** The address to listen on. Default: all, of both families. */
  readonly host?: string | undefined;
  /** Whether HTTP/2 is spoken, too, by node:http2's compatibility API. Express can't bear it; Fastify and Hono can. Default false. */
  readonly http2?: boolean | undefined;
}

/** ms that answers under way have once it is closed. */
const PATIENCE = 10_000;

export interface BoundParts {
  readonly https: SecuredServer;
  readonly http: HttpServer | undefined;
  readonly clock: Clock;
}

/** What listen() has opened. */
export interface Listening extends AsyncDisposable {
  /** The port of https. */
  readonly port: number;
  /** The port of plain HTTP, if there is one. */
  readonly httpPort: number | undefined;
  /** Of https: for WebSockets (`upgrade`) and timeouts. */
  readonly server: HttpsServer | Http2SecureServer;
  /** Takes no more connections, and is fulfilled when the last one has ended: after 10 s at the latest. */
  close(): Promise<void>;
}

/** Both, bound. */
export class BoundServers implements Listening {
  readonly #parts: BoundParts;
  readonly #sessions = new Set<ServerHttp2Session>();
  #closing: Promise<void> | undefined;

  constructor(parts: BoundParts) {
    this.#parts = parts;
    parts.https.server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
    });
  }

  get port(): number {
    return portOf(this.#parts.https.server);
  }

  get httpPort(): number | undefined {
    const { http } = this.#parts;
    return http && portOf(http);
  }

  get server(): HttpsServer | Http2SecureServer {
    return this.#parts.https.server as HttpsServer | Http2SecureServer;
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { https, http, clock } = this.#parts;
    const closed = Promise.all([closeServer(https.server), http && closeServer(http)]);
    for (const session of this.#sessions) session.close();
    https[Symbol.dispose]();
    const done = new AbortController();
    clock.sleep(PATIENCE, { signal: done.signal }).then(
      () => {
        https.destroyConnections();
        http?.closeAllConnections();
      },
      () => {},
    );
    await closed;
    done.abort();
  }
}

/** Binds both, or neither. Rejects with LatchkeyError `listen`. */
export async function bindBoth(
  https: Server,
  http: Server | undefined,
  ports: { readonly https: number; readonly http: number | undefined },
  host: string | undefined,
): Promise<void> {
  await bind(https, ports.https, host);
  if (!http) return;
  try {
    await bind(http, ports.http ?? 0, host);
  } catch (error) {
    await closeServer(https);
    throw error;
  }
}

/** @throws LatchkeyError `bad-option` */
export function httpsServer(app: App, { http2 = false }: ListenOptions): HttpsServer | Http2SecureServer {
  // An object would be taken for options, and the server answer nothing.
  if (typeof app !== 'function') throw new LatchkeyError('bad-option', NO_APP);
  if (!http2) return createSecure(app);
  const listener = app as unknown as (request: Http2ServerRequest, response: Http2ServerResponse) => void;
  return createSecureServer({ allowHTTP1: true }, listener);
}

const NO_APP =
  'listen(): the app has to be a function of request and response: Express has it, for Hono it is getRequestListener(app.fetch), with Fastify give app.server to secure() instead';

export { createServer as httpServer };

async function bind(server: Server, port: number, host: string | undefined): Promise<void> {
  try {
    server.listen({ port, host });
    await once(server, 'listening');
  } catch (cause) {
    const reason = REASONS[systemCode(cause) ?? ''] ?? explain(cause);
    throw new LatchkeyError('listen', `Port ${port} can't be listened on: ${reason}`, { cause });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has it; stop that, or name another one (option ports)',
  EACCES:
    'not permitted; give Node the capability (setcap cap_net_bind_service=+ep), or have port 443 passed on to one above 1023 (option ports)',
  EADDRNOTAVAIL: 'the address is none of this machine',
};

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  await closed;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}
