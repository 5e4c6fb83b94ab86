/** A certificate store by itself, over a folder of pairs: what `latchkey store` runs. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { explain } from '../base/errors.ts';
import { PemFolder } from './folder.ts';
import { answerStore, type StoreReply } from './protocol.ts';

export interface StandaloneStore {
  /** Absolute: NAME.crt, NAME.key. */
  readonly folder: string;
  readonly address: string;
  /** 0: any. */
  readonly port: number;
  /** See base/bearer.ts; undefined: everybody is answered. */
  readonly tokenDigest: string | undefined;
  /** PEM of its own certificate and key: it is asked over https. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Told of each question. */
  readonly onHit: (hit: Hit) => void;
  /** Told of what goes wrong. */
  readonly onProblem: (problem: string) => void;
}

export interface Hit {
  readonly method: string;
  /** As it was sent. */
  readonly url: string;
  readonly status: number;
}

export interface RunningStore extends AsyncDisposable {
  /** `http(s)://address:port/certs` */
  readonly url: string;
}

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** Under `/certs`. Rejects with the system's error where it can't listen, or OpenSSL's about `tls`. */
export async function startStore(parts: StandaloneStore): Promise<RunningStore> {
  const folder = new PemFolder(parts.folder, { complain: parts.onProblem });
  const handle = (request: Request, response: Response) => void respond(request, response, parts, folder);
  const server = parts.tls
    ? createSecureServer({ ...parts.tls, allowHTTP1: true }, handle)
    : createServer(handle);
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(parts.port, parts.address, () => resolve());
  await promise;
  const { port } = server.address() as AddressInfo;
  const host = parts.address.includes(':') ? `[${parts.address}]` : parts.address;
  return {
    url: `${parts.tls ? 'https' : 'http'}://${host}:${port}/certs`,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      folder[Symbol.dispose]();
      await new Promise((closed) => void server.close(closed));
    },
  };
}

async function respond(
  request: Request,
  response: Response,
  parts: StandaloneStore,
  folder: PemFolder,
): Promise<void> {
  const { method = 'GET', url = '' } = request;
  request.resume();
  const reply = await replyTo(request, parts, folder);
  parts.onHit({ method, url, status: reply.status });
  if (response.destroyed) return;
  for (const [name, value] of Object.entries(reply.headers)) response.setHeader(name, value);
  response.statusCode = reply.status;
  response.end(method === 'HEAD' ? '' : reply.body);
}

async function replyTo(
  { method = 'GET', url = '', headers }: Request,
  { tokenDigest, tls, onProblem }: StandaloneStore,
  folder: PemFolder,
): Promise<StoreReply> {
  const [path = ''] = url.split('?');
  if (!/^\/certs\/[^/]+$/.test(path)) return { status: 404, headers: {}, body: 'ask for /certs/NAME\n' };
  try {
    return await answerStore(
      {
        method,
        path,
        authorization: headers.authorization,
        ifNoneMatch: headers['if-none-match'],
        plainHost: tls ? undefined : (headers.host ?? ''),
      },
      tokenDigest,
      (name) => folder.find(name),
    );
  } catch (error) {
    onProblem(explain(error));
    return { status: 500, headers: {}, body: 'the folder of certificates cannot be read\n' };
  }
}
