/**
 * The control socket: a Unix socket in the runtime folder (0700, User's), spoken to by the command line in
 * HTTP. `GET /status` gives the status document; `POST /doctor/NAME` looks at a domain as its CA is going to and gives
 * what it found; `POST /renew/NAME` renews now and streams what happens as
 * lines of JSON (`{"step","detail"}`, and last `{"outcome":"served"|"obtained"|"failed","detail"}`).
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { explain } from '../../base/errors.ts';

export interface RenewalReport {
  (line: { readonly step: string; readonly detail: string }): void;
}

export interface ControlHandlers {
  status(): Promise<unknown>;
  /** Looks at a domain as its CA is going to; rejects for a name of none. */
  doctor(name: string): Promise<unknown>;
  /** Fulfilled with what came of it. */
  renew(
    name: string,
    report: RenewalReport,
    signal: AbortSignal,
  ): Promise<{ outcome: 'served' | 'obtained' | 'failed'; detail: string }>;
}

export class ControlServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #path: string;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  static async listen(path: string, handlers: ControlHandlers): Promise<ControlServer> {
    rmSync(path, { force: true });
    const server = createServer((request, response) => {
      answer(request, response, handlers).catch((error: unknown) => fail(response, 500, explain(error)));
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen(path, () => resolve());
    await promise;
    chmodSync(path, 0o600);
    return new ControlServer(server, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    rmSync(this.#path, { force: true });
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ControlHandlers,
): Promise<void> {
  request.resume();
  const [, what, name, ...more] = (request.url ?? '').split('/').map(decodeURIComponent);
  if (more.length > 0) return fail(response, 404, 'no such resource');
  if (request.method === 'GET' && what === 'status' && name === undefined) {
    const document = JSON.stringify(await handlers.status());
    response.writeHead(200, { 'content-type': 'application/json' }).end(document);
    return;
  }
  if (request.method === 'POST' && what === 'doctor' && name) {
    const document = JSON.stringify(await handlers.doctor(name));
    response.writeHead(200, { 'content-type': 'application/json' }).end(document);
    return;
  }
  if (request.method === 'POST' && what === 'renew' && name) return renew(response, name, handlers);
  fail(response, 404, 'no such resource');
}

/** A caller that hangs up stops listening, not the renewal. */
async function renew(response: ServerResponse, name: string, handlers: ControlHandlers): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  const write = (line: object) => response.write(`${JSON.stringify(line)}\n`);
  try {
    write(await handlers.renew(name, write, gone.signal));
  } catch (error) {
    write({ outcome: 'failed', detail: explain(error) });
  }
  response.end();
}

function fail(response: ServerResponse, status: number, detail: string): void {
  if (!response.headersSent) response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: detail }));
}
