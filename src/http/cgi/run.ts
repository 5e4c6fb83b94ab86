/** One request answered by a script: its body to the script, the script's head and body to the client. */
import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { explain } from '../../base/errors.ts';
import type { LiveExchange } from '../live.ts';
import { hopByHop } from '../proxy/hop-by-hop.ts';
import { breakOff, redirect } from '../replies.ts';
import { HeadReader, ScriptOutputError } from './head.ts';
import type { ScriptHead } from './head.ts';
import type { ScriptProcess } from './process.ts';

/** `local`: the script sends the client to another path of the server, which is for the caller to answer with. */
export type Outcome = { readonly kind: 'answered' } | { readonly kind: 'local'; readonly target: string };

const answered: Outcome = { kind: 'answered' };

/** Fulfilled when the answer is handed over, failed, or its client gone. Lines of stderr go to `log`. */
export function runScript(
  exchange: LiveExchange,
  script: ScriptProcess,
  log: (line: string) => void,
): Promise<Outcome> {
  return new Run(exchange, script, log).begin();
}

/** Whether there is a body that this script may have: not one that was meant for what led here. */
export function hasBody({ request, method }: LiveExchange): boolean {
  if (method !== request.method || request.readableEnded) return false;
  return (
    request.headers['content-length'] !== undefined ||
    request.headers['transfer-encoding'] !== undefined ||
    (request.httpVersionMajor === 2 && !request.complete)
  );
}

class Run {
  readonly #exchange: LiveExchange;
  readonly #script: ScriptProcess;
  readonly #log: (line: string) => void;
  readonly #out: Writable;
  /** The client's connection, where it can be closed in one direction. */
  readonly #client: Socket | undefined;
  readonly #reader = new HeadReader();
  readonly #over = Promise.withResolvers<Outcome>();
  readonly #waiting = new AbortController();
  /** Until the head is written: Content-Length of the script. */
  #length: number | undefined;
  #sent = 0;
  #headDone = false;
  #ended = false;
  /** When something came or went last; undefined while the client is being waited for. */
  #active: number | undefined;

  constructor(exchange: LiveExchange, script: ScriptProcess, log: (line: string) => void) {
    this.#exchange = exchange;
    this.#script = script;
    this.#log = log;
    this.#out = exchange.response;
    this.#client = exchange.request instanceof IncomingMessage ? exchange.request.socket : undefined;
    this.#active = exchange.clock.now();
  }

  begin(): Promise<Outcome> {
    const { child } = this.#script;
    child.once('error', (error) => this.#fail(500, `exec of '${this.#name}' failed: ${explain(error)}`));
    child.stdout
      .on('data', (chunk: Buffer) => this.#output(chunk))
      .once('end', () => this.#outputEnds())
      .on('error', () => {});
    this.#script.onErrors(this.#log);
    this.#out.on('drain', this.#drained).once('close', this.#clientGone);
    // Pipelined requests share the connection, each with its listener.
    this.#client?.setMaxListeners(0).once('end', this.#clientEnds);
    if (this.#client?.readableEnded) this.#clientEnds();
    this.#upload();
    void this.#watch();
    return this.#over.promise;
  }

  get #name(): string {
    return this.#exchange.filename ?? '';
  }

  #upload(): void {
    const { request } = this.#exchange;
    const { stdin } = this.#script.child;
    if (!hasBody(this.#exchange)) return void stdin.end();
    stdin.once('error', () => request.unpipe(stdin).resume());
    request.on('data', this.#seen).pipe(stdin);
  }

  readonly #seen = () => {
    if (this.#active !== undefined) this.#active = this.#exchange.clock.now();
  };

  #output(chunk: Buffer): void {
    this.#seen();
    if (this.#ended) return;
    try {
      if (this.#headDone) this.#body(chunk);
      else this.#head(chunk);
    } catch (error) {
      const reason = error instanceof ScriptOutputError ? error.message : explain(error);
      this.#fail(500, `${reason} from script '${this.#name}'`);
    }
  }

  #head(chunk: Buffer): void {
    const read = this.#reader.push(chunk);
    if (!read) return;
    const { head, rest } = read;
    const { response } = this.#exchange;
    this.#headDone = true;
    if (head.location !== undefined && head.status === undefined) return this.#redirect(head.location);
    this.#answer(head);
    if (rest.length > 0) this.#body(rest);
    // Else it would wait for the first of the body.
    else if (!this.#ended && response instanceof ServerResponse) response.flushHeaders();
  }

  /** RFC 3875 sections 6.2.2 and 6.2.3. What more it says is of no use. */
  #redirect(location: string): void {
    const isLocal = location.startsWith('/') && !location.startsWith('//');
    this.#finish(isLocal ? { kind: 'local', target: location } : answered);
    void this.#script.stop();
    if (!isLocal) redirect(this.#exchange, 302, location);
  }

  #answer(head: ScriptHead): void {
    const { response, request } = this.#exchange;
    const { status = 200, reason, location, length, fields } = head;
    const drop = hopByHop(undefined);
    for (const [name, value] of fields) {
      const lower = name.toLowerCase();
      if (drop(lower) || lower === 'server' || lower === 'date') continue;
      if (lower === 'content-type') response.setHeader(name, value);
      else response.appendHeader(name, value);
    }
    if (location !== undefined) response.setHeader('Location', location);
    if (length !== undefined) response.setHeader('Content-Length', String(length));
    this.#length = length;
    if (reason !== undefined && request.httpVersionMajor === 1) response.writeHead(status, reason);
    else response.writeHead(status);
    const isEmpty = request.method === 'HEAD' || status === 204 || status === 304;
    if (isEmpty) this.#complete();
  }

  #body(chunk: Buffer): void {
    if (this.#ended) return;
    const room = (this.#length ?? Infinity) - this.#sent;
    // More than announced would be taken for the next answer.
    const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
    this.#sent += part.length;
    if (part.length > 0 && !this.#out.write(part)) {
      this.#script.child.stdout.pause();
      this.#active = undefined;
    }
    if (this.#sent === this.#length) this.#complete();
  }

  readonly #drained = () => {
    this.#active = this.#exchange.clock.now();
    this.#script.child.stdout.resume();
  };

  #outputEnds(): void {
    if (this.#ended) return;
    if (!this.#headDone) return this.#fail(500, `End of script output before headers: ${this.#name}`);
    if (this.#length !== undefined && this.#sent < this.#length) {
      return this.#fail(500, `End of script output before its Content-Length: ${this.#name}`);
    }
    this.#complete();
  }

  #complete(): void {
    this.#finish(answered);
    this.#out.end();
    // Should it go on writing, it is told that nobody reads.
    this.#script.child.stdout.destroy();
    void this.#script.finish();
  }

  #fail(status: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#release();
    void this.#script.stop();
    const { response } = this.#exchange;
    if (response.headersSent) breakOff(response);
    void this.#exchange.fail(status, reason).finally(() => this.#over.resolve(answered));
  }

  readonly #clientGone = () => {
    if (this.#ended) return;
    this.#finish(answered);
    void this.#script.stop();
  };

  /** Half closed or gone can't be told apart, and a script must not work for nobody: gone, as for a backend. */
  readonly #clientEnds = () => {
    if (this.#ended) return;
    this.#clientGone();
    this.#exchange.response.destroy();
  };

  /** CGIScriptTimeout: for so long the script may say nothing, while nobody keeps it from that. */
  async #watch(): Promise<void> {
    const { clock, directory, host } = this.#exchange;
    const limit = directory.cgiTimeout ?? host.limits.timeout;
    for (;;) {
      const idle = this.#active === undefined ? 0 : clock.now() - this.#active;
      if (idle >= limit) break;
      await clock.sleep(limit - idle, { signal: this.#waiting.signal }).catch(() => {});
      if (this.#ended) return;
    }
    this.#fail(504, `AH01220: Timeout waiting for output from CGI script ${this.#name}`);
  }

  #finish(outcome: Outcome): void {
    this.#ended = true;
    this.#release();
    this.#over.resolve(outcome);
  }

  #release(): void {
    this.#waiting.abort();
    this.#out.off('drain', this.#drained).off('close', this.#clientGone);
    this.#client?.off('end', this.#clientEnds);
    this.#exchange.request.off('data', this.#seen);
  }
}
