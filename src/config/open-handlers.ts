/** Handlers of mod_dynssl's that anybody may call: a warning, and an error where they hand out private keys. */
import { ConfigError } from './errors.ts';
import { mergeDirectory } from './merge.ts';
import type { DirectorySettings, HostSettings, Position, RequireRule, Section, Warning } from './settings.ts';

const HARMS: Readonly<Record<string, string>> = {
  'dynssl-status': 'shows which names are served',
  'dynssl-flush': 'lets everybody empty the cache of certificates',
};

/** Throws ConfigError for a dynssl-store that gives private keys to everybody. */
export function* openHandlers(host: HostSettings): Generator<Warning> {
  const { handler, require } = host.directory;
  if (handler === 'dynssl-store' && !restricts(require?.rule))
    refuseWithoutSecret(undefined, host.directory, host);
  yield* openIn(host.sections, host.directory, host);
}

function* openIn(
  sections: readonly Section[],
  outer: DirectorySettings,
  host: HostSettings,
): Generator<Warning> {
  for (const section of sections) {
    const settings = mergeDirectory(outer, section.settings);
    const { handler } = section.settings;
    const open = !restricts(settings.require?.rule) && !isRestrictedElsewhere(section, host.sections);
    if (open && handler === 'dynssl-store') refuseWithoutSecret(section.at, settings, host);
    const harm = handler === undefined ? undefined : HARMS[handler];
    if (open && harm !== undefined) {
      const message = `SetHandler ${handler} without a Require that restricts it ${harm}: add Require ip 127.0.0.1`;
      yield { ...section.at, module: 'dynssl', message };
    }
    yield* openIn(section.sections, settings, host);
  }
}

function refuseWithoutSecret(
  at: Position | undefined,
  { serveTokenDigest, clientAuth }: DirectorySettings,
  { tls }: HostSettings,
): void {
  if (serveTokenDigest !== undefined || clientAuth === 'require' || tls.clientAuth === 'require') return;
  throw new ConfigError(
    'SetHandler dynssl-store gives the private keys of all certificates to everybody here: add DynSSLServeToken, a Require that restricts it, or SSLVerifyClient require',
    at,
  );
}

/** Whether a rule keeps anybody out. */
export function restricts(rule: RequireRule | undefined): boolean {
  if (!rule) return false;
  if (rule.kind === 'all') return !rule.granted;
  if (rule.kind === 'any') return rule.rules.every(restricts);
  return rule.kind !== 'every' || rule.rules.some(restricts);
}

/** Another `<Location>` of the same place has the Require. */
function isRestrictedElsewhere(section: Section, all: readonly Section[]): boolean {
  if (section.kind !== 'location') return false;
  return all.some(
    (other) =>
      other !== section &&
      other.kind === 'location' &&
      section.settings.require === undefined &&
      (section.path === other.path || section.path.startsWith(`${other.path.replace(/\/$/, '')}/`)) &&
      restricts(other.settings.require?.rule),
  );
}
