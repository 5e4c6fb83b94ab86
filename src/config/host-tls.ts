/**
 * Which hosts speak TLS, where, by whose directives, with what. TLS is a matter of an address: all hosts at one
 * speak it or none does, whatever the first of them says. A host at several addresses may speak it at some.
 */
import { chooseCiphers } from './ciphers.ts';
import type { ChosenCiphers } from './ciphers.ts';
import { checkClientAuth, clientTls } from './client-rules.ts';
import type { FileAt, HostDraft, ListenDraft, ServerDraft, TlsDraft, TlsVersions } from './draft.ts';
import { ConfigError } from './errors.ts';
import type { CertificateFiles, HostAddress, HostTls, Listen, Warning } from './settings.ts';

/** mod_tls has no client certificates. */
const nothingSaid: TlsDraft = { certificates: [], keys: [], tlsCertificates: [] };

const everyVersion: TlsVersions = { min: 'TLSv1.2', max: 'TLSv1.3' };

/** What a host shows where nothing says TLS. */
export interface TlsContext {
  readonly server: ServerDraft;
  /** Of secureHosts(). */
  readonly secure: (host: HostDraft) => boolean;
  /** Whether a managed domain has certificates for this host. */
  readonly managed: (host: HostDraft) => boolean;
  /** Whether a store may have certificates for it. */
  readonly dynamic: (host: HostDraft) => boolean;
  readonly warn: (warning: Warning) => void;
}

/** TLS of the base server: what its virtual hosts inherit, and what it speaks itself where there are none. */
export function baseTls({ server, managed }: TlsContext): HostTls {
  const { base, tlsEngines } = server;
  const said = base.tls.engine?.on;
  const family = tlsEngines.length > 0 && said !== true ? 'tls' : 'ssl';
  const tls = tlsOf(base, undefined, family, said === true);
  if (said !== undefined || (tls.certificates.length === 0 && !managed(base))) return tls;
  const engine = baseAddresses(server).some((address) =>
    server.listens.some(
      (listen) =>
        covers(address, listen) &&
        (listen.protocol === 'https' || tlsEngines.some((place) => covers(address, place))),
    ),
  );
  return { ...tls, engine };
}

/** Where the base server answers: what is listened at, and no virtual host is for. */
export function baseAddresses({ listens, hosts }: ServerDraft): HostAddress[] {
  const taken = hosts.flatMap(({ addresses }) => addresses);
  return listens
    .filter((listen) => !taken.some((address) => covers(address, listen)))
    .map(({ address = '*', port }) => ({ address, port }));
}

/** Tells hosts that speak TLS once they have a certificate. */
export function secureHosts(server: ServerDraft): (host: HostDraft) => boolean {
  const atTlsEngine = matcher(server.tlsEngines);
  const atHttps = matcher(server.listens.filter((listen) => listen.protocol === 'https'));
  return (host) => atTlsEngine(host) || (saidEngine(host, server)?.on ?? atHttps(host));
}

/**
 * TLS of all virtual hosts, in their order, and of all Listens. Throws ConfigError where hosts contradict each
 * other.
 */
export function hostsTls(context: TlsContext): { readonly hosts: HostTls[]; readonly listens: Listen[] } {
  const { server } = context;
  const atTlsEngine = matcher(server.tlsEngines);
  const plans = server.hosts.map((host) => plan(host, context, atTlsEngine(host)));
  const listens = server.listens.map((listen) => ({ ...listen, tls: isSecure(listen, server, plans) }));
  agree(server.hosts, plans, context);
  const hosts = server.hosts.map((host, index) => {
    const { engine, family, implied } = plans[index] ?? noTls;
    const tls = tlsOf(host, server.base.tls, family, engine);
    if (engine) checkCertificates(host, tls, context, implied);
    if (engine) for (const warning of checkClientAuth(host, server.base, tls)) context.warn(warning);
    if (engine) checkPort(host, secureAddresses(host, { engine, family, implied }, server), context);
    return tls;
  });
  return { hosts, listens };
}

interface Plan {
  engine: boolean;
  readonly family: 'ssl' | 'tls';
  /** By its neighbours at the address, not by a word of its own. */
  implied: boolean;
}

const noTls: Readonly<Plan> = { engine: false, family: 'ssl', implied: false };

function saidEngine(host: HostDraft, server: ServerDraft): TlsDraft['engine'] {
  return host.tls.engine ?? server.base.tls.engine;
}

function plan(host: HostDraft, context: TlsContext, byTlsEngine: boolean): Plan {
  const said = saidEngine(host, context.server);
  if (byTlsEngine && said?.on) {
    throw new ConfigError(
      'SSLEngine on and TLSEngine are for the same address and port here. Remove one of them.',
      said.at,
    );
  }
  if (byTlsEngine) return { engine: true, family: 'tls', implied: false };
  if (said) return { ...noTls, engine: said.on };
  const hasCertificate = host.tls.certificates.length > 0 || context.managed(host) || context.dynamic(host);
  return { ...noTls, engine: hasCertificate && context.secure(host) };
}

/** Where a host speaks TLS by a word of its own. */
function secureAddresses(
  host: HostDraft,
  { engine, family }: Plan,
  server: ServerDraft,
): readonly HostAddress[] {
  if (!engine) return [];
  if (family === 'ssl' && saidEngine(host, server)) return host.addresses;
  const https = server.listens.filter((listen) => listen.protocol === 'https');
  const places = family === 'tls' ? server.tlsEngines : https;
  return host.addresses.filter((address) => places.some((place) => covers(address, place)));
}

/** Whether connections to `listen` begin with TLS. */
function isSecure(listen: ListenDraft, server: ServerDraft, plans: readonly Plan[]): boolean {
  if (listen.protocol === 'https') return true;
  if (server.tlsEngines.some(({ address, port }) => covers({ address: address ?? '*', port }, listen)))
    return true;
  const at = (addresses: readonly HostAddress[]) => addresses.some((address) => covers(address, listen));
  const there = server.hosts.filter((host) => at(host.addresses));
  if (there.length === 0) return server.base.tls.engine?.on === true;
  return server.hosts.some((host, index) => {
    const own = plans[index] ?? noTls;
    return own.family === 'ssl' && at(secureAddresses(host, own, server));
  });
}

/** Makes hosts of one address agree: what is not said follows the others, what is said against them is an error. */
function agree(hosts: readonly HostDraft[], plans: readonly Plan[], context: TlsContext): void {
  const secure = new Set<string>();
  for (const [index, host] of hosts.entries()) {
    const at = secureAddresses(host, plans[index] ?? noTls, context.server);
    for (const address of at) secure.add(keyOf(address));
  }
  for (const [index, host] of hosts.entries()) {
    const own = plans[index];
    if (!own || own.engine || !host.addresses.some((address) => secure.has(keyOf(address)))) continue;
    const at = host.at ?? { file: '', line: 0 };
    if (host.tls.engine) {
      throw new ConfigError(
        `SSLEngine off, but other hosts at ${host.addresses.map(shown).join(' ')} have it on: an address speaks TLS or it does not. Give this host another port, or SSLEngine on.`,
        host.tls.engine.at,
      );
    }
    own.engine = true;
    own.implied = true;
    context.warn({
      ...at,
      module: 'ssl',
      message: `Init: (${title(host)}) SSLEngine is not on here, but it is for other hosts at the same address: this one speaks TLS, too`,
    });
  }
}

const keyOf = ({ address, port }: HostAddress): string => `${address} ${port}`;

function shown({ address, port }: HostAddress): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** `NAME:PORT`, as httpd's messages call a host. */
export function title(host: TitledHost): string {
  return `${host.serverName ?? '_default_'}:${host.addresses?.[0]?.port ?? '*'}`;
}

interface TitledHost {
  readonly serverName?: string | undefined;
  readonly addresses?: readonly HostAddress[];
}

interface Place {
  readonly address: string | undefined;
  readonly port: number;
}

/** Whether one of the host's addresses is one of these. */
function matcher(places: readonly Place[]): (host: HostDraft) => boolean {
  if (places.length === 0) return () => false;
  return (host) => host.addresses.some((address) => places.some((place) => covers(address, place)));
}

/** Whether connections to `place` can be for a host at this address. */
function covers({ address, port }: HostAddress, place: Place): boolean {
  return (
    (port === '*' || port === place.port) &&
    (address === '*' || isAny(address) || isAny(place.address) || address === place.address)
  );
}

export function isAny(address: string | undefined): boolean {
  return address === undefined || address === '0.0.0.0' || address === '::';
}

function tlsOf(host: HostDraft, base: TlsDraft | undefined, family: 'ssl' | 'tls', engine: boolean): HostTls {
  const own = host.tls;
  const { ciphers, ciphersuites, versions } =
    family === 'ssl' ? sslCiphers(own, base) : tlsCiphers(host, base);
  return {
    engine,
    family,
    certificates: family === 'ssl' ? sslCertificates(own, base) : tlsCertificates(own, base),
    minVersion: versions.min,
    maxVersion: versions.max,
    ciphers,
    ciphersuites,
    cipherOrder: family === 'ssl' ? sslOrder(own, base) : tlsOrder(own, base),
    strictSni:
      family === 'ssl'
        ? (own.strictSni ?? base?.strictSni ?? false)
        : (own.tlsStrictSni ?? base?.tlsStrictSni ?? true),
    sessions: family === 'ssl' ? sslSessions(own, base) : tlsSessions(base),
    groups: family === 'ssl' ? (own.groups ?? base?.groups) : undefined,
    signatureAlgorithms:
      family === 'ssl' ? (own.signatureAlgorithms ?? base?.signatureAlgorithms) : undefined,
    ...(family === 'ssl' ? clientTls(own, base) : clientTls(nothingSaid, undefined)),
  };
}

/** Seconds, as of httpd. */
const SESSION_TIMEOUT = 300;

function sslSessions(own: TlsDraft, base: TlsDraft | undefined): HostTls['sessions'] {
  return {
    tickets: own.sessionTickets ?? base?.sessionTickets ?? true,
    timeout: own.sessionTimeout ?? base?.sessionTimeout ?? SESSION_TIMEOUT,
    ticketKeyFile: own.ticketKeyFile ?? base?.ticketKeyFile,
  };
}

/** The whole server's. */
function tlsSessions(base: TlsDraft | undefined): HostTls['sessions'] {
  return { tickets: base?.tlsSessions ?? true, timeout: SESSION_TIMEOUT, ticketKeyFile: undefined };
}

/** Of a list that an administrator wrote the client's counts, as in mod_ssl; of ours we know what it is good for. */
function sslOrder(own: TlsDraft, base: TlsDraft | undefined): HostTls['cipherOrder'] {
  const said = own.honorCipherOrder ?? base?.honorCipherOrder;
  if (said !== undefined) return said ? 'server' : 'client';
  const { ciphers, ciphersuites } = sslCiphers(own, base);
  return ciphers === undefined && ciphersuites === undefined ? 'modern' : 'client';
}

function tlsOrder(own: TlsDraft, base: TlsDraft | undefined): HostTls['cipherOrder'] {
  return (own.honorClientOrder ?? base?.honorClientOrder ?? true) ? 'client' : 'server';
}

function sslCiphers(own: TlsDraft, base: TlsDraft | undefined): ChosenCiphers {
  return {
    ciphers: own.ciphers ?? base?.ciphers,
    ciphersuites: own.ciphersuites ?? base?.ciphersuites,
    versions: own.versions ?? base?.versions ?? everyVersion,
  };
}

function tlsCiphers(host: HostDraft, base: TlsDraft | undefined): ChosenCiphers {
  const own = host.tls;
  const choice = {
    preferred: own.cipherPrefer ?? base?.cipherPrefer ?? [],
    suppressed: own.cipherSuppress ?? base?.cipherSuppress ?? [],
  };
  const chosen = chooseCiphers(choice, own.tlsVersions ?? base?.tlsVersions ?? everyVersion);
  if (chosen) return chosen;
  throw new ConfigError(
    `TLSCiphersSuppress: no cipher is left for ${title(host)} in the versions of TLSProtocol. Suppress fewer.`,
    host.at,
  );
}

/** A host's own, else the base server's: a handshake could not tell them apart by key type. */
function sslCertificates(own: TlsDraft, base: TlsDraft | undefined): CertificateFiles[] {
  const from = own.certificates.length > 0 || !base ? own : base;
  const chainFile = own.chainFile ?? base?.chainFile;
  return from.certificates.map((certificate: FileAt, index) => ({
    certificateFile: certificate.path,
    keyFile: from.keys[index]?.path ?? certificate.path,
    chainFile,
    at: certificate.at,
  }));
}

/** As mod_tls: the base server's first, then the host's own. */
function tlsCertificates(own: TlsDraft, base: TlsDraft | undefined): CertificateFiles[] {
  return [...(base?.tlsCertificates ?? []), ...own.tlsCertificates].map(({ certificate, key, at }) => ({
    certificateFile: certificate,
    keyFile: key ?? certificate,
    chainFile: undefined,
    at,
  }));
}

function checkCertificates(host: HostDraft, tls: HostTls, context: TlsContext, implied: boolean): void {
  const managed = context.managed(host);
  if (tls.certificates.length === 0 && !managed && !implied && !context.dynamic(host)) {
    const directive = tls.family === 'ssl' ? 'SSLCertificateFile' : 'TLSCertificate';
    throw new ConfigError(
      `Init: (${title(host)}) Failed to configure at least one certificate and key: Missing ${directive}. Add it, or have the certificate obtained: MDomain ${host.serverName ?? 'NAME'}`,
      host.at,
    );
  }
  if (tls.certificates.length > 0 && managed) {
    context.warn({
      ...(host.at ?? { file: '', line: 0 }),
      module: 'ssl',
      message: `Init: (${title(host)}) You configured certificate/key files on this host, but it is covered by a Managed Domain. You need to remove these directives for the Managed Domain to take over.`,
    });
  }
}

/** httpd's warning; the common way to come by it is one host for both ports. */
function checkPort(host: HostDraft, secure: readonly HostAddress[], { server, warn }: TlsContext): void {
  const plain = server.listens.filter(({ port, protocol }) => port === 80 && protocol !== 'https');
  if (!plain.some((listen) => secure.some((address) => covers(address, listen)))) return;
  warn({
    ...(host.at ?? { file: '', line: 0 }),
    module: 'ssl',
    message: `Init: (${title(host)}) You configured HTTPS(443) on the standard HTTP(80) port! SSLEngine on counts for all addresses of a host: leave it out, what arrives at Listen 443 is https anyway`,
  });
}
