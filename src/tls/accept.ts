/**
 * From an accepted TCP connection to a TLS connection, by way of its ClientHello: choose first, then begin TLS with
 * what was chosen. tls.Server cannot do that: its callbacks come too late for the protocols offered, for clients
 * without SNI, and for certificates of several key types.
 */
import type { SecureContext, TLSSocket } from 'node:tls';
import { normalizeAddress } from '../base/addresses.ts';
import { systemClock } from '../base/clock.ts';
import { CoarseTimers } from '../base/coarse-timers.ts';
import { explain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { clientProblemBy } from './client-certificates.ts';
import { ClientHelloReader } from './clienthello.ts';
import type { ClientHello } from './clienthello.ts';
import type { TlsPolicy } from './policy.ts';
import { alertRecord, looksLikeHttp, plainHttpAnswer } from './refusals.ts';
import type { AlertName } from './refusals.ts';
import type { Endpoints, Incoming } from './incoming.ts';
import type { HandshakeQueue } from './handshake-queue.ts';

export { checkPrivateSurface } from './server-socket.ts';

export type Selection<Tag> =
  | {
      readonly kind: 'serve';
      readonly context: SecureContext;
      /** The policy that the context was made with. */
      readonly policy: Pick<TlsPolicy, 'clientAuth' | 'clientCa' | 'clientRules'>;
      /** Protocols to offer, by preference. A client that offers only others is refused; one that offers none isn't. */
      readonly alpn: readonly string[];
      /** DER of an OCSP response, given to clients that ask for one. */
      readonly staple?: Uint8Array | undefined;
      /** Handed to onSecure. */
      readonly tag: Tag;
    }
  | { readonly kind: 'refuse'; readonly alert: AlertName };

/** What is known of a connection when it is secure. */
export interface Secured<Tag> {
  /** The protocol agreed on, or undefined. */
  readonly alpn: string | undefined;
  readonly sni: string | undefined;
  readonly hello: ClientHello;
  readonly endpoints: Endpoints;
  readonly tag: Tag;
}

/** A connection that did not become secure. */
export interface HandshakeFailure {
  readonly reason: string;
  /** Undefined where the ClientHello has none, or had not come. */
  readonly sni: string | undefined;
  readonly endpoints: Endpoints;
}

/** In ms, at most 2^31-1. What arrives at `minRate` (octets per second) extends `initial`, up to `max`; 0: not, no bound. */
export interface HandshakeTime {
  readonly initial: number;
  readonly max: number;
  readonly minRate: number;
}

export interface AcceptorOptions<Tag> {
  /** Chooses by the hello. Throwing or rejecting is logged, and refuses with internal_error. */
  readonly select: (hello: ClientHello, endpoints: Endpoints) => Selection<Tag> | Promise<Selection<Tag>>;
  /**
   * Takes over a secure connection: from now on it is its owner who destroys it. Its errors are logged here (debug)
   * whether or not the owner listens to them. Connections of `acme-tls/1` are closed instead (RFC 8737 section 3).
   */
  readonly onSecure: (socket: TLSSocket, secured: Secured<Tag>) => void;
  readonly logger: Logger;
  /** Called for each failure that is logged; must not throw. */
  readonly onFailed?: (failure: HandshakeFailure) => void;
  /** How long it may take from accept() to a finished handshake. Default 60 s. */
  readonly handshakeTimeout?: (endpoints: Endpoints) => HandshakeTime;
  /** When a handshake whose ClientHello is read may begin. Default: at once. */
  readonly turns?: HandshakeQueue;
  /** Octets of a ClientHello at most. Default 64 KiB. */
  readonly maxHello?: number;
  /** Calls back once after that many milliseconds, unless disposed before. Default: up to two seconds late. */
  readonly setTimer?: (callback: () => void, ms: number) => Disposable;
}

/** setTimeout() fires at once beyond this, ms. */
const LONGEST_TIMER = 2 ** 31 - 1;
const USUAL_TIME: HandshakeTime = { initial: 60_000, max: 0, minRate: 0 };

/** What a client may send (octets) between its ClientHello and the beginning of TLS. */
const MOST_AHEAD = 64 * 1024;

/** How long a refused peer may take to read why and to close: with what it sent unread, closing would be a reset. */
const LINGER = 2000;

export class Acceptor<Tag> implements Disposable {
  readonly #options: HandshakeOptions<Tag>;
  readonly #pending = new Set<Handshake<Tag>>();
  #closed = false;

  constructor(options: AcceptorOptions<Tag>) {
    const timers = new CoarseTimers();
    this.#options = { setTimer: (callback, ms) => timers.start(callback, ms), ...options };
  }

  /** Handshakes under way, and refused connections not closed yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Takes a connection before anything was read from it. */
  accept(connection: Incoming): void {
    if (this.#closed) {
      connection.destroy();
      return;
    }
    const handshake = new Handshake(connection, this.#options, this.#pending);
    this.#pending.add(handshake);
    handshake.begin();
  }

  /** Ends every unfinished handshake; secure connections are their owners'. Later connections are destroyed. */
  close(): void {
    this.#closed = true;
    for (const handshake of this.#pending) handshake.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

type Serve<Tag> = Extract<Selection<Tag>, { kind: 'serve' }>;
type HandshakeOptions<Tag> = AcceptorOptions<Tag> & Required<Pick<AcceptorOptions<Tag>, 'setTimer'>>;

/** One connection, until it is secure or gone. */
class Handshake<Tag> {
  readonly #connection: Incoming;
  readonly #options: HandshakeOptions<Tag>;
  readonly #endpoints: Endpoints;
  readonly #pending: Set<Handshake<Tag>>;
  readonly #reader: ClientHelloReader;
  readonly #chunks: Buffer[] = [];
  /** The hello is read, and its choice is made. */
  #choosing = false;
  /** Octets that came meanwhile. */
  #ahead = 0;
  #timer: Disposable | undefined;

  constructor(connection: Incoming, options: HandshakeOptions<Tag>, pending: Set<Handshake<Tag>>) {
    this.#connection = connection;
    this.#options = options;
    this.#pending = pending;
    this.#endpoints = connection.endpoints;
    this.#reader = new ClientHelloReader(options.maxHello === undefined ? {} : { size: options.maxHello });
  }

  begin(): void {
    this.#wait(this.#options.handshakeTimeout?.(this.#endpoints) ?? USUAL_TIME, 0);
    this.#connection.onClose(() => this.#finish());
    this.#connection.read((bytes) => {
      if (bytes === null) this.#fail('the client closed the connection before TLS began');
      else if (this.#choosing) this.#keep(bytes);
      else this.#take(bytes);
    });
  }

  destroy(): void {
    this.#connection.destroy();
  }

  /** Looks how much has arrived only when time is up, not each time that something arrives. */
  #wait(time: HandshakeTime, elapsed: number): void {
    const end = endOf(time, this.#connection.bytesRead);
    if (end > elapsed) this.#startTimer(end - elapsed, () => this.#wait(time, end));
    else this.#fail(`not done within ${Math.round(elapsed)} ms`);
  }

  #finish(): void {
    this.#timer?.[Symbol.dispose]();
    this.#pending.delete(this);
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    const peek = this.#reader.push(chunk);
    if (peek.kind === 'incomplete') return;
    this.#choosing = true;
    if (peek.kind === 'hello') this.#takeTurn(peek.hello);
    else this.#reject(peek.reason);
  }

  /** A client has nothing to say before it is answered. */
  #keep(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#ahead += chunk.length;
    if (this.#ahead > MOST_AHEAD) this.#fail('the client goes on without an answer');
  }

  #reject(reason: string): void {
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    if (reason !== 'not-tls') this.#refuse(`its ClientHello is ${reason}`, alertRecord('decode_error'));
    else if (looksLikeHttp(first)) this.#refuse('it speaks plain HTTP', plainHttpAnswer);
    else this.#fail('it does not speak TLS');
  }

  #takeTurn(hello: ClientHello): void {
    const { turns } = this.#options;
    if (!turns) this.#select(hello);
    // No word to say: under load nothing is cheaper, and whoever turned it away tells of it.
    else if (!turns.take(() => this.#select(hello))) this.#connection.reset();
  }

  #select(hello: ClientHello): void {
    // It may have gone while it waited.
    if (this.#connection.closed) return;
    try {
      const selection = this.#options.select(hello, this.#endpoints);
      if (selection instanceof Promise) void this.#carryOutLate(selection, hello);
      else this.#carryOut(selection, hello);
    } catch (error) {
      this.#selectFailed(error, hello);
    }
  }

  async #carryOutLate(selection: Promise<Selection<Tag>>, hello: ClientHello): Promise<void> {
    try {
      this.#carryOut(await selection, hello);
    } catch (error) {
      this.#selectFailed(error, hello);
    }
  }

  #selectFailed(error: unknown, hello: ClientHello): void {
    this.#options.logger.error(`choosing a certificate for ${this.#peer()} failed: ${explain(error)}`);
    this.#refuse('no choice could be made', alertRecord('internal_error'), hello);
  }

  #carryOut(selection: Selection<Tag>, hello: ClientHello): void {
    // It may have gone while the choice was made.
    if (this.#connection.closed) return;
    if (selection.kind === 'serve') this.#serve(selection, hello);
    else
      this.#refuse(`${selection.alert} for ${hello.sni ?? 'no name'}`, alertRecord(selection.alert), hello);
  }

  #serve(selection: Serve<Tag>, hello: ClientHello): void {
    const [first, ...others] = this.#chunks;
    this.#connection.toTls({
      received: first && others.length === 0 ? first : Buffer.concat(this.#chunks),
      context: selection.context,
      clientAuth: selection.policy.clientAuth,
      judgeClient: (secure) => clientProblemBy(selection.policy, secure, systemClock.now()),
      alpn: selection.alpn,
      staple: hello.statusRequest ? selection.staple : undefined,
      onFailure: (reason) => this.#tell(reason, hello),
      onSecure: (secure) => this.#secured(secure, selection.tag, hello),
    });
  }

  #secured(secure: TLSSocket, tag: Tag, hello: ClientHello): void {
    const { logger, onSecure } = this.#options;
    secure.on('error', (error) => logger.debug(`connection of ${this.#peer()}: ${explain(error)}`));
    const alpn = secure.alpnProtocol || undefined;
    if (alpn === 'acme-tls/1') {
      // The certificate was seen, which is all there is to it.
      this.#startTimer(LINGER, () => secure.destroy());
      secure.resume().end();
      return;
    }
    this.#finish();
    try {
      onSecure(secure, { alpn, sni: hello.sni, hello, endpoints: this.#endpoints, tag });
    } catch (error) {
      logger.error(`taking over the connection of ${this.#peer()} failed: ${explain(error)}`);
      secure.destroy();
    }
  }

  #fail(reason: string): void {
    this.#tell(reason);
    this.destroy();
  }

  /** Says why, and gives the peer time to read it. */
  #refuse(reason: string, answer: Buffer, hello?: ClientHello): void {
    this.#tell(reason, hello);
    const socket = this.#connection.toSocket();
    this.#startTimer(LINGER, () => socket.destroy());
    socket.end(answer);
    socket.resume();
    socket.once('end', () => socket.destroySoon());
  }

  #startTimer(ms: number, callback: () => void): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#options.setTimer(callback, ms);
  }

  #tell(reason: string, hello?: ClientHello): void {
    const { logger, onFailed } = this.#options;
    logger.info(`handshake with ${this.#peer()} failed: ${reason}`);
    onFailed?.({ reason, sni: hello?.sni, endpoints: this.#endpoints });
  }

  #peer(): string {
    return normalizeAddress(this.#endpoints.remoteAddress) || 'a client already gone';
  }
}

/** ms from the beginning until a handshake has to be done that has received so many octets. */
function endOf({ initial, max, minRate }: HandshakeTime, octets: number): number {
  const extended = minRate > 0 ? initial + (octets / minRate) * 1000 : initial;
  return Math.min(max > 0 ? Math.min(extended, max) : extended, LONGEST_TIMER);
}
