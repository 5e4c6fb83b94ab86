/** From the configuration to what all processes run by. */
import { explain } from '../../base/errors.ts';
import { ConfigError } from '../../config/errors.ts';
import { loadConfiguration, type ConfigurationSource } from '../../config/load.ts';
import type { ConfiguredDomain, Settings } from '../../config/settings.ts';
import type { Plan } from '../calls.ts';
import type { Credentials } from './credentials.ts';

/** A configuration without a Listen is a good one for httpd's -t, and httpd doesn't run with it. */
export function loadServable(input: ConfigurationSource): Settings {
  const { settings } = loadConfiguration(input);
  if (settings.listens.length > 0) return settings;
  throw new ConfigError(
    `AH00451: no listening sockets available, shutting down: ${settings.configFile} has no Listen line (Listen 80)`,
  );
}

export function planOf(generation: number, settings: Settings, { setIds, tlsFiles }: Credentials): Plan {
  const { clientCas, backendPems, ticketKeyFiles } = tlsFiles;
  return { generation, settings, setIds, clientCas, backendPems, ticketKeyFiles };
}

/** What workers are told: nothing that this server shows to others to be let in (tokens of stores, bindings of accounts). */
export function forWorkers(plan: Plan): Plan {
  const { settings } = plan;
  const { dynamic } = settings;
  const bare = {
    ...settings,
    api: undefined,
    domains: settings.domains.map(withoutSecrets),
    addedTemplate: withoutSecrets(settings.addedTemplate),
    onDemand: [],
    dynamic: { ...dynamic, stores: dynamic.stores.map((store) => ({ ...store, token: undefined })) },
  };
  return { ...plan, settings: bare };
}

function withoutSecrets(domain: ConfiguredDomain): ConfiguredDomain {
  return { ...domain, externalAccount: undefined, proxy: undefined };
}

/** What processes and folders hang on cannot change under them. */
export function whatCannotChange(before: Settings, after: Settings): string | undefined {
  if (before.md.storeDir !== after.md.storeDir) return 'MDStoreDir';
  if (before.md.storeLocks !== after.md.storeLocks) return 'MDStoreLocks';
  if (before.user !== after.user || before.group !== after.group) return 'User or Group';
  if (before.pidFile !== after.pidFile) return 'PidFile';
  if (before.serverRoot !== after.serverRoot) return 'ServerRoot';
  return undefined;
}

/** What is wrong, in one line. */
export function inOneLine(error: unknown): string {
  return error instanceof ConfigError ? error.format().replace(':\n', ': ') : explain(error);
}
