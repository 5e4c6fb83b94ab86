/** A Frontend behind real sockets, and raw clients for it. */
import { EventEmitter, on } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import { systemClock } from '../base/clock.ts';
import { silent } from '../base/log.ts';
import type { Settings } from '../config/settings.ts';
import { Scripts } from './cgi/scripts.ts';
import type { Exchange, ProxyHandler } from './exchange.ts';
import { Frontend } from './frontend.ts';
import { HostIndex } from './hosts.ts';
import type { Dependencies } from './pipeline.ts';

export interface Served extends AsyncDisposable {
  readonly frontend: Frontend;
  readonly port: number;
  /** The next line of any access log, now or when it comes. */
  line(): Promise<string>;
  /** Sends bytes, gives everything that came until the connection closed. */
  raw(text: string | Buffer): Promise<string>;
}

/** A proxy that says what it was asked for. */
export const mirror: ProxyHandler = {
  handle: async ({ response }: Exchange, target) => void response.end(`proxied to ${target}`),
  connect: async ({ upgrade }, to) => void upgrade?.socket.end(`connected to ${to.hostname}:${to.port}`),
  upgrade: async ({ upgrade }: Exchange, target) => void upgrade?.socket.end(`upgraded to ${target}`),
};

export interface Credential {
  readonly cert: string;
  readonly key: string;
}

/** With a credential it serves TLS, with ALPN, all names with the one certificate. */
export async function serve(
  settings: Settings,
  deps: Partial<Dependencies> = {},
  credential?: Credential,
): Promise<Served> {
  const log = new EventEmitter();
  const scripts = new Scripts();
  const lines = on(log, 'line');
  const frontend = new Frontend(settings, {
    challenges: { http01: async () => undefined },
    loggers: silent,
    accessLog: (_, line) => void log.emit('line', line),
    clock: systemClock,
    proxy: mirror,
    handlers: {},
    scripts,
    ...deps,
  });
  const hosts = new HostIndex(settings);
  const take = (socket: Socket, secure?: tls.TLSSocket) => {
    const { localPort = 0, remotePort = 0 } = socket;
    const [localAddress, remoteAddress] = [mapped(socket.localAddress), mapped(socket.remoteAddress)];
    const sni = secure ? serverName(secure) : undefined;
    const { host } = hosts.forHandshake(localAddress, localPort, sni);
    const alpn = secure?.alpnProtocol || undefined;
    const facts = secure && { protocol: secure.getProtocol() ?? '', cipher: secure.getCipher().standardName };
    const rest = facts ? { tls: facts } : {};
    const addresses = { localAddress, localPort, remoteAddress, remotePort };
    frontend.connection(secure ?? socket, {
      secure: secure !== undefined,
      alpn,
      sni,
      host,
      ...addresses,
      ...rest,
    });
  };
  const server = credential
    ? tls.createServer({ ...credential, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => take(socket, socket))
    : net.createServer((socket) => take(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    frontend,
    port,
    line: async () => String((await lines.next()).value),
    raw: (text) => exchange(net.connect(port, '127.0.0.1'), text),
    [Symbol.asyncDispose]: async () => {
      frontend.close();
      scripts[Symbol.dispose]();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An IPv4 address as a listener for both families, the usual one, sees it. */
function mapped(address: string = ''): string {
  return net.isIPv4(address) ? `::ffff:${address}` : address;
}

function serverName(socket: tls.TLSSocket): string | undefined {
  return 'servername' in socket && typeof socket.servername === 'string' ? socket.servername : undefined;
}

function exchange(socket: Socket, text: string | Buffer): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk) => (received += chunk));
  socket.on('error', () => {});
  socket.on('close', () => resolve(received));
  socket.write(text);
  return promise;
}
