/** What is known of a TLS connection once its handshake is done; what costs something is had when it is asked for. */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { derInside, tags } from '../pki/der.ts';
import { issuersOf } from './client-certificates.ts';
import type { ClientPolicy } from './client-certificates.ts';
import type { ClientHello } from './clienthello.ts';

export interface TlsFacts {
  /** As OpenSSL prints it: `TLSv1.3`. */
  readonly protocol: string;
  /** IANA's name where mod_tls's directives made the host, else OpenSSL's: they differ in TLS 1.2. */
  readonly cipher: string;
  readonly resumed?: boolean;
  /** The client knows of RFC 5746. */
  readonly secureRenegotiation?: boolean;
  /** Verified; undefined without one. */
  readonly client?: X509Certificate | undefined;
  /** issuersOf() it. */
  readonly clientIssuers?: () => readonly X509Certificate[];
  /** What was shown to the client; undefined once the connection is gone. */
  readonly server?: () => X509Certificate | undefined;
  /** Lower-case hex; empty without one, or once the connection is gone. */
  readonly sessionId?: () => string;
  /** Remembers what OpenSSL can't be asked for once the connection is gone: for logs, which are written then. */
  readonly keep?: () => void;
}

export function factsOf(
  socket: TLSSocket,
  hello: Pick<ClientHello, 'secureRenegotiation'>,
  names: 'iana' | 'openssl',
  policy: ClientPolicy,
): TlsFacts {
  let agreed: Agreed | undefined;
  const ask = () => (agreed ??= agreedOn(socket));
  const client = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  return {
    get protocol() {
      return ask().protocol;
    },
    get cipher() {
      return names === 'iana' ? ask().standardName : ask().name;
    },
    get resumed() {
      return ask().resumed;
    },
    keep: ask,
    secureRenegotiation: hello.secureRenegotiation,
    client,
    clientIssuers: () => (client ? issuersOf(client, policy) : []),
    server: () => (socket.destroyed ? undefined : socket.getX509Certificate()),
    sessionId: () => (socket.destroyed ? '' : sessionId(socket.getSession())),
  };
}

interface Agreed {
  readonly protocol: string;
  readonly standardName: string;
  readonly name: string;
  readonly resumed: boolean;
}

const GONE: Agreed = { protocol: '', standardName: '', name: '', resumed: false };

function agreedOn(socket: TLSSocket): Agreed {
  if (socket.destroyed) return GONE;
  const { standardName, name } = socket.getCipher();
  return { protocol: socket.getProtocol() ?? '', standardName, name, resumed: socket.isSessionReused() };
}

/** From OpenSSL's SSL_SESSION: version, TLS version, cipher, session id, … */
function sessionId(session: Buffer | undefined): string {
  if (!session) return '';
  const [, , , id] = derInside(session);
  return id?.tag === tags.octets ? id.content.toString('hex') : '';
}
