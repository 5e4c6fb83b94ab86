/** Managed domains, complete: values of their own, of the server they stand in, of all; then the defaults. */
import type { ManagedDomainSettings, Reach, StaticFiles } from '../domains/settings.ts';
import { authorityThatBinds, defaultAuthority, tailscaleSocket } from './authorities.ts';
import type { DomainDraft, DomainValues, HostDraft, ServerDraft } from './draft.ts';
import { ConfigError } from './errors.ts';
import type { Assignment } from './managed.ts';
import type {
  ConfiguredDomain,
  HostTls,
  Listen,
  Settings,
  VirtualHostSettings,
  Warning,
} from './settings.ts';

/** The values that count for a domain, defaults in. */
type Values = Omit<ManagedDomainSettings, 'name' | 'domains' | 'contacts' | 'staticFiles' | 'used' | 'reach'>;

const defaults: Values = {
  transitive: true,
  protocol: 'acme',
  authorities: [defaultAuthority],
  agreement: undefined,
  externalAccount: undefined,
  challenges: undefined,
  challengeDns01: undefined,
  renewMode: 'auto',
  renewWindow: { percent: 33 },
  warnWindow: { percent: 10 },
  keys: [{ type: 'RSA', bits: 2048 }],
  renewViaAri: true,
  profile: undefined,
  profileMandatory: false,
  mustStaple: false,
  stapling: false,
  requireHttps: 'off',
  caCertificateFile: undefined,
  proxy: undefined,
};

/** Throws ConfigError for `local` without the embedded CA. */
export function domainValues({ draft, transitive }: Assignment, server: ServerDraft): Values {
  const layers = [draft.values, draft.host.md, server.base.md];
  const value = <Key extends keyof DomainValues>(key: Key) =>
    layers.find((layer) => layer[key] !== undefined)?.[key];
  const externalAccount = value('externalAccount');
  const authorities = layers.find((layer) => layer.authorities !== undefined);
  if (authorities?.localAuthority && server.localCa.enabled !== true) {
    throw new ConfigError(
      "MDCertificateAuthority local is the embedded CA, which does not run: add 'LocalCA on'",
      authorities.localAuthority,
    );
  }
  const protocol = value('protocol') ?? defaults.protocol;
  const standard = protocol === 'tailscale' ? [tailscaleSocket] : defaults.authorities;
  const chosen = authorities?.authorities ?? standard;
  checkProtocol(protocol, chosen, draft);
  const command = value('challengeDns01');
  const proxyUrl = value('proxyUrl');
  return {
    transitive,
    protocol,
    authorities: chosen,
    agreement: value('agreement'),
    externalAccount: externalAccount === 'none' ? undefined : externalAccount,
    challenges: value('challenges'),
    challengeDns01: command && { command, version: value('challengeDns01Version') ?? 1 },
    renewMode: value('renewMode') ?? defaults.renewMode,
    renewWindow: value('renewWindow') ?? defaults.renewWindow,
    warnWindow: value('warnWindow') ?? defaults.warnWindow,
    // tailscaled makes the key, and of this kind only.
    keys: protocol === 'tailscale' ? [{ type: 'EC', name: 'p-256' }] : (value('keys') ?? defaults.keys),
    requireHttps: value('requireHttps') ?? defaults.requireHttps,
    caCertificateFile: value('caCertificateFile') || undefined,
    renewViaAri: value('renewViaAri') ?? defaults.renewViaAri,
    profile: value('profile'),
    profileMandatory: value('profileMandatory') ?? defaults.profileMandatory,
    mustStaple: value('mustStaple') ?? defaults.mustStaple,
    stapling: value('stapling') ?? defaults.stapling,
    proxy: proxyUrl
      ? { url: proxyUrl, caCertificateFile: value('proxyCaCertificateFile') || undefined }
      : undefined,
  };
}

function checkProtocol(
  protocol: Values['protocol'],
  authorities: readonly string[],
  { names: [name = ''], at }: DomainDraft,
): void {
  const wrong = authorities.find((url) => url.startsWith('file:') !== (protocol === 'tailscale'));
  if (wrong === undefined) return;
  throw new ConfigError(
    protocol === 'tailscale'
      ? `MDCertificateProtocol tailscale of ${name} can't be spoken with ${wrong}: name the socket of tailscaled, MDCertificateAuthority ${tailscaleSocket}`
      : `MDCertificateAuthority ${wrong} of ${name} is a socket: scheme must be http or https, unless MDCertificateProtocol is tailscale`,
    at,
  );
}

/** A domain as the engine gets it; `hosts` are those that have its name as managedDomain. */
export function configuredDomain(
  assignment: Assignment,
  values: Values,
  hosts: readonly VirtualHostSettings[],
  server: ServerDraft,
  { listens, md }: Pick<Settings, 'listens' | 'md'>,
): ConfiguredDomain {
  return {
    name: assignment.name,
    domains: assignment.domains,
    contacts: contacts(assignment, server),
    ...values,
    staticFiles: staticFiles(assignment.draft),
    used: assignment.hosts.length > 0,
    reach: {
      http01: http01(listens, md.httpPort),
      tlsAlpn01: tlsAlpn01(assignment, hosts, listens, md.httpsPort),
      dns01: values.challengeDns01
        ? { possible: true }
        : no('there is no command for DNS challenges (MDChallengeDns01)'),
    },
    at: assignment.draft.at,
  };
}

/** As if there were an `MDomain` outside of all hosts; it is served by the first host at the CA's port. */
export function addedTemplate(
  server: ServerDraft,
  hosts: readonly VirtualHostSettings[],
  around: Pick<Settings, 'listens' | 'md'>,
): ConfiguredDomain {
  const at = { file: 'latchkey domains add', line: 0 };
  const draft: DomainDraft = {
    at,
    names: [],
    values: {},
    certificateFiles: [],
    keyFiles: [],
    host: server.base,
  };
  const assignment = { draft, name: '', transitive: false, domains: [], hosts: [server.base] };
  const port = around.md.httpsPort;
  const first = hosts.find(
    ({ tls, addresses }) => tls.engine && addresses.some((one) => one.port === port || one.port === '*'),
  );
  return configuredDomain(assignment, domainValues(assignment, server), first ? [first] : [], server, around);
}

/** Throws ConfigError where they are not pairs. */
function staticFiles({ names: [name = ''], certificateFiles, keyFiles, at }: DomainDraft): StaticFiles[] {
  if (certificateFiles.length === 0 && keyFiles.length > 0) {
    throw new ConfigError(
      `AH10171: The Managed Domain '${name}' has MDCertificateKeyFile(s) but no MDCertificateFile.`,
      at,
    );
  }
  return certificateFiles.map((certificateFile, index) => {
    const keyFile = keyFiles[index];
    if (keyFile !== undefined && keyFiles.length === certificateFiles.length) {
      return { certificateFile, keyFile };
    }
    throw new ConfigError(
      `AH10170: The Managed Domain '${name}' needs one MDCertificateKeyFile for each MDCertificateFile.`,
      at,
    );
  });
}

/** A host of a domain with files of its own serves them, unless it has some itself. */
export function withStaticFiles(tls: HostTls, draft: DomainDraft): HostTls {
  if (!tls.engine || tls.certificates.length > 0 || draft.certificateFiles.length === 0) return tls;
  const { at } = draft;
  return { ...tls, certificates: staticFiles(draft).map((pair) => ({ ...pair, chainFile: undefined, at })) };
}

/** MDContactEmail of the domain, else of each of its hosts, else their ServerAdmin. */
function contacts({ draft, hosts }: Assignment, server: ServerDraft): string[] {
  if (draft.values.contact !== undefined) return [mailto(draft.values.contact)];
  const of = (host: HostDraft) =>
    host.md.contact ?? server.base.md.contact ?? host.serverAdmin ?? server.base.serverAdmin;
  const found = (hosts.length > 0 ? hosts : [draft.host]).map(of);
  return [...new Set(found.filter((contact) => contact !== undefined).map(mailto))];
}

function mailto(contact: string): string {
  return /^[a-z][a-z\d+.-]*:/i.test(contact) ? contact : `mailto:${contact}`;
}

const no = (reason: string): Reach => ({ possible: false, reason });

function http01(listens: readonly Listen[], port: number | undefined): Reach {
  if (port === undefined) return no('MDPortMap says that port 80 of the internet does not arrive here');
  if (listens.some((listen) => listen.port === port && !listen.tls)) return { possible: true };
  return no(`there is no Listen for http on port ${port} (see MDPortMap for another one)`);
}

/** Every host of the domain must speak it: a name whose host does not would fail. */
function tlsAlpn01(
  { name }: Assignment,
  hosts: readonly VirtualHostSettings[],
  listens: readonly Listen[],
  port: number | undefined,
): Reach {
  if (port === undefined) return no('MDPortMap says that port 443 of the internet does not arrive here');
  if (!listens.some((listen) => listen.port === port)) {
    return no(`there is no Listen for port ${port} (see MDPortMap for another one)`);
  }
  const there = hosts.filter(
    (host) => host.tls.engine && host.addresses.some((at) => at.port === port || at.port === '*'),
  );
  if (there.length === 0) return no(`no virtual host on port ${port} with TLS has names of ${name}`);
  const silent = there.find((host) => !host.protocols.includes('acme-tls/1'));
  if (!silent) return { possible: true };
  return no(`Protocols of the virtual host ${silent.serverName ?? '_default_'} lack acme-tls/1`);
}

/** mod_md's warning about a domain that nothing uses. */
export function unusedWarning(domain: ConfiguredDomain): Warning | undefined {
  if (domain.used || domain.renewMode === 'always') return undefined;
  return {
    ...domain.at,
    module: 'md',
    message: `No VirtualHost matches Managed Domain ${domain.name}: no certificate is obtained for it, unless MDRenewMode is always`,
  };
}

/** About CAs that are known to register no account without an external one. */
export function unboundWarning(domain: ConfiguredDomain): Warning | undefined {
  const name = domain.authorities.map(authorityThatBinds).find((known) => known !== undefined);
  if (name === undefined || domain.externalAccount) return undefined;
  return {
    ...domain.at,
    module: 'md',
    message: `${name} gives certificates to its own customers only: get a key ID and an HMAC key there, and configure them for ${domain.name} by MDExternalAccountBinding`,
  };
}
