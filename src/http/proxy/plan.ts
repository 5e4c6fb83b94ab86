/** What `ProxyPass`, `BalancerMember` and `ProxySet` say about requests, in the units used here. */
import type { HostSettings, ProxyParameters } from '../../config/settings.ts';
import type { ConnectionPlan } from './pools.ts';

/** Times in ms. */
export interface Plan extends ConnectionPlan {
  /** `timeout=`, else ProxyTimeout, else Timeout: for the head, for each pause, for a silent tunnel. */
  readonly timeout: number;
  /** `connectiontimeout=`, else `timeout`. */
  readonly connectTimeout: number;
  /** WebSocket handshakes are handed on: `upgrade=websocket`, `upgrade=ANY`, or a `ws:`/`wss:` URL. */
  readonly websocket: boolean;
  /** `disablereuse=on`: one request per connection. */
  readonly disableReuse: boolean;
}

/** Plans by what they are made of: settings don't change. */
export class Plans {
  readonly #plans = new WeakMap<HostSettings, WeakMap<ProxyParameters, Map<string, Plan>>>();

  /** `url`: of the backend, as configured. */
  for(host: HostSettings, url: string, parameters: ProxyParameters): Plan {
    let ofHost = this.#plans.get(host);
    if (!ofHost) this.#plans.set(host, (ofHost = new WeakMap()));
    let plans = ofHost.get(parameters);
    if (!plans) ofHost.set(parameters, (plans = new Map()));
    let plan = plans.get(url);
    if (!plan) plans.set(url, (plan = makePlan(host, url, parameters)));
    return plan;
  }
}

function makePlan(host: HostSettings, url: string, own: ProxyParameters): Plan {
  const parameters = { ...workerParameters(host, url), ...own };
  const timeout = duration(parameters.timeout) ?? host.proxy.timeout ?? host.limits.timeout;
  return {
    timeout,
    connectTimeout: duration(parameters.connectiontimeout) ?? timeout,
    websocket: /^(?:websocket|any)$/i.test(parameters.upgrade ?? '') || /^(?:unix:[^|]*\|)?wss?:/i.test(url),
    disableReuse: /^on$/i.test(parameters.disablereuse ?? ''),
    most: Number(parameters.max) || undefined,
    idle: duration(parameters.ttl),
    localAddress: host.proxy.sourceAddress,
  };
}

/** `<Proxy URL>` with ProxySet: of all that the URL begins with, the longest. */
function workerParameters({ proxy }: HostSettings, url: string): ProxyParameters {
  const known = proxy.workers.filter((worker) => url.startsWith(worker.url));
  return known.toSorted((a, b) => b.url.length - a.url.length)[0]?.parameters ?? {};
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, mi: 60_000, min: 60_000, h: 3_600_000 };

/** httpd's durations: seconds, or with `ms`, `s`, `mi`, `min`, `h`. Undefined for anything else, and for 0. */
export function duration(text: string | undefined): number | undefined {
  const parts = /^(\d{1,9})(ms|s|min?|h)?$/i.exec(text ?? '');
  return Number(parts?.[1]) * (units[parts?.[2]?.toLowerCase() ?? 's'] ?? 1000) || undefined;
}
