/** A server whose unknown names are ordered from Pebble when a client calls for them, as a service permits. */
import { once } from 'node:events';
import { connect as connectPlain, createServer, type AddressInfo, type Server } from 'node:net';
import { connect } from 'node:tls';
import {
  type Pebble,
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from '../src/acme/pebble.testing.ts';
import { AskService } from '../src/domains/on-demand/ask-service.testing.ts';
import { helloBody, helloMessage, records } from '../src/tls/hello.testing.ts';
import { freePorts, selfSigned, TestServer } from './latchkey.testing.ts';

export const withoutPeers = withoutPebble || withoutChallengeDns;

export interface OnDemandServer extends AsyncDisposable {
  readonly server: TestServer;
  readonly ask: AskService;
  readonly pebble: Pebble;
  readonly gate: Gate;
  readonly https: number;
  /** Names and serial of the certificate that a client is shown. */
  shown(name: string): Promise<Shown>;
  /** Begins a handshake like shown(), and gives up at the answer. */
  knock(name: string, from: string): Promise<void>;
  /** Writes the configuration with more in it. */
  configure(more?: string): void;
  /** Orders that the CA has seen. */
  orders(): number;
}

export interface Shown {
  readonly names: string;
  readonly serial: string;
}

export interface Setup {
  /** Directives of the catch-all. */
  readonly directives?: string;
  readonly hosts?: (https: number) => string;
  readonly challenge?: 'http-01' | 'tls-alpn-01';
}

/** Where the CA looks for http-01: leads to the server, at once unless it is held. */
export class Gate implements AsyncDisposable {
  /** How often the CA has come so far. */
  looks = 0;
  readonly #server: Server;
  #opened = Promise.resolve();

  static async start(to: number): Promise<Gate> {
    const gate = new Gate(to);
    await once(gate.#server.listen(0, '127.0.0.1'), 'listening');
    return gate;
  }

  private constructor(to: number) {
    this.#server = createServer((socket) => {
      this.looks++;
      socket.on('error', () => {});
      void this.#opened.then(() => {
        const onward = connectPlain(to, '127.0.0.1').on('error', () => socket.destroy());
        socket.pipe(onward).pipe(socket);
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on the CA waits, until the function is called that this gives. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#opened = promise;
    return resolve;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await once(this.#server.close(), 'close');
  }
}

export async function onDemandServer(setup: Setup = {}): Promise<OnDemandServer> {
  const [http = 0, https = 0] = await freePorts(2);
  const server = new TestServer();
  const ask = await AskService.start();
  const dns = await startChallengeDns();
  const gate = await Gate.start(http);
  const pebble = await startPebble({ httpPort: gate.port, tlsPort: https, resolver: dns.resolver });
  const { cert, key } = selfSigned(server.dir, 'fallback.test');
  server.write('pebble-ca.pem', pebble.ca);
  const configure = (more = '') =>
    server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
Workers 2
LogLevel info
Protocols http/1.1 acme-tls/1
MDCertificateAuthority ${pebble.directoryUrl}
MDCACertificateFile pebble-ca.pem
MDCertificateAgreement accepted
MDPrivateKeys P-256
MDRetryDelay 1s
MDPortMap http:${http} https:${https}
MDCAChallenges ${setup.challenge ?? 'http-01'}
MDPreflight ${dns.resolver}
${setup.hosts?.(https) ?? ''}
<VirtualHost *:${https}>
  ServerName _default_
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
  MDOnDemand on
  MDOnDemandAsk ${ask.url}
  MDOnDemandAddress 127.0.0.1
  ${setup.directives ?? ''}
</VirtualHost>
${more}
`);
  configure();
  return {
    server,
    ask,
    pebble,
    gate,
    https,
    configure,
    shown: (name) => shown(https, name),
    knock: (name, from) => knock(https, name, from),
    orders: () => pebble.log().match(/Added order/g)?.length ?? 0,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await pebble[Symbol.asyncDispose]();
      await gate[Symbol.asyncDispose]();
      await dns[Symbol.asyncDispose]();
      await ask[Symbol.asyncDispose]();
    },
  };
}

async function shown(port: number, servername: string): Promise<Shown> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername });
  try {
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    return {
      names: certificate?.subjectAltName?.replaceAll('DNS:', '') ?? '',
      serial: certificate?.serialNumber ?? '',
    };
  } finally {
    socket.destroy();
  }
}

/** `localAddress`: of 127.0.0.0/8. */
async function knock(port: number, sni: string, localAddress: string): Promise<void> {
  const socket = connectPlain({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  socket.write(records(helloMessage(helloBody({ sni }))));
  await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  socket.destroy();
}
