/** Clients that go on while something happens to a server: none of their requests may fail. */
import { createHash } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';

/** ms between two chunks of a download that has time: of 64 KiB at most, hundreds of them take minutes. */
const PACE = 500;

/** Where and as whom a host is asked for; its certificate is verified. */
export interface Target {
  readonly port: number;
  readonly name: string;
  readonly ca: string;
  readonly path: string;
}

export interface FreshConnection {
  /** What the server's log has as `%{remote}p`. */
  readonly localPort: number;
  /** Upper-case hex. */
  readonly serial: string;
}

/**
 * About fifty requests a second: by turns on a connection of their own, on a kept one, and as a stream of one
 * HTTP/2 connection.
 */
export class Traffic implements AsyncDisposable {
  requests = 0;
  readonly failures: string[] = [];
  /** Oldest first. */
  readonly fresh: FreshConnection[] = [];
  readonly #target: Target;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #session;
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(target: Target) {
    this.#target = target;
    const { port, name: servername, ca } = target;
    this.#session = connectHttp2(`https://${servername}:${port}`, { host: '127.0.0.1', servername, ca });
    this.#session.on('error', (error) => this.failures.push(`HTTP/2 connection: ${error.message}`));
    this.#session.on('goaway', (code) => this.failures.push(`HTTP/2 connection: GOAWAY ${code}`));
    const ways = [() => this.#onFresh(), () => this.#onKept(), () => this.#onStream()];
    this.#timer = setInterval(() => {
      const way = ways[this.requests++ % ways.length];
      const done = (way?.() ?? Promise.resolve())
        .catch((error: unknown) => void this.failures.push(`request ${this.requests}: ${String(error)}`))
        .finally(() => this.#pending.delete(done));
      this.#pending.add(done);
    }, 20);
  }

  /** Fulfilled when this many more requests have been made and are answered. */
  async more(count: number): Promise<void> {
    const until = this.requests + count;
    while (this.requests < until) await delay(10);
    await Promise.all(this.#pending);
  }

  /** Waits for what is under way; closed connections are no failures any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#pending);
    this.#agent.destroy();
    this.#session.close();
  }

  async #onFresh(): Promise<void> {
    const socket = await this.#get(false);
    this.fresh.push({
      localPort: socket.localPort ?? 0,
      serial: socket.getPeerX509Certificate()?.serialNumber ?? '',
    });
  }

  async #onKept(): Promise<void> {
    await this.#get(this.#agent);
  }

  #get(agent: Agent | false): Promise<TLSSocket> {
    const { name, path, ...where } = this.#target;
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const options = { ...where, host: '127.0.0.1', servername: name, agent, path, headers: { host: name } };
    request(options, (response) => {
      const socket = response.socket as TLSSocket;
      response.resume().once('error', reject);
      response.once('end', () => {
        if (response.statusCode === 200) resolve(socket);
        else reject(new Error(`status ${response.statusCode}`));
      });
    })
      .once('error', reject)
      .end();
    return promise;
  }

  #onStream(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stream = this.#session.request({ ':path': this.#target.path });
    let status: unknown;
    stream.once('response', (headers) => (status = headers[':status']));
    stream.once('error', reject).resume();
    stream.once('close', () => (status === 200 ? resolve() : reject(new Error(`status ${String(status)}`))));
    return promise;
  }
}

/** One download, which takes its time until it is told to hurry. */
export class Download {
  received = 0;
  readonly #hurry = new AbortController();
  readonly #sha256: Promise<string>;

  constructor(target: Target) {
    this.#sha256 = this.#run(target);
    // Looked at in finish().
    this.#sha256.catch(() => {});
  }

  /** The rest at full speed; hex of what was received. Rejects if it broke. */
  finish(): Promise<string> {
    this.#hurry.abort();
    return this.#sha256;
  }

  async #run({ name, path, ...where }: Target): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<AsyncIterable<Buffer>>();
    request(
      { ...where, host: '127.0.0.1', servername: name, agent: false, path, headers: { host: name } },
      resolve,
    )
      .once('error', reject)
      .end();
    const hash = createHash('sha256');
    for await (const chunk of await promise) {
      this.received += chunk.length;
      hash.update(chunk);
      if (!this.#hurry.signal.aborted)
        await delay(PACE, undefined, { signal: this.#hurry.signal }).catch(() => {});
    }
    return hash.digest('hex');
  }
}
