/**
 * The control socket: a Unix socket in the runtime folder (0700, User's), spoken to by the command line in
 * HTTP; with RuntimeAPI the same at an address of the loopback, for who has the token.
 * - `GET /status` gives the status document; with `?show=failing`, `search`, `name`, `sort`, `offset` or `limit` of the
 *   domains these alone (status/query.ts).
 * - `POST /doctor/NAME` looks at a domain as its CA is going to and gives what it found.
 * - `POST /renew/NAME` renews now and streams what happens as lines of JSON (`{"step","detail"}`, and last
 *   `{"outcome":"served"|"obtained"|"failed","detail"}`).
 * - `GET /domains` lists managed domains; `PUT /domains/NAME` adds one (`{"names": [further names]}` or nothing as its
 *   body), `DELETE /domains/NAME` removes one that was added. `POST /flush/NAME` looks for its certificates anew.
 * What fails is answered with `{"error"}`: 400 for a request that makes no sense, 401, 403 for a Host that is not the
 * loopback, 404, 409 for a name that another domain has, 503 while another server on the store makes changes.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import * as v from 'valibot';
import { isLoopbackHost } from '../../base/addresses.ts';
import { bears } from '../../base/bearer.ts';
import { explain } from '../../base/errors.ts';
import { AddedError, type AddedErrorCode } from '../../domains/stored/added.ts';
import type { StatusQuery } from '../../status/document.ts';
import { QueryError, readStatusQuery } from '../../status/query.ts';

export interface RenewalReport {
  (line: { readonly step: string; readonly detail: string }): void;
}

export interface ControlHandlers {
  /** Without a query, everything there is. */
  status(query: StatusQuery | undefined): Promise<unknown>;
  /** Looks at a domain as its CA is going to; rejects for a name of none. */
  doctor(name: string): Promise<unknown>;
  /** Fulfilled with what came of it. */
  renew(
    name: string,
    report: RenewalReport,
    signal: AbortSignal,
  ): Promise<{ outcome: 'served' | 'obtained' | 'failed'; detail: string }>;
  domains(): readonly object[];
  /** Gives the domain's name; rejects with AddedError. */
  add(names: readonly string[]): Promise<string>;
  /** Rejects with AddedError. */
  remove(name: string): Promise<void>;
  /** Gives what is wrong. */
  flush(name: string): Promise<string | undefined>;
}

export interface ApiAddress {
  readonly address: string;
  readonly port: number;
  /** See base/bearer.ts. */
  readonly tokenDigest: string;
}

export class ControlServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #path: string | undefined;

  private constructor(server: Server, path: string | undefined) {
    this.#server = server;
    this.#path = path;
  }

  /** `at`: a path, or an address where a token is asked for. Rejects with the system's error. */
  static async listen(at: string | ApiAddress, handlers: ControlHandlers): Promise<ControlServer> {
    const path = typeof at === 'string' ? at : undefined;
    if (path !== undefined) rmSync(path, { force: true });
    const server = createServer((request, response) => {
      if (typeof at !== 'string' && !isLoopbackHost(request.headers.host)) {
        request.resume();
        return fail(response, 403, 'this is asked for at the loopback: as 127.0.0.1, [::1] or localhost');
      }
      if (typeof at !== 'string' && !bears(request.headers.authorization, at.tokenDigest)) {
        request.resume();
        return fail(response, 401, 'the bearer token is missing or wrong');
      }
      answer(request, response, handlers).catch((error: unknown) => {
        fail(response, statusOf(error), explain(error));
      });
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    if (typeof at === 'string') server.listen(at, () => resolve());
    else server.listen(at.port, at.address, () => resolve());
    await promise;
    if (path !== undefined) chmodSync(path, 0o600);
    return new ControlServer(server, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ControlHandlers,
): Promise<void> {
  const [path = '', ...query] = (request.url ?? '').split('?');
  const [, what = '', name, ...more] = path.split('/').map(decoded);
  const route = more.length > 0 ? '' : `${request.method} /${what}${name ? '/NAME' : ''}`;
  if (route !== 'PUT /domains/NAME') request.resume();
  const wanted = name ?? '';
  switch (route) {
    case 'GET /status':
      return send(response, 200, await handlers.status(readStatusQuery(query.join('?'))));
    case 'GET /domains':
      return send(response, 200, handlers.domains());
    case 'POST /doctor/NAME':
      return send(response, 200, await handlers.doctor(wanted));
    case 'POST /renew/NAME':
      return renew(response, wanted, handlers);
    case 'PUT /domains/NAME':
      return send(response, 200, { name: await handlers.add([wanted, ...(await furtherNames(request))]) });
    case 'DELETE /domains/NAME':
      await handlers.remove(wanted);
      return send(response, 200, { name: wanted });
    case 'POST /flush/NAME': {
      const problem = await handlers.flush(wanted);
      return problem === undefined ? send(response, 200, { name: wanted }) : fail(response, 400, problem);
    }
    default:
      return fail(response, 404, 'no such resource');
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new BadRequest('the path is not properly encoded');
  }
}

class BadRequest extends Error {}

/** Bytes. */
const LONGEST_BODY = 64 * 1024;
const Body = v.optional(v.object({ names: v.optional(v.array(v.string()), []) }), { names: [] });

async function furtherNames(request: IncomingMessage): Promise<readonly string[]> {
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > LONGEST_BODY) request.destroy(new BadRequest(`a body has at most ${LONGEST_BODY} bytes`));
  });
  const text = (await buffer(request)).toString();
  try {
    return v.parse(Body, text === '' ? undefined : JSON.parse(text)).names;
  } catch {
    throw new BadRequest('the body is not JSON like {"names": ["www.example.org"]}');
  }
}

const STATUS: Readonly<Record<AddedErrorCode, number>> = {
  'added-bad-name': 400,
  'added-taken': 409,
  'added-unknown': 404,
  'added-busy': 503,
};

function statusOf(error: unknown): number {
  if (error instanceof AddedError) return STATUS[error.code];
  return error instanceof BadRequest || error instanceof QueryError ? 400 : 500;
}

function send(response: ServerResponse, status: number, document: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(document)}\n`);
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
  response.end(`${JSON.stringify({ error: detail })}\n`);
}
