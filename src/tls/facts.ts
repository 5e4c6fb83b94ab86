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
  clientIssuers?(): readonly X509Certificate[];
  /** What was shown to the client; undefined once the connection is gone. */
  server?(): X509Certificate | undefined;
  /** Lower-case hex; empty without one, or once the connection is gone. */
  sessionId?(): string;
  /** Remembers what OpenSSL can't be asked for once the connection is gone: for logs, which are written then. */
  keep?(): void;
}

export function factsOf(
  socket: TLSSocket,
  hello: Pick<ClientHello, 'secureRenegotiation'>,
  names: 'iana' | 'openssl',
  policy: ClientPolicy,
): TlsFacts {
  return new SocketFacts(socket, hello.secureRenegotiation, names, policy);
}

/** A class: getters and functions of an object's own would be made for every connection, and cost 4 µs. */
class SocketFacts implements TlsFacts {
  readonly secureRenegotiation: boolean;
  readonly client: X509Certificate | undefined;
  readonly #socket: TLSSocket;
  readonly #names: 'iana' | 'openssl';
  readonly #policy: ClientPolicy;
  #agreed: Agreed | undefined;

  constructor(
    socket: TLSSocket,
    secureRenegotiation: boolean,
    names: 'iana' | 'openssl',
    policy: ClientPolicy,
  ) {
    this.#socket = socket;
    this.secureRenegotiation = secureRenegotiation;
    this.#names = names;
    this.#policy = policy;
    this.client = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  }

  get protocol(): string {
    return this.#ask().protocol;
  }

  get cipher(): string {
    return this.#names === 'iana' ? this.#ask().standardName : this.#ask().name;
  }

  get resumed(): boolean {
    return this.#ask().resumed;
  }

  clientIssuers(): readonly X509Certificate[] {
    return this.client ? issuersOf(this.client, this.#policy) : [];
  }

  server(): X509Certificate | undefined {
    return this.#socket.destroyed ? undefined : this.#socket.getX509Certificate();
  }

  sessionId(): string {
    return this.#socket.destroyed ? '' : sessionId(this.#socket.getSession());
  }

  keep(): void {
    this.#ask();
  }

  #ask(): Agreed {
    return (this.#agreed ??= agreedOn(this.#socket));
  }
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
