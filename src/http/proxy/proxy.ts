/** The reverse proxy's face to the rest of the http room. Its promises are in README.md. */
import { systemClock } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { HostSettings, ProxyMapping, Settings } from '../../config/settings.ts';
import type { Exchange, ProxyHandler } from '../exchange.ts';
import { Backends } from './backends.ts';
import type { BackendFiles } from './backends.ts';
import { openConnection } from './connect.ts';
import { forward } from './forwarding.ts';
import { Pools } from './pools.ts';
import { countForwards } from './request-headers.ts';
import { Routes } from './routes.ts';

export interface ProxyDependencies {
  /** The log of module `proxy`, as the virtual host has it. */
  readonly log: (host: HostSettings) => Logger;
  /** PEM certificates that `https://` backends are verified with. Default: the system's and Node's. */
  readonly roots?: readonly string[] | undefined;
  /** PEM of the files that a configuration names for backends, by path. Default: it names none. */
  readonly files?: (settings: Settings) => BackendFiles;
  /** For how long members of balancers are left alone. Default: the system's. */
  readonly clock?: Clock;
}

/** Owns the connections to backends; disposing waits for requests under way and closes them. */
export function createProxy({
  log,
  roots,
  files = () => ({}),
  clock = systemClock,
}: ProxyDependencies): ProxyHandler & AsyncDisposable {
  const pools = new Pools();
  const routes = new Routes(pools, new Backends(roots, files), clock);

  const run = async (exchange: Exchange, url: string, mapping: ProxyMapping, upgrade: boolean) => {
    const logger = log(exchange.host);
    try {
      if (!countForwards(exchange)) return await exchange.fail(400, 'Max-Forwards has reached zero');
      const next = routes.for(exchange, url, mapping);
      const route = next();
      if (!route) {
        logger.error(`AH01167: ${url}: no member of the balancer is to be had for ${exchange.path}`);
        return await exchange.fail(503);
      }
      const joined = upgrade && route.plan.websocket && asksForWebSocket(exchange);
      if (!joined && exchange.request.method === 'CONNECT') {
        route.release(false);
        return await exchange.fail(405, 'no WebSocket is allowed here (upgrade=websocket)');
      }
      await forward({ exchange, mapping, route, next, log: logger, upgrade: joined });
    } catch (error) {
      logger.error(`AH00898: cannot proxy ${exchange.path}: ${explain(error)}`);
      await exchange.fail(500);
    }
  };

  return {
    handle: (exchange, target, mapping) => run(exchange, target, mapping, false),
    upgrade: (exchange, target, mapping) => run(exchange, target, mapping, true),
    connect: (exchange, to) => openConnection(exchange, to, log(exchange.host)),
    [Symbol.asyncDispose]: () => pools[Symbol.asyncDispose](),
  };
}

/** Where a mapping doesn't allow it, or another protocol is asked for, the request goes on without its Upgrade. */
function asksForWebSocket({ method, request, upgrade }: Exchange): boolean {
  if (upgrade === undefined || method !== 'GET') return false;
  const protocol = 'stream' in request ? request.headers[':protocol'] : request.headers.upgrade;
  return String(protocol).toLowerCase() === 'websocket';
}
