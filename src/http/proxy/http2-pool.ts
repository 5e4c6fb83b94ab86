/**
 * HTTP/2 to one backend (`h2:`, `h2c:`), on Node's own client: one connection at a time for all requests, another
 * once that is told to go away. undici has HTTP/2, too, but takes a stream that its backend resets for complete.
 */
import { connect, constants } from 'node:http2';
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { errors } from 'undici';

interface Options {
  /** `http://host:port` or `https://…`. */
  readonly origin: string;
  /** Opens a connection; for `https:` with the TLS handshake done. */
  readonly connect: () => Promise<Socket>;
  /** Bytes of all headers of an answer. */
  readonly maxHeaderSize: number;
  /** ms after which a connection without requests is closed. */
  readonly idleTimeout: number;
}

/** What a request needs here of undici's options; `body` is a stream, `headers` are names and values in turn. */
type Request = Dispatcher.DispatchOptions;

export class Http2Pool {
  readonly #options: Options;
  /** The one that takes requests. */
  #session: Promise<ClientHttp2Session> | undefined;
  /** The same, once it is open. */
  #current: ClientHttp2Session | undefined;
  readonly #sessions = new Set<ClientHttp2Session>();
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** As undici's: answers and failures go to the handler, never thrown. */
  dispatch(request: Request, handler: Dispatcher.DispatchHandler): void {
    const controller = new Controller();
    if (this.#closed) {
      fail(handler, controller, new errors.ClientClosedError());
      return;
    }
    this.#take().then(
      (session) => new Call(session, request, handler, controller, this.#options.origin).start(),
      (error: Error) => fail(handler, controller, error),
    );
  }

  /** Waits for the requests under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#session?.catch(() => {});
    await Promise.all(
      [...this.#sessions].map(
        (session) => new Promise<void>((resolve) => session.once('close', resolve).close()),
      ),
    );
  }

  async #take(): Promise<ClientHttp2Session> {
    this.#session ??= this.#open().catch((error: unknown) => {
      this.#session = undefined;
      throw error;
    });
    const session = await this.#session;
    // Closed while others waited for it, too: the next one is opened once for all.
    return session.closed || session.destroyed ? this.#take() : session;
  }

  async #open(): Promise<ClientHttp2Session> {
    const { origin, maxHeaderSize, idleTimeout } = this.#options;
    const socket = await this.#options.connect();
    const session = connect(origin, {
      createConnection: () => socket,
      settings: { enablePush: false, maxHeaderListSize: maxHeaderSize },
    });
    const leave = () => {
      if (this.#current === session) this.#session = undefined;
    };
    this.#current = session;
    this.#sessions.add(session);
    session.setTimeout(idleTimeout, () => {
      leave();
      session.close();
    });
    session.once('goaway', leave).once('close', () => {
      leave();
      this.#sessions.delete(session);
    });
    // Its requests hear of it themselves.
    session.on('error', () => {});
    return session;
  }
}

class Controller implements Dispatcher.DispatchController {
  stream: ClientHttp2Stream | undefined;
  aborted = false;
  paused = false;
  reason: Error | null = null;
  onAbort: ((reason: Error) => void) | undefined;

  abort(reason: Error): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.onAbort?.(reason);
  }

  pause(): void {
    this.paused = true;
    this.stream?.pause();
  }

  resume(): void {
    this.paused = false;
    this.stream?.resume();
  }
}

/** One request and its answer. */
class Call {
  readonly #session: ClientHttp2Session;
  readonly #request: Request;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #controller: Controller;
  readonly #origin: string;
  #over = false;

  constructor(
    session: ClientHttp2Session,
    request: Request,
    handler: Dispatcher.DispatchHandler,
    controller: Controller,
    origin: string,
  ) {
    this.#session = session;
    this.#request = request;
    this.#handler = handler;
    this.#controller = controller;
    this.#origin = origin;
  }

  start(): void {
    const controller = this.#controller;
    controller.onAbort = this.#fail;
    this.#handler.onRequestStart?.(controller, {});
    if (this.#over) return;
    try {
      this.#send();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error('not sent', { cause: error }));
    }
  }

  #send(): void {
    const { body, headersTimeout, bodyTimeout } = this.#request;
    const upload = body as Readable | null;
    const stream = this.#session.request(headersOf(this.#request, this.#origin), {
      endStream: upload === null,
    });
    this.#controller.stream = stream;
    stream.setTimeout(headersTimeout ?? 0, () =>
      this.#fail(new errors.HeadersTimeoutError('Headers Timeout Error')),
    );
    stream.on('headers', (headers: IncomingHttpHeaders) => this.#interim(headers));
    stream.once('response', (headers: IncomingHttpHeaders) => {
      stream.removeAllListeners('timeout');
      stream.setTimeout(bodyTimeout ?? 0, () =>
        this.#fail(new errors.BodyTimeoutError('Body Timeout Error')),
      );
      this.#head(headers);
    });
    stream.on('data', (chunk: Buffer) => {
      if (!this.#over) this.#handler.onResponseData?.(this.#controller, chunk);
    });
    stream.once('end', () => this.#end(stream));
    stream.once('error', this.#fail);
    stream.once('close', () => this.#fail(reset(stream.rstCode)));
    if (!upload) return;
    upload.pipe(stream);
    upload.once('error', this.#fail);
  }

  #interim(headers: IncomingHttpHeaders): void {
    if (!this.#over) this.#handler.onResponseStart?.(this.#controller, statusOf(headers), {}, '');
  }

  #head(headers: IncomingHttpHeaders): void {
    if (this.#over) return;
    const status = statusOf(headers);
    const passed: IncomingHttpHeaders = {};
    for (const [name, value] of Object.entries(headers)) if (!name.startsWith(':')) passed[name] = value;
    this.#handler.onResponseStart?.(this.#controller, status, passed, '');
  }

  /** Node ends a stream that was reset like one that is complete. */
  #end(stream: ClientHttp2Stream): void {
    if (this.#over) return;
    if (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR)
      return this.#fail(reset(stream.rstCode));
    this.#over = true;
    this.#handler.onResponseEnd?.(this.#controller, {});
    // What is left of an upload isn't wanted any more.
    if (!stream.writableFinished) this.#drop();
  }

  readonly #fail = (error: Error) => {
    if (this.#over) return;
    this.#over = true;
    this.#drop();
    this.#handler.onResponseError?.(this.#controller, error);
  };

  #drop(): void {
    const { stream } = this.#controller;
    stream?.on('error', () => {});
    stream?.close(constants.NGHTTP2_CANCEL);
    const { body } = this.#request;
    if (body && typeof body === 'object' && 'destroy' in body) body.destroy();
  }
}

function reset(code: number | undefined): Error {
  return new errors.SocketError(`the backend reset the stream (HTTP/2 error ${code ?? 'unknown'})`);
}

function statusOf(headers: IncomingHttpHeaders): number {
  return Number(headers[':status']);
}

function fail(handler: Dispatcher.DispatchHandler, controller: Controller, error: Error): void {
  handler.onResponseError?.(controller, error);
}

/** Names and values in turn become HTTP/2's; Host is `:authority`. */
function headersOf({ method, path, headers }: Request, origin: string): OutgoingHttpHeaders {
  const list = headers as readonly string[];
  // A client chooses the names: in an object `constructor` would be there before it.
  const result = new Map<string, string | string[]>([
    [':method', method],
    [':path', path],
    [':scheme', origin.startsWith('https:') ? 'https' : 'http'],
  ]);
  for (let i = 0; i + 1 < list.length; i += 2) {
    const [name = '', value = ''] = [list[i], list[i + 1]];
    const key = name === 'host' ? ':authority' : name;
    const before = result.get(key);
    result.set(key, before === undefined ? value : [before, value].flat());
  }
  return Object.fromEntries(result);
}
