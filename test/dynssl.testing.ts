/** Configurations with a certificate store, and clients that tell what they were shown. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect } from 'node:tls';
import { HostileStore } from '../src/certificates/sources/hostile-store.testing.ts';
import { createAuthority, type TestAuthority } from '../src/certificates/credentials.testing.ts';
import { plainHello } from '../src/tls/hello.testing.ts';
import { TestServer, freePorts, selfSigned } from './latchkey.testing.ts';

export interface DynamicServer extends AsyncDisposable {
  readonly server: TestServer;
  readonly store: HostileStore;
  readonly authority: TestAuthority;
  readonly http: number;
  readonly https: number;
  /** Makes the store know a certificate; gives its serial. */
  issue(...names: string[]): Promise<string>;
  /** CN or first name of the certificate that a client is shown, and its serial. */
  shown(name: string | undefined): Promise<Shown>;
  /** What the server answers to a client's first words, certificate included, in the clear; the client goes then. */
  flight(name: string): Promise<string>;
  /** Writes the configuration with more in it. */
  configure(more?: string): void;
  post(path: string): Promise<string>;
  get(path: string): Promise<string>;
}

export interface Shown {
  readonly subject: string;
  readonly serial: string;
}

export interface Setup {
  readonly workers?: number;
  /** Directives outside of all hosts. */
  readonly directives?: string;
  /** Other hosts. */
  readonly hosts?: (https: number, server: TestServer) => string;
}

/**
 * A server whose unknown names are those of a store; the fallback is `CN=localhost`. The store is a part of the test's
 * process, which may be kept busy: it has time to answer.
 */
export async function dynamicServer(setup: Setup = {}): Promise<DynamicServer> {
  const [http = 0, https = 0] = await freePorts(2);
  const server = new TestServer();
  const store = await HostileStore.start();
  const authority = await createAuthority();
  const { cert, key } = selfSigned(server.dir, 'localhost');
  const configure = (more = '') =>
    server.configure(`
Listen 127.0.0.1:${http}
Listen 127.0.0.1:${https} https
Workers ${setup.workers ?? 2}
LogLevel info
DynSSLEnable on
DynSSLStoreURL ${store.url}
DynSSLStoreToken mysecrettoken
DynSSLTimeout 20000
${setup.directives ?? ''}
${setup.hosts?.(https, server) ?? ''}
<VirtualHost *:${https}>
  ServerName _default_
  SSLEngine on
  SSLStrictSNIVHostCheck on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
</VirtualHost>
<Location "/dynssl-status">
    SetHandler dynssl-status
    Require ip 127.0.0.1
</Location>
<Location "/dynssl-flush">
    SetHandler dynssl-flush
    Require ip 127.0.0.1
</Location>
${more}
`);
  configure();
  const request = async (path: string, method: string) => {
    const response = await fetch(`http://127.0.0.1:${http}${path}`, { method });
    return `${response.status} ${await response.text()}`;
  };
  return {
    server,
    store,
    authority,
    http,
    https,
    configure,
    async issue(...names) {
      const made = await authority.issue(names);
      store.certificates.set(names[0] ?? '', made);
      return made.serial;
    },
    shown: (name) => shown(https, name),
    flight: (name) => flight(https, name),
    post: (path) => request(path, 'POST'),
    get: (path) => request(path, 'GET'),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

async function flight(port: number, name: string): Promise<string> {
  const socket = connectTcp({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    socket.write(plainHello(name));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return answer.toString('latin1');
  } finally {
    socket.destroy();
  }
}

export async function shown(port: number, servername: string | undefined): Promise<Shown> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...(servername === undefined ? {} : { servername }),
  });
  try {
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    return {
      // Some CAs leave it empty, which Node has as undefined.
      subject: (certificate?.toLegacyObject().subject?.CN ?? '').toString(),
      serial: certificate?.serialNumber ?? '',
    };
  } finally {
    socket.destroy();
  }
}
