/** A certificate store that behaves and misbehaves as told, over HTTP/1.1 or HTTP/2, TCP or a unix socket. */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Server } from 'node:net';
import type { TableCertificate } from '../table.ts';

/** As the compatibility layer of HTTP/2 has them, too. */
type Request = Pick<IncomingMessage, 'url' | 'headers' | 'httpVersion'>;
type Response = Pick<ServerResponse, 'end' | 'write' | 'on' | 'socket' | 'destroyed'> & {
  writeHead(status: number, headers?: Record<string, string>): Response;
};

export interface Hit {
  readonly name: string;
  readonly authorization: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly httpVersion: string;
}

/** How a request is answered; by default from `certificates`, else 404. */
export type Behaviour = (request: Request, response: Response, name: string) => void | Promise<void>;

export interface HostileStoreOptions {
  /** Speaks TLS, and HTTP/2 where the client does. */
  readonly tls?: Pick<TableCertificate, 'chainPem' | 'keyPem'>;
  readonly socketPath?: string;
  /** Instead of one from the system. */
  readonly port?: number;
}

export class HostileStore implements AsyncDisposable {
  readonly certificates = new Map<string, Pick<TableCertificate, 'chainPem' | 'keyPem'>>();
  readonly hits: Hit[] = [];
  behaviour: Behaviour = (request, response, name) => this.answer(request, response, name);
  /** Connections that were opened. */
  connections = 0;
  /** Of https and http: the base URL; of a unix socket: as DynSSLStoreURL has it. */
  url = '';
  readonly #server: Server;
  readonly #end = new AbortController();

  static async start(options: HostileStoreOptions = {}): Promise<HostileStore> {
    const store = new HostileStore(options);
    const { socketPath, tls, port = 0 } = options;
    store.#server.listen(socketPath === undefined ? { port, host: '127.0.0.1' } : { path: socketPath });
    await once(store.#server, 'listening');
    const address = store.#server.address();
    if (typeof address === 'object' && address) {
      store.url = `http${tls ? 's' : ''}://127.0.0.1:${address.port}/certs`;
    } else store.url = `unix:${socketPath}|http://localhost/certs`;
    return store;
  }

  private constructor({ tls }: HostileStoreOptions) {
    const serve = (request: Request, response: unknown) => void this.#serve(request, response as Response);
    this.#server = tls
      ? createSecureServer({ cert: tls.chainPem, key: tls.keyPem, allowHTTP1: true }, serve)
      : createServer(serve);
    this.#server.on('connection', (socket) => {
      this.connections++;
      this.#end.signal.addEventListener('abort', () => socket.destroy(), { once: true });
    });
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  names(): string[] {
    return this.hits.map(({ name }) => name);
  }

  /** As a good store does, with an ETag. */
  answer(request: Request, response: Response, name: string): void {
    const found = this.certificates.get(name);
    if (!found) return void response.writeHead(404).end('unknown');
    const etag = `"${hash('sha256', found.chainPem)}"`;
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304, { etag }).end();
    response.writeHead(200, { 'content-type': 'application/json', etag }).end(bodyOf(found));
  }

  async #serve(request: Request, response: Response): Promise<void> {
    const name = decodeURIComponent(request.url?.split('/').at(-1) ?? '');
    this.hits.push({
      name,
      authorization: request.headers.authorization,
      ifNoneMatch: request.headers['if-none-match'],
      httpVersion: request.httpVersion,
    });
    response.on('error', () => {});
    await this.behaviour(request, response, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }
}

export function bodyOf({ chainPem, keyPem }: Pick<TableCertificate, 'chainPem' | 'keyPem'>): string {
  return JSON.stringify({ cert: chainPem, key: keyPem });
}

/** Answers with a status and a body. */
export function saying(status: number, body = '', headers: Record<string, string> = {}): Behaviour {
  return (_request, response) => void response.writeHead(status, headers).end(body);
}

/** Says nothing at all. */
export const silence: Behaviour = () => {};

/** Hangs up in the middle of its answer. */
export function breakingOff(body: string): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': String(body.length * 2) });
    response.write(body);
    setImmediate(() => response.socket?.destroy());
  };
}
