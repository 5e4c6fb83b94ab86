/** What a `ProxyPass` line says about its requests, in the units used here. */
import type { HostSettings, ProxyMapping } from '../../config/settings.ts';

/** Times in ms. */
export interface Plan {
  /** `timeout=`, else ProxyTimeout, else Timeout: for the head, for each pause, for a silent tunnel. */
  readonly timeout: number;
  /** `connectiontimeout=`, else `timeout`. */
  readonly connectTimeout: number;
  /** WebSocket handshakes are handed on: `upgrade=websocket`, `upgrade=ANY`, or a `ws:`/`wss:` URL. */
  readonly websocket: boolean;
  /** `disablereuse=on`: one request per connection. */
  readonly disableReuse: boolean;
}

export function planOf(mapping: ProxyMapping, host: HostSettings): Plan {
  const { parameters } = mapping;
  const timeout = duration(parameters.timeout) ?? host.proxy.timeout ?? host.limits.timeout;
  return {
    timeout,
    connectTimeout: duration(parameters.connectiontimeout) ?? timeout,
    websocket: /^(?:websocket|any)$/i.test(parameters.upgrade ?? '') || /^wss?:/i.test(mapping.to ?? ''),
    disableReuse: /^on$/i.test(parameters.disablereuse ?? ''),
  };
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, mi: 60_000, h: 3_600_000 };

/** httpd's durations: seconds, or with `ms`, `s`, `mi`, `h`. Undefined for anything else, and for 0. */
function duration(text: string | undefined): number | undefined {
  const parts = /^(\d{1,9})(ms|s|mi|h)?$/i.exec(text ?? '');
  return Number(parts?.[1]) * (units[parts?.[2]?.toLowerCase() ?? 's'] ?? 1000) || undefined;
}
