/** One request under way: the Exchange that handlers see, and what only the pipeline and the logs look at. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../base/clock.ts';
import type { DirectorySettings, HostSettings, ProxyMapping, Settings } from '../config/settings.ts';
import { StreamReceived } from './answer.ts';
import type { Answer, Received, StreamAnswer } from './answer.ts';
import type { ConnectionInfo, Exchange } from './exchange.ts';
import type { AliasMapping } from './mapping.ts';
import type { CleanPath } from './target.ts';

export interface Arrival {
  readonly request: Received | StreamReceived;
  readonly response: Answer | StreamAnswer;
  readonly connection: ConnectionInfo;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | undefined;
}

export class LiveExchange implements Exchange {
  readonly request: Received | StreamReceived;
  readonly response: Answer | StreamAnswer;
  readonly connection: ConnectionInfo;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly started: number;
  readonly upgrade: { readonly socket: Duplex; readonly head: Buffer } | undefined;
  host: HostSettings;
  authority = '';
  hostname = '';
  /** The hostname is a name of `host`, which isn't just the default of its address. */
  known = false;
  /** GET once an error document takes over. */
  method: string;
  rawPath: string;
  path = '';
  query = '';
  /** `path`, each segment encoded as it came. */
  encodedPath = '';
  /** The path that came from the client, whatever internal redirects made of it. */
  originalPath = '';
  directory: DirectorySettings;
  filename: string | undefined;
  /** What follows a script's own path; empty for all that is no script. */
  pathInfo = '';
  /** What led to `filename`, if not the document root. */
  alias: AliasMapping | undefined;
  proxied: { readonly target: string; readonly mapping: ProxyMapping } | undefined;
  /** The file's type is not known: no Content-Type is sent, as httpd does. */
  untyped = false;
  forwardTo: string | undefined;
  /** What answered, for the log. */
  handler: string | undefined;
  /** The client waits for `100 Continue` before it sends the body. */
  expectsContinue = false;
  /** Requests on this connection before this one. */
  earlier = 0;
  /** This answer is the connection's last. */
  closes = false;
  /** How many internal redirects led here. */
  redirects = 0;
  /** The status that an error document's answer has to have. */
  errorStatus: number | undefined;
  /** Its host has no certificate of its own yet: nothing is promised for it. */
  stopgap = false;
  /** The answer is made by the server itself instead of content: only `always` rules apply. */
  isError = false;
  #env: Map<string, string> | undefined;
  #notes: Map<string, string> | undefined;
  #fail: ((status: number, reason?: string) => Promise<void>) | undefined;

  constructor(arrival: Arrival) {
    this.request = arrival.request;
    this.response = arrival.response;
    this.connection = arrival.connection;
    this.settings = arrival.settings;
    this.clock = arrival.clock;
    this.started = arrival.clock.now();
    this.upgrade = arrival.upgrade;
    this.host = arrival.connection.host;
    this.directory = this.host.directory;
    // Over HTTP/2 a WebSocket is asked for by CONNECT, and is GET all the same to whoever decides about it.
    this.method = isBootstrap(arrival) ? 'GET' : (arrival.request.method ?? 'GET');
    this.rawPath = arrival.request.url ?? '';
  }

  // Most requests set no variables, and two empty Maps are larger than all the rest of this.
  get env(): Map<string, string> {
    return (this.#env ??= new Map<string, string>());
  }

  get notes(): Map<string, string> {
    return (this.#notes ??= new Map<string, string>());
  }

  /** `https://host[:port]`, as the client knows this place (UseCanonicalName Off). */
  get origin(): string {
    const [scheme, usual] = this.connection.secure ? ['https', ':443'] : ['http', ':80'];
    const authority = this.authority || this.host.serverName || this.connection.localAddress;
    return `${scheme}://${authority.endsWith(usual) ? authority.slice(0, -usual.length) : authority}`;
  }

  moveTo({ path, encoded }: CleanPath): void {
    this.path = path;
    this.encodedPath = encoded;
  }

  /** `Expect: 100-continue`: only who may read the body asks for it. */
  invite(): void {
    if (this.expectsContinue) this.response.writeContinue();
    this.expectsContinue = false;
  }

  onFail(fail: (status: number, reason?: string) => Promise<void>): void {
    this.#fail = fail;
  }

  async fail(status: number, reason?: string): Promise<void> {
    await this.#fail?.(status, reason);
  }
}

function isBootstrap({ request, upgrade }: Arrival): boolean {
  return upgrade !== undefined && request instanceof StreamReceived;
}
