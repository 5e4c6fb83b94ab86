/**
 * The server's end of a TLS connection, made by hand: what tls.Server does between a TCP connection and its
 * `secureConnection` event, the checks of client certificates included.
 *
 * What it touches that Node does not document, all of it:
 * - `new TLSSocket(socket, { requestCert, rejectUnauthorized, ALPNProtocols })` of a server: tls.Server's options
 * - `_wrapHandle(null, handle)`: of a TLSSocket without a socket beneath it (a client's, usually), what it makes TLS on;
 *   `_tlsOptions`: what it was made with; `connecting`: true from then on until somebody says otherwise
 * - event `secure`: the handshake is done, nothing is checked yet
 * - event `_tlsError`: an error while the socket's control isn't released
 * - `_releaseControl()`: from now on errors are `error` events
 * - `secureConnecting`: http2 waits while it is true
 * - `_handle.verifyError()`: why the client's certificate isn't good, or nothing
 * - `_handle.setOCSPResponse(der)`: the response to staple
 * - `_handle.receive(bytes)`: what was read of the connection before; by way of unshift() it costs a turn of two streams
 * - `secureContext.context.enableTicketKeyCallback()` and `.onticketkeycallback`: keys of session tickets, which the
 *   documented `ticketKeys` has only one of, so that changing it would lose every session
 * - `secureContext.context.setTicketKeys(bytes)`: that one, changed; a tls.Server's is documented
 * checkPrivateSurface() looks for them at start-up; server-socket.test.ts tries what each does.
 * incoming-handle.ts has what else is used.
 */
import { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { explain, LatchkeyError } from '../base/errors.ts';
import { TicketIvs } from './ticket-keys.ts';
import type { TicketKey } from './ticket-keys.ts';

export interface ServerSocketOptions {
  readonly context: SecureContext;
  /** What was read of the connection already. */
  readonly received: Buffer;
  readonly clientAuth: 'none' | 'optional' | 'require';
  /** Why a client whose certificate leads to a known authority may not come in all the same. Default: it may. */
  readonly judgeClient?: (socket: TLSSocket) => string | undefined;
  /** Protocols to offer, by preference; with none, ALPN is not answered. */
  readonly alpn: readonly string[];
  /** DER of an OCSP response for clients that ask for one. */
  readonly staple: Uint8Array | undefined;
  /** Called once, unless onFailure was: the handshake is done, and the client may come in. */
  readonly onSecure: (socket: TLSSocket) => void;
  /** Called at most once, before onSecure; the connection is destroyed. */
  readonly onFailure: (reason: string) => void;
}

/** Of Node's TCP class, as far as it is used: a connection without a socket. */
export interface TcpHandle {
  /** Set by whoever calls readStart(). */
  reading?: boolean;
  /** Called with what arrives, each time in memory of its own; without it at the end, or after an error. */
  onread: (bytes?: ArrayBuffer) => void;
  readonly bytesRead: number;
  readStart(): number;
  getsockname(into: object): number;
  getpeername(into: object): number;
  setNoDelay(on: boolean): number;
  close(done: () => void): void;
  /** Not 0: it could not be. */
  reset(done: () => void): number;
}

/**
 * Begins TLS on a connection. From now on it is the TLSSocket that is to be destroyed: it may be OpenSSL that calls
 * back, which does not survive that its connection goes.
 */
export function startTls(connection: Duplex | TcpHandle, options: ServerSocketOptions): TLSSocket {
  const { context, clientAuth, alpn, staple } = options;
  const tcp = connection instanceof Duplex ? undefined : connection;
  const made = {
    isServer: true,
    secureContext: context,
    requestCert: clientAuth !== 'none',
    rejectUnauthorized: clientAuth === 'require',
    ALPNProtocols: alpn.length > 0 ? alpn : undefined,
    // Of a handle that is set already: said again, it would be set again.
    noDelay: tcp !== undefined,
    tcp,
  } as const;
  const secure =
    connection instanceof Duplex ? new PrivateTLSSocket(connection, made) : new HandleSocket(null, made);
  const fail = (reason: string) => {
    secure.off('_tlsError', failed);
    secure.off('secure', done);
    options.onFailure(reason);
    secure.destroy();
  };
  const failed = (error: Error) => fail(explain(error));
  const done = () => {
    const problem =
      clientAuth === 'none' ? undefined : clientProblem(secure, clientAuth, options.judgeClient);
    if (problem !== undefined) return fail(`client certificate: ${problem}`);
    if (secure.destroyed || !secure._releaseControl()) return;
    secure.off('_tlsError', failed);
    secure.secureConnecting = false;
    options.onSecure(secure);
  };
  secure.once('_tlsError', failed);
  secure.once('secure', done);
  const der = staple && Buffer.from(staple);
  if (der) secure._handle?.setOCSPResponse(der);
  secure._handle?.receive(options.received);
  // Node gives it to the first ClientHello that asks. After a HelloRetryRequest there is a second one.
  if (der) secure._handle?.setOCSPResponse(der);
  return secure;
}

type TicketKeyAnswer = readonly [
  verdict: number,
  hmacSecret: Buffer,
  aesKey: Buffer,
  name?: Buffer,
  iv?: Buffer,
];

interface PrivateContext {
  setTicketKeys(bytes: Buffer): void;
  enableTicketKeyCallback(): void;
  onticketkeycallback: (name: Buffer, iv: Buffer, encrypts: boolean) => TicketKeyAnswer;
}

/** What OpenSSL's callback answers (SSL_CTX_set_tlsext_ticket_key_evp_cb). */
const UNKNOWN = 0;
const GOOD = 1;
/** Clients of TLS 1.3 use a ticket once (RFC 8446 appendix C.4): without another they would soon have none. */
const GOOD_AND_RENEW = 2;

/** Tickets of this context: the first key encrypts them, all open them. Asked for each ticket, so that keys may change. */
export function protectTickets(context: SecureContext, keys: () => readonly TicketKey[]): void {
  const handle = privateOf(context);
  const ivs = new TicketIvs();
  handle.onticketkeycallback = (name, _iv, encrypts) => {
    const all = keys();
    const [first] = all;
    const key = encrypts ? first : all.find((one) => one.name.equals(name));
    if (!key) return [UNKNOWN, nobody, nobody];
    const { hmacSecret, aesKey } = key;
    if (encrypts) return [GOOD, hmacSecret, aesKey, key.name, ivs.next()];
    return [GOOD_AND_RENEW, hmacSecret, aesKey];
  };
  handle.enableTicketKeyCallback();
}

const nobody = Buffer.alloc(16);

/**
 * Tickets of this context are encrypted by the key, and no other opens them: it is for clients that bring none. Asked
 * for each ticket instead, a key would cost a handshake another fiftieth.
 */
export function sealTickets(context: SecureContext, { bytes }: TicketKey): void {
  privateOf(context).setTicketKeys(bytes);
}

function privateOf(context: SecureContext): PrivateContext {
  return (context as { readonly context: PrivateContext }).context;
}

type PrivateSocket = TLSSocket & {
  readonly _handle: {
    verifyError(): Error | null | undefined;
    setOCSPResponse(der: Buffer): void;
    receive(bytes: Buffer): void;
  } | null;
  readonly _tlsOptions: { readonly tcp?: TcpHandle };
  connecting: boolean;
  secureConnecting: boolean;
  _releaseControl(): boolean;
  _wrapHandle(wrap: null, handle: TcpHandle | undefined, hasActiveWrite: boolean): object;
};

interface TLSSocketOptions {
  readonly isServer: true;
  readonly secureContext: SecureContext;
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
  readonly ALPNProtocols?: readonly string[] | undefined;
  readonly noDelay?: boolean;
  /** Ours: see HandleSocket. */
  readonly tcp?: TcpHandle | undefined;
}

const PrivateTLSSocket = TLSSocket as unknown as new (
  socket: Duplex | null,
  options: TLSSocketOptions,
) => PrivateSocket;

/** A TLSSocket on a TCP handle of its own. */
class HandleSocket extends PrivateTLSSocket {
  constructor(socket: null, options: TLSSocketOptions) {
    super(socket, options);
    this.connecting = false;
  }

  override _wrapHandle(wrap: null, _none: undefined, hasActiveWrite: boolean): object {
    return super._wrapHandle(wrap, this._tlsOptions.tcp, hasActiveWrite);
  }
}

/**
 * Why a client may not come in. Node tells OpenSSL to accept every certificate, so that a handshake that is done
 * says nothing about it.
 */
function clientProblem(
  secure: PrivateSocket,
  clientAuth: 'optional' | 'require',
  judge: ServerSocketOptions['judgeClient'],
): string | undefined {
  if (!secure.getPeerX509Certificate()) return clientAuth === 'require' ? 'none was shown' : undefined;
  const error = secure._handle ? secure._handle.verifyError() : new Error('the connection is closed');
  if (error) return explain(error);
  const problem = judge?.(secure);
  if (problem !== undefined) return problem;
  secure.authorized = true;
  return undefined;
}

/**
 * To be called once at start-up, before anything listens.
 * @throws LatchkeyError `tls-private-surface`: this Node lacks something that startTls() needs.
 */
export function checkPrivateSurface(): void {
  const socket = new PrivateTLSSocket(new Duplex({ read() {}, write() {} }), {
    isServer: true,
    secureContext: createSecureContext(),
  });
  const { context } = createSecureContext() as { readonly context?: object };
  const missing = [...missingPieces(socket), ...missingOfContext(context ?? {})];
  socket.destroy();
  if (missing.length === 0) return;
  throw new LatchkeyError(
    'tls-private-surface',
    `Latchkey does not know Node ${process.versions.node}: its TLSSocket has no ${missing.join(', ')}. Use a release of Node that this version of Latchkey supports`,
  );
}

/** The same of a context's inner object. */
export function missingOfContext(context: object): string[] {
  return ['enableTicketKeyCallback', 'setTicketKeys']
    .filter((piece) => !(piece in context))
    .map((piece) => `secureContext.context.${piece}`);
}

/** Of the pieces listed at the top, those that can be looked for without a handshake. */
export function missingPieces(socket: object): string[] {
  const { _handle, secureConnecting, _releaseControl, _tlsError, _tlsOptions, _wrapHandle } =
    socket as Record<string, unknown>;
  const handle = (_handle ?? {}) as Record<string, unknown>;
  const found: Record<string, boolean> = {
    secureConnecting: secureConnecting === true,
    _releaseControl: typeof _releaseControl === 'function',
    _tlsError: typeof _tlsError === 'function',
    _tlsOptions: typeof _tlsOptions === 'object',
    _wrapHandle: typeof _wrapHandle === 'function',
    '_handle.verifyError': typeof handle.verifyError === 'function',
    '_handle.setOCSPResponse': typeof handle.setOCSPResponse === 'function',
    '_handle.receive': typeof handle.receive === 'function',
  };
  return Object.keys(found).filter((piece) => !found[piece]);
}
