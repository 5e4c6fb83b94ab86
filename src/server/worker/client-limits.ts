/**
 * What one client may have of this worker: connections at a time, and handshakes in a time. A client is an IPv4
 * address or an IPv6 /64. Each worker counts for itself: a count that all share would cost every connection more
 * than the limits save. What is kept of clients is bounded: by the connections that are open, and by 10,000.
 */
import { BlockList, isIP } from 'node:net';
import { LRUCache } from 'lru-cache';
import { networkOf, normalizeAddress } from '../../base/addresses.ts';
import type { Clock } from '../../base/clock.ts';
import type { ClientLimitSettings } from '../../config/settings.ts';
import { Allowance } from '../../base/allowance.ts';
import type { Incoming } from '../../tls/incoming.ts';

const MOST_KNOWN = 10_000;
/** Instead of a client: it has no limits. */
const EXEMPT = '';

/** A connection as far as it is looked at. */
export interface Counted extends Pick<Incoming, 'onClose'> {
  readonly endpoints: Pick<Incoming['endpoints'], 'remoteAddress'>;
}

export class ClientLimits {
  readonly #clock: Clock;
  /** By client; those that have any. */
  readonly #open = new Map<string, number>();
  /** The client, by the address of a connection. */
  readonly #clients = new LRUCache<string, string>({ max: MOST_KNOWN });
  #settings: ClientLimitSettings;
  #exempt: BlockList;
  #handshakes: Allowance | undefined;

  constructor(settings: ClientLimitSettings, clock: Clock) {
    this.#clock = clock;
    this.#settings = settings;
    this.#exempt = blockListOf(settings);
    this.#handshakes = this.#allowance();
  }

  /** Connections that are open are counted on. */
  reconfigure(settings: ClientLimitSettings): void {
    this.#settings = settings;
    this.#exempt = blockListOf(settings);
    this.#handshakes = this.#allowance();
    this.#clients.clear();
  }

  /** Counts a connection until it closes, or says which limit it is beyond: then it is to be closed. */
  exceeded(connection: Counted, secure: boolean): 'connections' | 'handshakes' | undefined {
    const client = this.#clientOf(connection.endpoints.remoteAddress);
    if (client === EXEMPT) return undefined;
    const { connections } = this.#settings;
    if (connections !== undefined && (this.#open.get(client) ?? 0) >= connections) return 'connections';
    if (secure && this.#handshakes?.has(client) === false) return 'handshakes';
    if (secure) this.#handshakes?.take(client);
    this.#add(client, 1);
    connection.onClose(() => this.#add(client, -1));
    return undefined;
  }

  #add(client: string, change: 1 | -1): void {
    const open = (this.#open.get(client) ?? 0) + change;
    if (open > 0) this.#open.set(client, open);
    else this.#open.delete(client);
  }

  #clientOf(remote: string): string {
    let client = this.#clients.get(remote);
    if (client === undefined) {
      client = this.#isExempt(normalizeAddress(remote)) ? EXEMPT : networkOf(remote);
      this.#clients.set(remote, client);
    }
    return client;
  }

  /** One that is gone already has no address, and no limits. */
  #isExempt(address: string): boolean {
    const family = isIP(address);
    return family === 0 || this.#exempt.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }

  #allowance(): Allowance | undefined {
    const { handshakes } = this.#settings;
    if (!handshakes) return undefined;
    const { perSecond, atOnce } = handshakes;
    return new Allowance({ count: atOnce, period: (atOnce / perSecond) * 1000 }, this.#clock);
  }
}

function blockListOf({ exempt }: ClientLimitSettings): BlockList {
  const list = new BlockList();
  for (const network of exempt) {
    const [address = '', bits] = network.split('/');
    list.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
