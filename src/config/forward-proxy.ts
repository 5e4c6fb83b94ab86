/** Whom a forward proxy serves: told where it would be nobody, or everybody. */
import { restricts } from './open-handlers.ts';
import type { HostSettings, Section, Warning } from './settings.ts';

const REMEDY = 'put Require ip NETWORK into <Proxy "*">';

/** One warning for each ProxyRequests, however many hosts inherit it. */
export function forwardProxyWarnings(hosts: readonly HostSettings[]): Warning[] {
  const found = new Map<string, Warning>();
  for (const host of hosts) {
    const warning = warningOf(host);
    if (warning) found.set(`${warning.file}:${warning.line}`, warning);
  }
  return [...found.values()];
}

function warningOf({ forwardProxy: forward, sections }: HostSettings): Warning | undefined {
  if (!forward) return undefined;
  const guards = sections.filter(guardsAll);
  if (guards.some((section) => restricts(section.settings.require?.rule))) return undefined;
  const message =
    guards.length === 0
      ? `ProxyRequests On: nobody may use the proxy, as no Require says who: ${REMEDY}`
      : `This is an open proxy: anybody can hide behind this server, and reach what it reaches: ${REMEDY}`;
  return { ...forward.at, module: 'proxy', message };
}

function guardsAll(section: Section): boolean {
  return section.kind === 'proxy' && section.url === '*' && section.settings.require !== undefined;
}
