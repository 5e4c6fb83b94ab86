/** What a server's proxy directives come to: parameters by backend, members by balancer. */
import type { ProxyDraft } from './draft.ts';
import type { BalancerSettings, ProxySettings, ProxyWorker } from './settings.ts';

/** `balancer://name` of a URL, lower case; undefined for other URLs. */
export function balancerName(url: string): string | undefined {
  return /^balancer:\/\/[^/?#]+/i.exec(url)?.[0].toLowerCase();
}

export function proxySettings(draft: ProxyDraft): ProxySettings {
  const { timeout, reverse, sourceAddress, maxForwards } = draft;
  const all = mergeWorkers(draft.workers);
  const workers = all.filter(({ url }) => balancerName(url) === undefined);
  return { timeout, reverse, sourceAddress, maxForwards, workers, balancers: balancersOf(draft, all) };
}

/** A virtual host's own come first. */
export function proxyOver(base: ProxySettings, draft: ProxyDraft): ProxySettings {
  const own = proxySettings(draft);
  const changes =
    own.timeout !== undefined || own.sourceAddress !== undefined || own.maxForwards !== undefined;
  const adds = own.reverse.length + own.workers.length + own.balancers.length > 0;
  if (!changes && !adds) return base;
  return {
    timeout: own.timeout ?? base.timeout,
    sourceAddress: own.sourceAddress ?? base.sourceAddress,
    maxForwards: own.maxForwards ?? base.maxForwards,
    reverse: [...own.reverse, ...base.reverse],
    workers: [...own.workers, ...base.workers],
    balancers: [...own.balancers, ...base.balancers],
  };
}

function mergeWorkers(workers: readonly ProxyWorker[]): ProxyWorker[] {
  const byUrl = new Map<string, ProxyWorker>();
  for (const { url, parameters } of workers) {
    byUrl.set(url, { url, parameters: { ...byUrl.get(url)?.parameters, ...parameters } });
  }
  return [...byUrl.values()];
}

function balancersOf({ members }: ProxyDraft, workers: readonly ProxyWorker[]): BalancerSettings[] {
  const names = [...new Set(members.map(({ balancer }) => balancer))];
  return names.map((name) => ({
    name,
    members: members
      .filter(({ balancer }) => balancer === name)
      .map(({ url, parameters }) => ({ url, parameters })),
    parameters: workers.find(({ url }) => url === name)?.parameters ?? {},
  }));
}
