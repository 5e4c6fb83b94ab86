/**
 * The server's end of a TLS connection, made by hand: what tls.Server does between a TCP connection and its
 * `secureConnection` event, the checks of client certificates included.
 *
 * This file alone touches what Node does not document. All of it:
 * - `new TLSSocket(socket, { requestCert, rejectUnauthorized, ALPNProtocols })` of a server: tls.Server's options
 * - event `secure`: the handshake is done, nothing is checked yet
 * - event `_tlsError`: an error while the socket's control isn't released
 * - `_releaseControl()`: from now on errors are `error` events
 * - `secureConnecting`: http2 waits while it is true
 * - `_handle.verifyError()`: why the client's certificate isn't good, or nothing
 * - `_handle.setOCSPResponse(der)`: the response to staple
 * checkPrivateSurface() looks for them at start-up; server-socket.test.ts tries what each does.
 */
import { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { explain, LatchkeyError } from '../base/errors.ts';

export interface ServerSocketOptions {
  readonly context: SecureContext;
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

/**
 * Begins TLS on a connection. What was read of it already must have been put back. From now on it is the TLSSocket
 * that is to be destroyed: it may be OpenSSL that calls back, which does not survive that its connection goes.
 */
export function startTls(socket: Duplex, options: ServerSocketOptions): TLSSocket {
  const { context, clientAuth, alpn, staple } = options;
  const secure = wrap(socket, {
    isServer: true,
    secureContext: context,
    requestCert: clientAuth !== 'none',
    rejectUnauthorized: clientAuth === 'require',
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
  });
  if (staple) stapleTo(secure, Buffer.from(staple));
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
  return secure;
}

/**
 * Node gives a response to the first ClientHello that asks. After a HelloRetryRequest there is a second one, and the
 * response has to be there once more: set when the first is read, which was queued by the constructor.
 */
function stapleTo(secure: PrivateSocket, der: Buffer): void {
  secure._handle?.setOCSPResponse(der);
  process.nextTick(() => secure._handle?.setOCSPResponse(der));
}

type PrivateSocket = TLSSocket & {
  readonly _handle: {
    verifyError(): Error | null | undefined;
    setOCSPResponse(der: Buffer): void;
  } | null;
  secureConnecting: boolean;
  _releaseControl(): boolean;
};

function wrap(socket: Duplex, options: ConstructorParameters<typeof TLSSocket>[1]): PrivateSocket {
  return new TLSSocket(socket, options) as PrivateSocket;
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
  const socket = wrap(new Duplex({ read() {}, write() {} }), {
    isServer: true,
    secureContext: createSecureContext(),
  });
  const missing = missingPieces(socket);
  socket.destroy();
  if (missing.length === 0) return;
  throw new LatchkeyError(
    'tls-private-surface',
    `Latchkey does not know Node ${process.versions.node}: its TLSSocket has no ${missing.join(', ')}. Use a release of Node that this version of Latchkey supports`,
  );
}

/** Of the pieces listed at the top, those that can be looked for without a handshake. */
export function missingPieces(socket: object): string[] {
  const { _handle, secureConnecting, _releaseControl, _tlsError } = socket as Record<string, unknown>;
  const handle = (_handle ?? {}) as Record<string, unknown>;
  const found: Record<string, boolean> = {
    secureConnecting: secureConnecting === true,
    _releaseControl: typeof _releaseControl === 'function',
    _tlsError: typeof _tlsError === 'function',
    '_handle.verifyError': typeof handle.verifyError === 'function',
    '_handle.setOCSPResponse': typeof handle.setOCSPResponse === 'function',
  };
  return Object.keys(found).filter((piece) => !found[piece]);
}
