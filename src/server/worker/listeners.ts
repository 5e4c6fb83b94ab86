/**
 * The listening sockets of a worker, shared with the other workers through the supervisor. A listener whose
 * address stays over a reload is kept: what waits in its backlog is served.
 */
import { createServer, type Server } from 'node:net';
import { LatchkeyError, explain, systemCode } from '../../base/errors.ts';
import type { Listen, Settings } from '../../config/settings.ts';
import type { Incoming } from '../../tls/incoming.ts';
import { takeConnections } from '../../tls/incoming-handle.ts';

export class ListenError extends LatchkeyError<'listen'> {}

interface Listener {
  readonly server: Server;
  readonly listen: Listen;
}

export class Listeners {
  readonly #accept: (connection: Incoming, listen: Listen) => void;
  #open = new Map<string, Listener>();
  #prepared: Map<string, Listener> | undefined;
  /** Connections to a prepared address: they wait for the commit. */
  #early: { readonly connection: Incoming; readonly key: string }[] = [];

  constructor(accept: (connection: Incoming, listen: Listen) => void) {
    this.#accept = accept;
  }

  /**
   * Binds the addresses that are new in `settings`; who connects there waits until commit(). Throws
   * ListenError naming the address and the line of its directive; then nothing has changed.
   */
  async prepare(settings: Settings): Promise<void> {
    const next = new Map<string, Listener>();
    try {
      for (const listen of settings.listens) {
        const key = keyOf(listen);
        const kept = this.#open.get(key);
        next.set(key, kept ? { server: kept.server, listen } : await this.#bind(listen, settings));
      }
    } catch (error) {
      closeAll(next, this.#open);
      throw error;
    }
    this.#prepared = next;
  }

  /** Opens what was prepared, closes what is no longer configured. */
  commit(): void {
    if (!this.#prepared) return;
    const before = this.#open;
    this.#open = this.#prepared;
    this.#prepared = undefined;
    closeAll(before, this.#open);
    for (const { connection, key } of this.#early.splice(0)) this.#take(connection, key);
  }

  rollback(): void {
    for (const { connection } of this.#early.splice(0)) connection.destroy();
    if (this.#prepared) closeAll(this.#prepared, this.#open);
    this.#prepared = undefined;
  }

  /** Stops listening; connections go on. */
  close(): void {
    this.rollback();
    closeAll(this.#open, new Map());
    this.#open = new Map();
  }

  #take(connection: Incoming, key: string): void {
    const listener = this.#open.get(key);
    if (listener) this.#accept(connection, listener.listen);
    else connection.destroy();
  }

  async #bind(listen: Listen, settings: Settings): Promise<Listener> {
    const key = keyOf(listen);
    const server = createServer();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen(addressOf(listen, settings), () => resolve());
    try {
      await promise;
    } catch (error) {
      throw cannotBind(listen, error, settings);
    }
    server.removeListener('error', reject);
    takeConnections(server, (connection) => {
      if (this.#open.has(key)) this.#take(connection, key);
      else this.#early.push({ connection, key });
    });
    return { server, listen };
  }
}

function keyOf(listen: Listen): string {
  return `${listen.address ?? '*'} ${listen.port}`;
}

/** Without an address: every one of them, IPv6 and IPv4, unless the same port is bound for IPv4 by another line. */
function addressOf(listen: Listen, settings: Settings): { port: number; host?: string; ipv6Only?: boolean } {
  if (listen.address === undefined) return { port: listen.port };
  const others = settings.listens.some((other) => other.port === listen.port && other.address?.includes('.'));
  return {
    port: listen.port,
    host: listen.address,
    ...(listen.address.includes(':') && others ? { ipv6Only: true } : {}),
  };
}

function cannotBind(listen: Listen, error: unknown, settings: Settings): ListenError {
  const host = listen.address === undefined ? '[::]' : bracketed(listen.address);
  const reasons: Record<string, string> = {
    EADDRINUSE: `(98)Address already in use: ${whoListens(listen, settings)}`,
    EACCES: '(13)Permission denied: ports below 1024 need root (or the capability CAP_NET_BIND_SERVICE)',
    EADDRNOTAVAIL: '(99)Cannot assign requested address: this machine does not have it',
  };
  const reason = reasons[systemCode(error) ?? ''] ?? explain(error);
  return new ListenError(
    'listen',
    `AH00072: make_sock: could not bind to address ${host}:${listen.port} ${placeOf(listen)}: ${reason}`,
    {
      cause: error,
    },
  );
}

/** Every address and one of them can't both be had; two lines for the same address are one listener. */
function whoListens(listen: Listen, { listens }: Settings): string {
  const other = listens.find(
    ({ address, port }) =>
      port === listen.port &&
      address !== listen.address &&
      (covers(address, listen.address) || covers(listen.address, address)),
  );
  if (!other) return 'another program listens there; stop it, or change this Listen';
  const address = other.address === undefined ? '' : `${bracketed(other.address)}:`;
  return `by Listen ${address}${other.port} ${placeOf(other)}; remove one of them`;
}

function covers(every: string | undefined, one: string | undefined): boolean {
  if (every === undefined) return true;
  return (
    (every === '0.0.0.0' && one?.includes('.') === true) || (every === '::' && one?.includes(':') === true)
  );
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function placeOf({ at }: Listen): string {
  return `(${at.file}:${at.line})`;
}

function closeAll(listeners: ReadonlyMap<string, Listener>, except: ReadonlyMap<string, Listener>): void {
  for (const [key, { server }] of listeners) if (except.get(key)?.server !== server) server.close();
}
