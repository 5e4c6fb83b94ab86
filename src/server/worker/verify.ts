/**
 * Proof that a new certificate is served: this worker shakes hands with itself. The listeners are shared, so a
 * connection to one of them would reach any worker; here a listener of this process alone hands its
 * connections to the same selection that every client gets.
 */
import { createServer, type AddressInfo, type Server } from 'node:net';
import { connect, createSecureContext, type SecureContext } from 'node:tls';
import { silent } from '../../base/log.ts';
import { Acceptor } from '../../tls/accept.ts';
import { takeConnections } from '../../tls/incoming-handle.ts';
import type { VerifyRequest } from '../calls.ts';
import type { Handshakes, HandshakeTag } from './handshake.ts';

const PATIENCE = 5000;
const TIME = { initial: PATIENCE, max: 0, minRate: 0 };

/** What makes a client one that can use only this kind of key. */
const SIGNATURES: Readonly<Record<string, string>> = {
  rsa: 'RSA-PSS+SHA256:RSA-PSS+SHA384:RSA+SHA256',
  ec: 'ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512',
};
/** OpenSSL's servers take it where nothing else is configured; the hybrid group that clients begin with costs far more. */
const USUAL_GROUP = 'X25519';

/** Without the system's trust anchors, which are no part of the question. */
const client = (keyType: string, groups: string) =>
  createSecureContext({ ca: [], sigalgs: SIGNATURES[keyType], ecdhCurve: groups });
/** Made once: a thousand new certificates are a thousand handshakes. */
const USUAL: Readonly<Record<string, SecureContext>> = {
  rsa: client('rsa', USUAL_GROUP),
  ec: client('ec', USUAL_GROUP),
};

/** One that can use the server's `groups` (undefined: OpenSSL's own). */
function clientFor(keyType: string, groups: string | undefined): SecureContext {
  const usual = groups === undefined ? USUAL[keyType] : undefined;
  return usual ?? client(keyType, groups ?? USUAL_GROUP);
}

/** Serials (upper-case hex) shown for the set, one handshake for each key type. See Verification.serials. */
export async function showCertificates(
  handshakes: Handshakes,
  request: VerifyRequest,
): Promise<string[] | undefined> {
  const { setId, scope, keyTypes } = request;
  // A client names no wildcard, but a name under it.
  const name = request.name.replace(/^\*/, 'www');
  const target =
    scope === undefined ? handshakes.plan.addressOf(setId) : handshakes.plan.addressFor(name, scope);
  if (!target) return scope === undefined ? [] : undefined;
  using acceptor = new Acceptor<HandshakeTag>({
    select: (hello) => handshakes.select(hello, target),
    onSecure: (socket) => socket.end(),
    handshakeTimeout: () => TIME,
    logger: silent('ssl'),
  });
  const server = createServer();
  const port = await listen(server);
  takeConnections(server, (connection) => acceptor.accept(connection));
  try {
    return await Promise.all(
      keyTypes.map((type) => serialShown(port, target.name ?? name, clientFor(type, target.groups))),
    );
  } finally {
    server.close();
  }
}

async function listen(server: Server): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  // Exclusive: this process's own, not shared through the supervisor.
  server.listen({ host: '127.0.0.1', port: 0, exclusive: true }, () => resolve());
  await promise;
  return (server.address() as AddressInfo).port;
}

function serialShown(port: number, servername: string, secureContext: SecureContext): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername,
    // The question is which certificate is shown, not whether this machine trusts its CA.
    rejectUnauthorized: false,
    timeout: PATIENCE,
    secureContext,
  });
  socket.once('secureConnect', () => {
    resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
    socket.destroy();
  });
  socket.once('timeout', () => socket.destroy(new Error('no handshake in time')));
  socket.once('error', reject);
  return promise;
}
