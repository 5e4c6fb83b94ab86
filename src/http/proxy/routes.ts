/** Where a request may be sent: its one backend, or the members of a balancer one after another. */
import type { Clock } from '../../base/clock.ts';
import type { BalancerSettings, ProxyMapping } from '../../config/settings.ts';
import type { Exchange } from '../exchange.ts';
import { Balancer } from './balancer.ts';
import type { Member } from './balancer.ts';
import { Plans } from './plan.ts';
import type { Plan } from './plan.ts';
import type { BackendPool, Pools } from './pools.ts';
import type { Backends } from './backends.ts';
import { parseTarget } from './target.ts';
import type { Target } from './target.ts';

export interface Route {
  readonly target: Target;
  readonly plan: Plan;
  readonly pool: BackendPool;
  /** Called once, when the request is over or given up here. `failed`: no connection. */
  release(failed: boolean, status?: number): void;
}

/** Gives the first, and after a failure to connect the next; undefined when there is none (left). */
export type NextRoute = () => Route | undefined;

export class Routes {
  readonly #pools: Pools;
  readonly #backends: Backends;
  readonly #clock: Clock;
  readonly #plans = new Plans();
  readonly #balancers = new WeakMap<BalancerSettings, Balancer>();

  constructor(pools: Pools, backends: Backends, clock: Clock) {
    this.#pools = pools;
    this.#backends = backends;
    this.#clock = clock;
  }

  /** Throws LatchkeyError `proxy-target` for what is no URL to be proxied to. */
  for(exchange: Exchange, url: string, mapping: ProxyMapping): NextRoute {
    if (/^balancer:/i.test(url)) return this.#balanced(exchange, url);
    const target = parseTarget(url);
    const plan = this.#plans.for(exchange.host, mapping.to ?? '', mapping.parameters);
    let used = false;
    return () => {
      if (used) return undefined;
      used = true;
      return { target, plan, pool: this.#pool(exchange, target, plan), release: () => {} };
    };
  }

  #balanced(exchange: Exchange, url: string): NextRoute {
    const [, name = '', rest = ''] = /^(balancer:\/\/[^/?]*)(.*)$/i.exec(url) ?? [];
    const settings = exchange.host.proxy.balancers.find((one) => one.name === name.toLowerCase());
    if (!settings) return () => undefined;
    const balancer = this.#balancer(settings);
    const session = balancer.routeOf(exchange.request.headers.cookie, rest);
    const tried = new Set<Member>();
    return () => {
      if (tried.size >= balancer.mostAttempts) return undefined;
      const member = balancer.choose(session, tried);
      if (!member) return undefined;
      tried.add(member);
      tell(exchange, balancer, member, session);
      const plan = this.#plans.for(exchange.host, member.url, member.parameters);
      const target = parseTarget(member.url + rest);
      const release = (failed: boolean, status?: number) => balancer.release(member, failed, status);
      return { target, plan, pool: this.#pool(exchange, target, plan), release };
    };
  }

  #pool({ settings, directory }: Exchange, target: Target, plan: Plan): BackendPool {
    const backend = target.secure ? this.#backends.of(settings, directory.backendTls) : undefined;
    return this.#pools.get(target, plan, backend);
  }

  #balancer(settings: BalancerSettings): Balancer {
    let balancer = this.#balancers.get(settings);
    if (!balancer) this.#balancers.set(settings, (balancer = new Balancer(settings, this.#clock)));
    return balancer;
  }
}

/** mod_proxy_balancer's variables, for the cookie that names the route. */
function tell(
  { env }: Exchange,
  balancer: Balancer,
  { url, route }: Member,
  session: string | undefined,
): void {
  env.set('BALANCER_NAME', balancer.name).set('BALANCER_WORKER_NAME', url);
  if (session !== undefined) env.set('BALANCER_SESSION_ROUTE', session);
  if (route === undefined) return;
  env.set('BALANCER_WORKER_ROUTE', route);
  if (session !== route) env.set('BALANCER_ROUTE_CHANGED', '1');
}
