/** Connections to backends: one undici Pool for each origin and connect timeout, the least used closed. */
import { isIP } from 'node:net';
import { createSecureContext, getCACertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { buildConnector, Pool } from 'undici';
import type { Target } from './target.ts';

/** More backends than a configuration names; a bound for those that are computed from requests. */
const MOST_POOLS = 256;

/** Bytes of all headers of an answer. httpd bounds each (8190), not their number. */
const LARGEST_HEAD = 64 * 1024;

export class Pools implements AsyncDisposable {
  readonly #pools: LRUCache<string, Pool>;
  readonly #roots: readonly string[] | undefined;
  readonly #closing = new Set<Promise<void>>();
  #context: SecureContext | undefined;

  /** `roots`: PEM certificates that https backends are verified with; by default Node's and the system's. */
  constructor(roots: readonly string[] | undefined) {
    this.#roots = roots;
    this.#pools = new LRUCache({ max: MOST_POOLS, dispose: (pool) => this.#retire(pool) });
  }

  get(target: Target, connectTimeout: number): Pool {
    const key = `${target.origin} ${connectTimeout}`;
    let pool = this.#pools.get(key);
    if (!pool) {
      pool = this.#open(target, connectTimeout);
      this.#pools.set(key, pool);
    }
    return pool;
  }

  /** Waits for the requests under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#pools.clear();
    await Promise.all(this.#closing);
  }

  #open(target: Target, timeout: number): Pool {
    const connect = buildConnector({
      timeout,
      ...(target.secure ? { secureContext: this.#trusted() } : {}),
    });
    // Whatever Host says (ProxyPreserveHost), the backend is known, and verified, by the name in its URL.
    const servername = isIP(target.hostname) === 0 ? target.hostname : '';
    return new Pool(target.origin, {
      connect: (options, callback) => connect({ ...options, servername }, callback),
      maxHeaderSize: LARGEST_HEAD,
    });
  }

  #trusted(): SecureContext {
    this.#context ??= createSecureContext({
      ca: [...(this.#roots ?? [...getCACertificates('default'), ...getCACertificates('system')])],
    });
    return this.#context;
  }

  /** Requests under way are finished; idle connections go at once. */
  #retire(pool: Pool): void {
    const closed = pool.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}
