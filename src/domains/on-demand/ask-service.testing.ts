/** A service that says who may have certificates on demand, or does otherwise. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Undefined: as it should. */
type Behaviour =
  | 'silent'
  | 'garbage'
  | 'cut'
  | 'cut once'
  | 'endless'
  | { readonly status: number }
  | undefined;

export class AskService implements AsyncDisposable {
  /** Paths with their queries. */
  readonly asked: string[] = [];
  behaviour: Behaviour;
  readonly #server: Server;
  readonly #permitted = new Set<string>();

  static async start(): Promise<AskService> {
    const service = new AskService();
    service.#server.listen(0, '127.0.0.1');
    await once(service.#server, 'listening');
    return service;
  }

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ask?token=secret`;
  }

  permit(...names: readonly string[]): void {
    for (const name of names) this.#permitted.add(name);
  }

  forbid(name: string): void {
    this.#permitted.delete(name);
  }

  /** How often it was asked for a name. */
  count(name: string): number {
    return this.asked.filter((path) => new URL(path, this.url).searchParams.get('domain') === name).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #answer({ url = '', socket }: IncomingMessage, response: ServerResponse): void {
    this.asked.push(url);
    const { behaviour } = this;
    if (behaviour === 'silent') return;
    if (behaviour === 'garbage') return void socket.end('\0\0\0 no http\r\n\r\n');
    if (behaviour === 'cut once') this.behaviour = undefined;
    if (behaviour === 'cut' || behaviour === 'cut once') return void socket.destroy();
    if (behaviour === 'endless') return endless(response);
    const name = new URL(url, this.url).searchParams.get('domain') ?? '';
    response.statusCode = behaviour?.status ?? (this.#permitted.has(name) ? 200 : 404);
    if (response.statusCode === 302) response.setHeader('location', '/yes');
    response.end();
  }
}

function endless(response: ServerResponse): void {
  const more = () => {
    while (!response.destroyed && response.write('x'.repeat(65_536)));
  };
  response.on('drain', more);
  more();
}
