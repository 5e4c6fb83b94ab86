/** The reverse proxy's face to the rest of the http room. Its promises are in README.md. */
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { HostSettings, ProxyMapping, Settings } from '../../config/settings.ts';
import type { Exchange, ProxyHandler } from '../exchange.ts';
import { Backends } from './backends.ts';
import type { BackendFiles } from './backends.ts';
import { openConnection } from './connect.ts';
import { forward } from './forwarding.ts';
import { planOf } from './plan.ts';
import { Pools } from './pools.ts';
import { parseTarget } from './target.ts';

export interface ProxyDependencies {
  /** The log of module `proxy`, as the virtual host has it. */
  readonly log: (host: HostSettings) => Logger;
  /** PEM certificates that `https://` backends are verified with. Default: the system's and Node's. */
  readonly roots?: readonly string[] | undefined;
  /** PEM of the files that a configuration names for backends, by path. Default: it names none. */
  readonly files?: (settings: Settings) => BackendFiles;
}

/** Owns the connections to backends; disposing waits for requests under way and closes them. */
export function createProxy({
  log,
  roots,
  files = () => ({}),
}: ProxyDependencies): ProxyHandler & AsyncDisposable {
  const pools = new Pools();
  const backends = new Backends(roots, files);

  const run = async (exchange: Exchange, url: string, mapping: ProxyMapping, upgrade: boolean) => {
    const logger = log(exchange.host);
    try {
      const target = parseTarget(url);
      const plan = planOf(mapping, exchange.host);
      const { settings, directory } = exchange;
      const backend = target.secure ? backends.of(settings, directory.backendTls) : undefined;
      const pool = pools.get(target, plan.connectTimeout, backend);
      const joined = upgrade && plan.websocket && asksForWebSocket(exchange);
      await forward({ exchange, mapping, target, plan, pool, log: logger, upgrade: joined });
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
  return upgrade !== undefined && method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket';
}
