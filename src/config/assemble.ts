/** From drafts to Settings: merging, defaults, and what only shows in the whole. */
import { resolve } from 'node:path';
import { explain } from '../base/errors.ts';
import type { LocalCaSettings } from '../ca/settings.ts';
import { defaultClientLimits } from './directives/client-limits.ts';
import { defaultLocalCa } from './directives/localca.ts';
import {
  addedTemplate,
  configuredDomain,
  domainValues,
  unboundWarning,
  unusedWarning,
  withStaticFiles,
} from './domains.ts';
import { DynamicStores, isDynamic } from './dynamic.ts';
import { isOnDemand, OnDemandNames } from './on-demand.ts';
import type { HostDraft, ServerDraft } from './draft.ts';
import { ConfigError } from './errors.ts';
import { forwardProxyWarnings } from './forward-proxy.ts';
import { baseAddresses, baseTls, hostsTls, secureHosts } from './host-tls.ts';
import type { TlsContext } from './host-tls.ts';
import { baseSettings, hostSettings } from './hosts.ts';
import type { Decided } from './hosts.ts';
import { assign } from './managed.ts';
import { openHandlers } from './open-handlers.ts';
import type {
  ClientLimitSettings,
  HostTls,
  MdServerSettings,
  Settings,
  VirtualHostSettings,
  Warning,
} from './settings.ts';
import { addedStapling, hostStapling } from './stapling.ts';
import { readTypes } from './types.ts';

/** Throws ConfigError for what contradicts itself. `warnings` are added to. */
export function assemble(server: ServerDraft, configFile: string, warnings: Warning[]): Settings {
  // What the server says all hosts inherit: once is enough.
  const warn = (warning: Warning) => {
    const { file, line, message } = warning;
    if (warnings.some((said) => said.file === file && said.line === line && said.message === message)) return;
    warnings.push(warning);
  };
  const secure = secureHosts(server);
  const { domains, of } = assign(server, secure, warn);
  const values = new Map(domains.map((domain) => [domain, domainValues(domain, server)]));
  const context: TlsContext = {
    server,
    secure,
    managed: (host) => of.has(host),
    dynamic: (host) => isDynamic(host, server) || isOnDemand(host, server),
    warn,
  };
  const stores = new DynamicStores(server);
  const onDemand = new OnDemandNames(server);
  const decide = (host: HostDraft, tls: HostTls): Decided => {
    const found = of.get(host) ?? [];
    const [only] = found.length === 1 ? found : [];
    const modes = new Set(found.map((domain) => values.get(domain)?.requireHttps ?? 'off'));
    const managing =
      only && tls.certificates.length === 0
        ? { name: only.name, stapling: values.get(only)?.stapling ?? false }
        : undefined;
    return {
      tls: only ? withStaticFiles(tls, only.draft) : tls,
      stapling: hostStapling(host, server.base, tls, managing),
      requireHttps: modes.size === 1 ? ([...modes][0] ?? 'off') : 'off',
      managedDomain: only?.name,
      dynamicStore: tls.engine ? (onDemand.of(host) ?? stores.of(host)) : undefined,
    };
  };

  const { hosts: tls, listens } = hostsTls(context);
  const base = baseSettings(server, decide(server.base, baseTls(context)));
  const hosts = server.hosts.map((host, index): VirtualHostSettings => ({
    ...hostSettings(host, base, server, decide(host, tls[index] ?? base.tls)),
    addresses: host.addresses,
    at: host.at ?? { file: configFile, line: 0 },
  }));

  const md = mdSettings(server);
  const everywhere = [
    { ...base, addresses: baseAddresses(server), at: { file: configFile, line: 0 } },
    ...hosts,
  ];
  const hostsOf = Map.groupBy(everywhere, (host) => host.managedDomain);
  const configured = [...values].map(([domain, own]) =>
    configuredDomain(domain, own, hostsOf.get(domain.name) ?? [], server, { listens, md }),
  );
  const added = addedTemplate(server, hosts, { listens, md });
  const ordered = onDemand.settings(hosts, { listens, md });
  for (const { template } of ordered) {
    const warning = unboundWarning(template);
    if (warning) warn(warning);
  }
  for (const domain of configured) {
    for (const warning of [unusedWarning(domain), unboundWarning(domain)]) if (warning) warn(warning);
  }

  for (const host of [base, ...hosts]) for (const warning of openHandlers(host)) warn(warning);
  for (const warning of forwardProxyWarnings([base, ...hosts])) warn(warning);

  return {
    serverRoot: server.serverRoot,
    configFile,
    pidFile: server.pidFile ?? resolve(server.serverRoot, DEFAULT_PID_FILE),
    user: server.user,
    group: server.group,
    workers: server.workers,
    listens,
    clientLimits: clientLimits(server),
    base,
    hosts,
    domains: configured,
    addedTemplate: added,
    addedStapling: addedStapling(server.base, base.tls, added.stapling),
    api: server.api,
    md,
    sniPolicy: server.sniPolicy ?? 'secure',
    passphraseCommand: server.passphraseCommand,
    localCa: server.localCa.enabled === true ? localCaSettings(server) : undefined,
    dynamic: { ...stores.settings, onDemand: onDemand.sources },
    onDemand: ordered,
    serveFolders: server.serveFolders,
    types: types(server),
    logFormats: Object.fromEntries(server.logFormats),
    warnings,
  };
}

/** Below ServerRoot. */
export const DEFAULT_PID_FILE = 'logs/httpd.pid';

function clientLimits({ clientLimits: own }: ServerDraft): ClientLimitSettings {
  return { ...defaultClientLimits, ...own, exempt: own.exempt ?? defaultClientLimits.exempt };
}

function mdSettings({ md, serverRoot }: ServerDraft): MdServerSettings {
  return {
    storeDir: md.storeDir ?? resolve(serverRoot, 'md'),
    httpPort: md.httpPort === '-' ? undefined : (md.httpPort ?? 80),
    httpsPort: md.httpsPort === '-' ? undefined : (md.httpsPort ?? 443),
    retryDelay: md.retryDelay ?? 30_000,
    retryFailover: md.retryFailover ?? 13,
    activateOn: md.activateOn ?? 'renewal',
    preflight: md.preflight ?? { enabled: true, resolvers: [] },
    stapling: {
      renewWindow: md.staplingRenewWindow ?? { percent: 33 },
      keepResponse: md.staplingKeepResponse ?? { ms: 7 * 86_400_000 },
    },
    rateLimits: md.rateLimits ?? {},
    storeLocks: md.storeLocks === 'off' ? undefined : md.storeLocks,
    serverStatus: md.serverStatus ?? true,
    certificateStatus: md.certificateStatus ?? true,
    certificateCheck: md.certificateCheck ?? { name: 'crt.sh', url: 'https://crt.sh?q=' },
    activationDelay: md.activationDelay ?? 0,
    checkInterval: md.checkInterval ?? 43_200_000,
    initialDelay: md.initialDelay ?? 0,
    hooks: { notify: md.notifyCommand, message: md.messageCommand },
  };
}

function localCaSettings({ localCa, serverRoot }: ServerDraft): LocalCaSettings {
  return {
    address: localCa.address ?? defaultLocalCa.address,
    port: localCa.port ?? defaultLocalCa.port,
    dir: localCa.dir ?? resolve(serverRoot, 'ca'),
    lifetime: localCa.lifetime ?? defaultLocalCa.lifetime,
    httpPort: localCa.httpPort ?? 80,
    tlsPort: localCa.tlsPort ?? 443,
    resolver: localCa.resolver,
    externalAccountRequired: localCa.externalAccountRequired ?? false,
  };
}

function types(server: ServerDraft): Record<string, string> {
  const { file, at } = server.typesConfig ?? { file: resolve(server.serverRoot, 'conf/mime.types') };
  try {
    return { ...readTypes(file, at === undefined), ...Object.fromEntries(server.types) };
  } catch (error) {
    throw new ConfigError(`TypesConfig: could not open '${file}': ${explain(error)}`, at);
  }
}
