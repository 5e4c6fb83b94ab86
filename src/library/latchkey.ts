/** The library's one class: see its docstring, and docs/library.md. */
import { EventEmitter } from 'node:events';
import {
  createServer as createHttpsServer,
  type Server as HttpsServer,
  type ServerOptions,
} from 'node:https';
import type { SecureContext, Server as TlsServer } from 'node:tls';
import { callbackify } from 'node:util';
import { normalizeAddress } from '../base/addresses.ts';
import { explain, LatchkeyError } from '../base/errors.ts';
import { serverNameOf } from '../certificates/source.ts';
import { Challenges } from '../domains/challenge-answers.ts';
import { EngineError } from '../domains/engine-options.ts';
import { checkPrivateSurface, type HandshakeFailure } from '../tls/accept.ts';
import { Core } from './core.ts';
import { forwardEvents, type LatchkeyEvents } from './events.ts';
import { FailedHandshakes } from './failed-handshakes.ts';
import {
  type App,
  bindBoth,
  BoundServers,
  httpServer,
  httpsServer,
  type Listening,
  type ListenOptions,
} from './listening.ts';
import { loggersTo } from './log-sink.ts';
import {
  type LatchkeyOptions,
  namesOf,
  type RenewOptions,
  resolveOptions,
  type WaitOptions,
} from './options.ts';
import { checkOptions } from './options-schema.ts';
import { type ChallengeHandler, challengeHandler } from './plain-http.ts';
import { SecuredServer, type SecureOptions } from './secure.ts';
import { Selector } from './selection.ts';
import { type CertificateReport, reportOf, type ServedCertificate, servedCertificate } from './status.ts';

/** As node:tls has it among the options of a server. */
export type SniCallback = (
  name: string,
  callback: (error: Error | null, context?: SecureContext) => void,
) => void;

/** What renew() has brought. */
export interface RenewedCertificates {
  /** Upper-case hex. */
  readonly serials: readonly string[];
  /** When the first of them ends, ms since the epoch. */
  readonly notAfter: number;
}

/**
 * Certificates that get, renew and staple themselves, for the servers of this program.
 *
 *     await using latchkey = await Latchkey.open({
 *       domains: ['example.org', 'www.example.org'],
 *       agreement: 'accepted',
 *       storeDir: 'certificates',
 *     });
 *     await latchkey.listen(app);
 *
 * Opened, it serves what the store has. It obtains and renews from when the first of its servers listens, or from
 * start() on. It emits LatchkeyEvents.
 */
export class Latchkey extends EventEmitter<LatchkeyEvents> implements AsyncDisposable {
  readonly #core: Core;
  readonly #options: LatchkeyOptions;
  readonly #loggers;
  readonly #events: Disposable;
  readonly #selector: Selector;
  readonly #handler: ChallengeHandler;
  readonly #ports;
  readonly #clock;
  readonly #secured = new Set<SecuredServer>();
  readonly #listening = new Set<Listening>();
  readonly #failed: FailedHandshakes;
  readonly #abort = () => {
    this.close().catch((error: unknown) => this.#loggers('md').error(`closing: ${explain(error)}`));
  };
  #closing: Promise<void> | undefined;

  /**
   * Opens the store and serves what it has. No CA is asked yet.
   * @throws LatchkeyError `bad-option`, `tls-bad-policy`; PkiError `name-invalid`; StoreError; CaError of the `local` CA
   */
  static async open(options: LatchkeyOptions): Promise<Latchkey> {
    const opening = resolveOptions(options);
    options.signal?.throwIfAborted();
    checkPrivateSurface();
    const owner = {};
    const core = await Core.open({
      resolved: opening,
      loggers: loggersTo(options.logger),
      owner,
      onFault: (cause) => {
        latchkey.emit(
          'error',
          new LatchkeyError('fault', `Renewing has ended: ${explain(cause)}`, { cause }),
        );
      },
    });
    const latchkey = new Latchkey(core, opening, owner);
    if (options.signal?.aborted) {
      await latchkey.close();
      options.signal.throwIfAborted();
    }
    return latchkey;
  }

  private constructor(core: Core, resolved: ReturnType<typeof resolveOptions>, owner: object) {
    super();
    const { options, ports, policy, clock } = resolved;
    this.#core = core;
    this.#options = options;
    this.#ports = ports;
    this.#clock = clock;
    this.#loggers = loggersTo(options.logger);
    this.#events = forwardEvents(owner, this);
    this.#failed = new FailedHandshakes(clock, (failed) => this.emit('handshake:failed', failed));
    const challenges = new Challenges(core.opened.store);
    this.#selector = new Selector({ core, challenges, policy });
    this.#handler = challengeHandler({
      challenges,
      isServed: (name) => this.#isServed(name),
      httpsPort: () => [...this.#listening][0]?.port ?? ports.https,
    });
    options.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  /**
   * Serves `app` by https, and answers challenges and redirects to https by plain HTTP, on the ports of the options.
   * Fulfilled when it listens. Rejects with LatchkeyError `listen`, `bad-option`.
   */
  async listen(app: App, options: ListenOptions = {}): Promise<Listening> {
    this.#throwIfClosed();
    checkOptions(options, 'listen');
    const server = httpsServer(app, options);
    const https = this.#secure(server, {});
    const http = this.#ports.http === undefined ? undefined : httpServer(this.#handler);
    await bindBoth(server, http, this.#ports, options.host);
    const listening = new BoundServers({ https, http, clock: this.#clock });
    if (this.#closing) {
      await listening.close();
      this.#throwIfClosed();
    }
    this.#listening.add(listening);
    if (http) this.#core.addWay('http');
    this.start();
    return listening;
  }

  /** As https.createServer(), with our certificates; `options` are those of HTTP alone (timeouts, header sizes). */
  createServer(app?: App, options: ServerOptions = {}): HttpsServer {
    return this.secure(createHttpsServer(options, app));
  }

  /**
   * Has the connections of a server with TLS come in by our certificates: one of node:https, node:http2 or node:tls,
   * yours or of a framework, before or after it listens. What it was told of TLS itself (key, cert, SNICallback,
   * ALPNProtocols, requestCert) no longer counts: see the option `tls`.
   * @throws LatchkeyError `not-a-tls-server`, `bad-option`
   */
  secure<Server extends TlsServer>(server: Server, options: SecureOptions = {}): Server {
    this.#throwIfClosed();
    checkOptions(options, 'secure');
    this.#secure(server, options);
    if (server.listening) this.start();
    else server.once('listening', () => this.#startUnlessClosed());
    return server;
  }

  /**
   * Options for https.createServer() and the like where secure() can't be used. It lacks what node:tls has no way
   * for: tls-alpn-01, stapling, and clients that send no name. Begins to obtain certificates.
   */
  tlsOptions(): { readonly SNICallback: SniCallback } {
    setImmediate(() => this.#startUnlessClosed());
    return { SNICallback: this.SNICallback };
  }

  /** See tlsOptions(); call start() yourself. */
  readonly SNICallback: SniCallback = callbackify(async (name: string) => this.#selector.contextOf(name));

  /** For a server of your own at port 80, or as middleware: see ChallengeHandler. */
  get challengeHandler(): ChallengeHandler {
    this.#core.addWay('http');
    return this.#handler;
  }

  /** Begins to obtain, to renew and to staple; for who has no server that does it. Once more is no error. */
  start(): void {
    this.#throwIfClosed();
    this.#core.start();
  }

  /** Fulfilled when all of `domains` have certificates that are in force. Rejects with the reason of `signal`, or when it is closed. */
  async ready(options: WaitOptions = {}): Promise<void> {
    checkOptions(options, 'ready');
    await this.#core.ready(options);
  }

  /**
   * Renews a certificate now, by its first name, or joins the renewal that is under way; fulfilled when it is in use.
   * Where nothing has begun yet, all begin, as by start().
   * @throws RenewalError: the CA's problem; PostponedError: not now; EngineError `domain-unknown`
   */
  async renew(name: string, options: RenewOptions = {}): Promise<RenewedCertificates> {
    this.#throwIfClosed();
    checkOptions(options, 'renew');
    this.start();
    try {
      return await this.#core.renew(name, options);
    } catch (error) {
      if (error instanceof EngineError && error.code === 'engine-closed') this.#throwIfClosed();
      throw error;
    }
  }

  /**
   * A certificate more, until remove() or the end of the program; fulfilled when it is being taken care of.
   * @throws PkiError `name-invalid`; LatchkeyError `name-taken`
   */
  async add(...names: readonly string[]): Promise<void> {
    this.#throwIfClosed();
    await this.#core.add(namesOf(names));
  }

  /** Serves and renews a certificate no more, by its first name. The store keeps it. @throws EngineError `domain-unknown` */
  remove(name: string): void {
    this.#throwIfClosed();
    this.#core.remove(name);
  }

  /** All certificates, by name; those on demand, too. */
  status(): CertificateReport[] {
    return this.#core.status().map(reportOf);
  }

  /** The certificates in use for a name, one for each kind of key; none while there are none. */
  certificates(name: string): ServedCertificate[] {
    return this.#core.certificates(name).map(servedCertificate);
  }

  /** PEM of the root of the `local` CA; undefined without one. */
  get localRoot(): string | undefined {
    return this.#core.localRoot;
  }

  /** Ends all: what listen() has opened (answers under way have 10 s), renewals (which go on at the next start), the CA. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#abort);
    await Promise.all([...this.#listening].map((listening) => listening.close()));
    for (const secured of this.#secured) secured[Symbol.dispose]();
    using _events = this.#events;
    await this.#core[Symbol.asyncDispose]();
  }

  #secure(server: TlsServer, options: SecureOptions): SecuredServer {
    const telling = {
      logger: this.#loggers('ssl'),
      onFailed: ({ reason, sni, endpoints }: HandshakeFailure) => {
        const address = normalizeAddress(endpoints.remoteAddress);
        this.#failed.note({ address, name: sni, reason });
      },
    };
    const secured = new SecuredServer(server, this.#selector, telling, options);
    this.#secured.add(secured);
    server.once('close', () => this.#secured.delete(secured));
    this.#core.addWay('tls');
    return secured;
  }

  /** A visitor on demand comes by plain HTTP first. */
  #isServed(name: string): boolean {
    if (this.#core.managed.covers(name) || this.#core.served.find(name) !== undefined) return true;
    return this.#core.onDemand !== undefined && serverNameOf(name) !== undefined;
  }

  /** Where an error would have nobody to catch it. */
  #startUnlessClosed(): void {
    if (!this.#closing) this.#core.start();
  }

  #throwIfClosed(): void {
    if (this.#closing) throw new LatchkeyError('closed', 'This Latchkey is closed');
  }
}
