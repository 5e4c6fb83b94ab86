/** The part of Settings that leads to other servers: reverse proxy, balancers, forward proxy. */
import type { Position } from './settings.ts';

/** `key=value` parameters, keys lower case: timeout, connectiontimeout, retry, upgrade, … as written. */
export type ProxyParameters = Readonly<Record<string, string>>;

export interface ProxyMapping {
  readonly kind: 'proxy';
  /** Path prefix; of ProxyPassMatch, what the path has to match: `$1` … of `to` are its groups. */
  readonly from: string | RegExp;
  /** Absolute URL (http, https, ws, wss, h2, h2c, balancer; `unix:PATH|URL`), or undefined for `!` (not proxied). */
  readonly to: string | undefined;
  readonly parameters: ProxyParameters;
}

export interface ProxySettings {
  /** ProxyTimeout in ms; undefined: `Timeout`. */
  readonly timeout: number | undefined;
  /** ProxyPassReverse outside of sections: path, URL. */
  readonly reverse: readonly { readonly from: string; readonly to: string }[];
  /** ProxySourceAddress: an IP literal to connect to backends from. */
  readonly sourceAddress: string | undefined;
  /** ProxyMaxForwards: for requests without Max-Forwards; undefined: none is added. */
  readonly maxForwards: number | undefined;
  /** `<Proxy URL>` with ProxySet, for backends whose URL begins so. */
  readonly workers: readonly ProxyWorker[];
  readonly balancers: readonly BalancerSettings[];
}

export interface ProxyWorker {
  readonly url: string;
  readonly parameters: ProxyParameters;
}

export interface BalancerSettings {
  /** `balancer://name`, lower case. */
  readonly name: string;
  /** In configuration order. */
  readonly members: readonly ProxyWorker[];
  /** Of ProxySet, and of ProxyPass lines that lead here. */
  readonly parameters: ProxyParameters;
}

/** ProxyPassReverseCookieDomain, ProxyPassReverseCookiePath: the backend's word, and the client's. */
export interface CookieRewrite {
  readonly attribute: 'domain' | 'path';
  readonly from: string;
  readonly to: string;
}

export interface ForwardProxySettings {
  /** Of ProxyRequests. */
  readonly at: Position;
  /** AllowCONNECT: where tunnels may lead. */
  readonly connectPorts: readonly PortRange[];
}

/** Both ends belong to it. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}
