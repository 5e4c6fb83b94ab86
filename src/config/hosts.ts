/** Drafts of servers become HostSettings: a virtual host's values laid over the base server's. */
import type { LogLevels } from '../base/log.ts';
import { resolve } from 'node:path';
import { builtInFormats } from './directives/log.ts';
import { defaultLimits } from './directives/limits.ts';
import type { Draft, HostDraft, ServerDraft } from './draft.ts';
import { mergeDirectory } from './merge.ts';
import { proxyOver, proxySettings } from './proxies.ts';
import type {
  ConnectionLimits,
  CustomLog,
  DirectorySettings,
  ForwardProxySettings,
  HostSettings,
  HostTls,
  Mapping,
  PortRange,
} from './settings.ts';

/** What assembly decides about a host beyond its own directives. */
export interface Decided {
  readonly tls: HostTls;
  readonly requireHttps: HostSettings['requireHttps'];
  readonly stapling: HostSettings['stapling'];
  readonly managedDomain: string | undefined;
  readonly dynamicStore: string | undefined;
}

/** The base server. */
export function baseSettings(server: ServerDraft, decided: Decided): HostSettings {
  const { base } = server;
  return {
    serverName: base.serverName,
    aliases: base.aliases,
    serverAdmin: base.serverAdmin,
    documentRoot: base.documentRoot,
    protocols: base.protocols ?? ['http/1.1'],
    limits: limitsOver(defaultLimits, base.limits),
    logLevels: levelsOver({ all: 'warn', modules: {} }, base),
    errorLog: base.errorLog ?? resolve(server.serverRoot, 'logs/error_log'),
    customLogs: base.logs.map((log) => customLog(log, server)),
    mappings: base.mappings,
    directory: base.directory as DirectorySettings,
    sections: base.sections,
    proxy: proxySettings(base.proxy),
    forwardProxy: forwardOf(base, base),
    ...decided,
  };
}

/** A virtual host. What it does not change is the base server's own object: ten thousand hosts share it. */
export function hostSettings(
  host: HostDraft,
  base: HostSettings,
  server: ServerDraft,
  decided: Decided,
): HostSettings {
  return {
    serverName: host.serverName,
    aliases: host.aliases,
    serverAdmin: host.serverAdmin ?? base.serverAdmin,
    documentRoot: host.documentRoot ?? base.documentRoot,
    protocols: host.protocols ?? base.protocols,
    limits: limitsOver(base.limits, host.limits),
    logLevels: levelsOver(base.logLevels, host),
    errorLog: host.errorLog,
    customLogs: host.logs.length > 0 ? host.logs.map((log) => customLog(log, server)) : base.customLogs,
    // The host's own come first: the first that matches counts.
    mappings: both(host.mappings, inherited(base.mappings, host)),
    directory: mergeDirectory(base.directory, host.directory as DirectorySettings),
    sections: both(base.sections, host.sections),
    proxy: proxyOver(base.proxy, host.proxy),
    forwardProxy: forwardOf(host, server.base),
    ...decided,
  };
}

function both<T>(first: readonly T[], second: readonly T[]): readonly T[] {
  if (first.length === 0) return second;
  return second.length === 0 ? first : [...first, ...second];
}

function limitsOver(base: ConnectionLimits, over: Draft<ConnectionLimits>): ConnectionLimits {
  for (const _key in over) return { ...base, ...(over as Partial<ConnectionLimits>) };
  return base;
}

/** `LogLevel info` of a host forgets the base server's levels of modules. */
function levelsOver(base: LogLevels, over: HostDraft): LogLevels {
  if (over.logLevel === undefined && over.logModules.size === 0) return base;
  const modules = {
    ...(over.logLevel === undefined && base.modules),
    ...Object.fromEntries(over.logModules),
  };
  const all = over.logLevel ?? base.all;
  return { all, modules };
}

/** ProxyPassInherit Off leaves the base server's ProxyPass lines out. */
function inherited(mappings: readonly Mapping[], { proxy }: HostDraft): readonly Mapping[] {
  return proxy.inherit === false ? mappings.filter(({ kind }) => kind !== 'proxy') : mappings;
}

/** AllowCONNECT's default, as httpd has it: https and nntps. */
const usualPorts: readonly PortRange[] = [443, 563].map((port) => ({ from: port, to: port }));

function forwardOf(host: HostDraft, base: HostDraft): ForwardProxySettings | undefined {
  const requests = host.proxyRequests ?? base.proxyRequests ?? 'off';
  if (requests === 'off') return undefined;
  return { at: requests.at, connectPorts: host.connectPorts ?? base.connectPorts ?? usualPorts };
}

/** A name of LogFormat, or a format as it stands. The name may be given after its use. */
function customLog(log: HostDraft['logs'][number], server: ServerDraft): CustomLog {
  const builtIn = builtInFormats.find(([name]) => name === log.format)?.[1];
  const format = server.logFormats.get(log.format) ?? builtIn ?? log.format;
  return { file: log.file, format, condition: log.condition };
}
