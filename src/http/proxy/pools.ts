/** Connections to backends: one pool for each way to connect to an origin, the least used closed. */
import { LRUCache } from 'lru-cache';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import type { Backend } from './backends.ts';
import { connectorOf, dial } from './dial.ts';
import { Http2Pool } from './http2-pool.ts';
import type { Target } from './target.ts';

/** More backends than a configuration names; a bound for those that are computed from requests. */
const MOST_POOLS = 256;

/** Bytes of all headers of an answer. httpd bounds each (8190), not their number. */
const LARGEST_HEAD = 64 * 1024;

/** ms that a connection without requests is kept where `ttl=` says nothing; undici's own. */
const IDLE = 4000;

/** What is common to all requests on a connection. */
export interface ConnectionPlan {
  /** ms until connected, the TLS handshake included. */
  readonly connectTimeout: number;
  /** Connections at once; undefined: any number. */
  readonly most: number | undefined;
  /** ms that an idle connection is kept; undefined: 4 s, or what the backend's Keep-Alive says. */
  readonly idle: number | undefined;
  /** ProxySourceAddress. */
  readonly localAddress: string | undefined;
}

/** undici's Pool, or HTTP/2. */
export interface BackendPool {
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): unknown;
  /** Waits for the requests under way. */
  close(): Promise<void>;
}

export class Pools implements AsyncDisposable {
  readonly #pools: LRUCache<string, BackendPool>;
  readonly #closing = new Set<Promise<void>>();

  constructor() {
    this.#pools = new LRUCache({ max: MOST_POOLS, dispose: (pool) => this.#retire(pool) });
  }

  /** `backend`: of a target that is secure. */
  get(target: Target, plan: ConnectionPlan, backend: Backend | undefined): BackendPool {
    const { connectTimeout, most, idle, localAddress } = plan;
    const { protocol, origin, socketPath } = target;
    const key = `${protocol} ${origin} ${connectTimeout} ${most} ${idle} ${localAddress} ${backend?.id} ${socketPath}`;
    let pool = this.#pools.get(key);
    if (!pool) {
      pool = open(target, plan, backend);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Waits for the requests under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#pools.clear();
    await Promise.all(this.#closing);
  }

  /** Requests under way are finished; idle connections go at once. */
  #retire(pool: BackendPool): void {
    const closed = pool.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}

function open(target: Target, plan: ConnectionPlan, backend: Backend | undefined): BackendPool {
  const { connectTimeout: timeout, localAddress = null, idle, most = null } = plan;
  const way = { target, backend, timeout, localAddress };
  if (target.protocol === 'h2') {
    return new Http2Pool({
      origin: target.origin,
      connect: () => dial(way),
      maxHeaderSize: LARGEST_HEAD,
      idleTimeout: idle ?? IDLE,
    });
  }
  return new Pool(target.origin, {
    connect: connectorOf(way),
    maxHeaderSize: LARGEST_HEAD,
    connections: most,
    ...(idle === undefined ? {} : { keepAliveTimeout: idle }),
  });
}
