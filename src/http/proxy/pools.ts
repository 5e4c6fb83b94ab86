/** Connections to backends: one undici Pool for each origin, TLS policy and connect timeout, the least used closed. */
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { buildConnector, Pool } from 'undici';
import { explain } from '../../base/errors.ts';
import { systemClock } from '../../base/clock.ts';
import { checkBackend } from '../../tls/backend.ts';
import type { Backend } from './backends.ts';
import type { Target } from './target.ts';

/** More backends than a configuration names; a bound for those that are computed from requests. */
const MOST_POOLS = 256;

/** Bytes of all headers of an answer. httpd bounds each (8190), not their number. */
const LARGEST_HEAD = 64 * 1024;

export class Pools implements AsyncDisposable {
  readonly #pools: LRUCache<string, Pool>;
  readonly #closing = new Set<Promise<void>>();

  constructor() {
    this.#pools = new LRUCache({ max: MOST_POOLS, dispose: (pool) => this.#retire(pool) });
  }

  /** `backend`: of a target that is secure. */
  get(target: Target, connectTimeout: number, backend: Backend | undefined): Pool {
    const key = `${target.origin} ${connectTimeout} ${backend?.id ?? ''}`;
    let pool = this.#pools.get(key);
    if (!pool) {
      pool = this.#open(target, connectTimeout, backend);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Waits for the requests under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#pools.clear();
    await Promise.all(this.#closing);
  }

  #open(target: Target, timeout: number, backend: Backend | undefined): Pool {
    const connect = buildConnector({ ...backend?.options, timeout });
    // Whatever Host says (ProxyPreserveHost), the backend is known, and verified, by the name in its URL.
    const servername = isIP(target.hostname) === 0 ? target.hostname : '';
    const secured: buildConnector.connector = (wanted, callback) => {
      let staple: Buffer | undefined;
      const judge = async (socket: TLSSocket, { policy }: Backend) => {
        try {
          await checkBackend(socket, { policy, name: target.hostname, staple, now: systemClock.now() });
        } catch (error) {
          socket.destroy();
          return callback(error instanceof Error ? error : new Error(explain(error)), null);
        }
        callback(null, socket);
      };
      // undici gives the socket back at once, as its own Agent would, and does not say so.
      const socket: unknown = connect({ ...wanted, servername }, (...[error, connected]) => {
        if (error) callback(error, null);
        else if (backend && connected instanceof TLSSocket) void judge(connected, backend);
        else callback(null, connected);
      });
      if (socket instanceof TLSSocket) socket.once('OCSPResponse', (der) => (staple = der ?? undefined));
    };
    return new Pool(target.origin, { connect: secured, maxHeaderSize: LARGEST_HEAD });
  }

  /** Requests under way are finished; idle connections go at once. */
  #retire(pool: Pool): void {
    const closed = pool.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}
