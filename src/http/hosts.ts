/**
 * Which virtual host a connection and a request belong to, as httpd chooses: first by the local address (most
 * specific first), then by name among the hosts of that address, in configuration order.
 *
 * Look-ups cost the same for ten hosts and for ten thousand: exact names and `*.suffix` aliases are in Maps;
 * only aliases with other wildcards are tried one by one.
 */
import { normalizeAddress } from '../base/addresses.ts';
import type { HostSettings, Settings, VirtualHostSettings } from '../config/settings.ts';

export interface HandshakeHost {
  readonly host: HostSettings;
  /** The SNI is a name of `host`; false where the host is only the default of its address. */
  readonly known: boolean;
}

/** Made once for each Settings; what it answers never changes. */
export class HostIndex {
  readonly #base: HostSettings;
  readonly #sets = new Map<string, NameSet>();
  /** Of the address asked for last, which is asked for several times in each connection. */
  #last: { readonly address: string; readonly port: number; readonly set: NameSet | undefined } | undefined;

  constructor(settings: Pick<Settings, 'base' | 'hosts'>) {
    this.#base = settings.base;
    for (const host of settings.hosts) {
      for (const { address, port } of host.addresses) {
        const key = `${address === '*' ? '*' : normalizeAddress(address)} ${port}`;
        const set = this.#sets.get(key) ?? new NameSet();
        this.#sets.set(key, set);
        set.add(host);
      }
    }
  }

  /** For a ClientHello: `sni` as sent, or undefined. */
  forHandshake(localAddress: string, localPort: number, sni: string | undefined): HandshakeHost {
    return this.#find(localAddress, localPort, sni);
  }

  /** For a request that came in at this address: `hostname` without port, empty where the client gave none. */
  forRequest(localAddress: string, localPort: number, hostname: string): HandshakeHost {
    return this.#find(localAddress, localPort, hostname || undefined);
  }

  #find(localAddress: string, localPort: number, name: string | undefined): HandshakeHost {
    const set = this.#setAt(localAddress, localPort);
    const fallback = set?.default;
    if (!set || !fallback) return { host: this.#base, known: name !== undefined && named(this.#base, name) };
    const host = name === undefined ? undefined : set.find(normalizeName(name));
    return host ? { host, known: true } : { host: fallback, known: false };
  }

  #setAt(address: string, port: number): NameSet | undefined {
    if (this.#last?.address !== address || this.#last.port !== port) {
      this.#last = { address, port, set: this.#set(normalizeAddress(address), port) };
    }
    return this.#last.set;
  }

  #set(address: string, port: number): NameSet | undefined {
    return (
      this.#sets.get(`${address} ${port}`) ??
      this.#sets.get(`${address} *`) ??
      this.#sets.get(`* ${port}`) ??
      this.#sets.get('* *')
    );
  }
}

/** The hosts of one address. */
class NameSet {
  readonly #hosts: VirtualHostSettings[] = [];
  readonly #exact = new Map<string, number>();
  readonly #suffixes = new Map<string, number>();
  readonly #patterns: { readonly matches: RegExp; readonly order: number }[] = [];
  #catchAll: VirtualHostSettings | undefined;
  /** What was looked for last: a handshake's name is its requests' name, too. */
  #last: { readonly name: string; readonly host: VirtualHostSettings | undefined } | undefined;

  /** `ServerName _default_` names the default, wherever it stands; else it is the first. */
  get default(): VirtualHostSettings | undefined {
    return this.#catchAll ?? this.#hosts[0];
  }

  add(host: VirtualHostSettings): void {
    if (this.#hosts.at(-1) === host) return;
    const order = this.#hosts.push(host) - 1;
    if (host.serverName === '_default_') this.#catchAll ??= host;
    else if (host.serverName !== undefined) setFirst(this.#exact, host.serverName, order);
    for (const alias of host.aliases) this.#addAlias(alias, order);
  }

  #addAlias(alias: string, order: number): void {
    if (!/[*?]/.test(alias)) setFirst(this.#exact, alias, order);
    else if (/^\*\.[^*?]+$/.test(alias)) setFirst(this.#suffixes, alias.slice(2), order);
    else this.#patterns.push({ matches: wildcard(alias), order });
  }

  find(name: string): VirtualHostSettings | undefined {
    if (this.#last?.name !== name) this.#last = { name, host: this.#lookUp(name) };
    return this.#last.host;
  }

  #lookUp(name: string): VirtualHostSettings | undefined {
    let best = this.#exact.get(name) ?? Infinity;
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      best = Math.min(best, this.#suffixes.get(name.slice(dot + 1)) ?? Infinity);
    }
    const pattern = this.#patterns.find((p) => p.order >= best || p.matches.test(name));
    if (pattern) best = Math.min(best, pattern.order);
    return this.#hosts[best];
  }
}

function setFirst(map: Map<string, number>, name: string, order: number): void {
  if (!map.has(name)) map.set(name, order);
}

function named(host: HostSettings, name: string): boolean {
  const wanted = normalizeName(name);
  return host.serverName === wanted || host.aliases.some((alias) => wildcard(alias).test(wanted));
}

/** httpd's `*` and `?` in names; both match dots. */
function wildcard(pattern: string): RegExp {
  const source = pattern.replaceAll(/[\\^$.|+()[\]{}]/g, '\\$&');
  return new RegExp(`^${source.replaceAll(/\*+/g, '.*').replaceAll('?', '.')}$`, 's');
}

/** Names are compared in lower case and without the root's dot. */
function normalizeName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}
