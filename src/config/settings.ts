/**
 * Settings: what a configuration means, typed and complete. It is plain data (structured clone carries it to
 * the engine and the workers), has every default filled in, every path absolute, every name lower case, and
 * is checked as a whole: whoever receives Settings need not validate again.
 *
 * Settings know nothing of files, sockets or processes. Everything outside config/ reads them; nothing outside
 * config/ makes them.
 */
import type { LogLevels } from '../base/log.ts';
import type { DynamicSettings } from '../certificates/sources/settings.ts';
import type { LocalCaSettings } from '../ca/settings.ts';
import type {
  HookCommands,
  ManagedDomainSettings,
  OnDemandSettings,
  RateLimits,
  Window,
} from '../domains/settings.ts';
import type { Expression } from './expression.ts';
import type { CookieRewrite, ForwardProxySettings, ProxyMapping, ProxySettings } from './proxy-settings.ts';

export type * from './proxy-settings.ts';

/** Where a directive stood, for messages about it. */
export interface Position {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

export interface Warning extends Position {
  /** The module whose log it belongs to (`core`, `md`, `ssl`, …). */
  readonly module: string;
  readonly message: string;
}

export interface Settings {
  /** Absolute, normalised. */
  readonly serverRoot: string;
  /** The main configuration file, absolute. */
  readonly configFile: string;
  readonly pidFile: string;
  /** `User`/`Group` as written (a name, or `#id`); undefined where the configuration has no such line. */
  readonly user: string | undefined;
  readonly group: string | undefined;
  /** `Workers` (ours): worker processes; undefined: one for each processor. */
  readonly workers: number | undefined;
  readonly listens: readonly Listen[];
  /** What one client address may have of each worker. */
  readonly clientLimits: ClientLimitSettings;
  /** The base server: what stands outside of every `<VirtualHost>`. It has no addresses of its own. */
  readonly base: HostSettings;
  /** In configuration order: the first that matches an address is its default host. */
  readonly hosts: readonly VirtualHostSettings[];
  /** Managed domains, in configuration order, members from ServerName/ServerAlias included. */
  readonly domains: readonly ConfiguredDomain[];
  /** What a domain is like that is added at run time, but for `name` and `domains`. */
  readonly addedTemplate: ConfiguredDomain;
  /** How those are stapled; undefined: they aren't. */
  readonly addedStapling: Omit<HostStapling, 'domain'> | undefined;
  /** RuntimeAPI; undefined: the control socket only. */
  readonly api: ApiSettings | undefined;
  readonly md: MdServerSettings;
  /**
   * SSLVHostSNIPolicy: how much the host of a request must have in common with that of its handshake: be the same
   * (`strict`), all of its TLS (`secure`, the default), what it asks of clients (`authonly`), nothing (`insecure`).
   */
  readonly sniPolicy: 'strict' | 'secure' | 'authonly' | 'insecure';
  /** SSLPassPhraseDialog exec: what prints the passphrase of an encrypted key. */
  readonly passphraseCommand: readonly string[] | undefined;
  /** Absent without `LocalCA on`. */
  readonly localCa: LocalCaSettings | undefined;
  /** Where hosts have certificates from by name: stores (DynSSL directives), orders on demand. */
  readonly dynamic: DynamicSettings;
  /** DynSSLServeFolder, absolute: folders of PEM pairs that the handler dynssl-store gives out. */
  readonly serveFolders: readonly string[];
  /** How names are ordered on demand (MDOnDemand), by the ids that `dynamic` has. */
  readonly onDemand: readonly OnDemandSettings[];
  /** MIME types by lower-case extension without dot. TypesConfig's file (or a built-in list), then AddType. */
  readonly types: Readonly<Record<string, string>>;
  readonly logFormats: Readonly<Record<string, string>>;
  /** What is accepted, but deserves a line in the log at start (and in the output of `-t`). */
  readonly warnings: readonly Warning[];
}

/** RuntimeAPI: where the control socket's requests are taken over HTTP, too. */
export interface ApiSettings {
  /** Of the loopback. */
  readonly address: string;
  readonly port: number;
  /** See base/bearer.ts. */
  readonly tokenDigest: string;
}

/** One `Listen`. */
export interface Listen {
  /** An IP literal without brackets, or undefined for every address. */
  readonly address: string | undefined;
  readonly port: number;
  /** `https` if the third argument says so, or if the port is 443 and it says nothing; else `http`. */
  readonly protocol: 'http' | 'https';
  /** Connections begin with TLS: `https` says so, or TLSEngine, or SSLEngine of a host at the address. */
  readonly tls: boolean;
  readonly at: Position;
}

/** One address of `<VirtualHost …>`. */
export interface HostAddress {
  /** An IP literal (names are resolved while reading), or `*` (also for `_default_`). */
  readonly address: string;
  readonly port: number | '*';
}

export interface VirtualHostSettings extends HostSettings {
  readonly addresses: readonly HostAddress[];
  readonly at: Position;
}

/** What a server, base or virtual, has. A virtual host's values are already merged with the base server's. */
export interface HostSettings {
  /** Lower case, without scheme and port. `undefined`: not given. `_default_` is kept as written. */
  readonly serverName: string | undefined;
  /** Lower case, `*` and `?` allowed. */
  readonly aliases: readonly string[];
  readonly serverAdmin: string | undefined;
  /** Absolute; undefined without DocumentRoot. */
  readonly documentRoot: string | undefined;
  /** `Protocols`, in order of preference; `acme-tls/1` among them allows the tls-alpn-01 challenge. */
  readonly protocols: readonly string[];
  readonly limits: ConnectionLimits;
  readonly logLevels: LogLevels;
  /** Absolute path, or undefined for the base server's (whose default is `logs/error_log`). `|` is not supported. */
  readonly errorLog: string | undefined;
  readonly customLogs: readonly CustomLog[];
  readonly tls: HostTls;
  /** URL space to file space and elsewhere, in configuration order. */
  readonly mappings: readonly Mapping[];
  /** Per-directory settings that stand in the server itself, under which all sections are laid. */
  readonly directory: DirectorySettings;
  /** Base server's first, then the virtual host's own, each in configuration order. */
  readonly sections: readonly Section[];
  readonly proxy: ProxySettings;
  /** `ProxyRequests On`: clients may ask for other servers, as far as Require lets them. */
  readonly forwardProxy: ForwardProxySettings | undefined;
  /** Of the managed domain that covers the host: MDRequireHttps. `off` without one. */
  readonly requireHttps: 'off' | 'temporary' | 'permanent';
  /** undefined: its certificates are shown without an OCSP response. */
  readonly stapling: HostStapling | undefined;
  /** Name of the managed domain whose certificates this host serves, if any. */
  readonly managedDomain: string | undefined;
  /** Id in Settings.dynamic of what has certificates for names which no other certificate is for; undefined without TLS. */
  readonly dynamicStore: string | undefined;
}

/** How responses for the certificates of a host are had. */
export interface HostStapling {
  /** The managed domain whose certificates are shown; undefined for files of a host's own. */
  readonly domain: string | undefined;
  /** SSLStaplingForceURL; undefined: whom the certificate names. */
  readonly responderUrl: string | undefined;
  /** SSLStaplingResponderTimeout, ms. */
  readonly timeout: number;
}

/** Times are milliseconds, sizes are bytes. */
export interface ConnectionLimits {
  /** `Timeout` (60 s). */
  readonly timeout: number;
  readonly keepAlive: boolean;
  /** `KeepAliveTimeout` (5 s). */
  readonly keepAliveTimeout: number;
  /** `MaxKeepAliveRequests` (100); 0 means any number. */
  readonly maxKeepAliveRequests: number;
  /** `RequestReadTimeout` (handshake=0 header=20-40,MinRate=500 body=20,MinRate=500); 0 means no limit. */
  readonly handshakeTimeout: ReadTimeout;
  readonly headerTimeout: ReadTimeout;
  readonly bodyTimeout: ReadTimeout;
  /** `LimitRequestBody` (1 GiB); 0 means any. */
  readonly requestBody: number;
  /** `LimitRequestFields` (100); 0 means any. */
  readonly requestFields: number;
  /** `LimitRequestFieldSize` (8190). */
  readonly requestFieldSize: number;
  /** `LimitRequestLine` (8190). */
  readonly requestLine: number;
}

/** A client address is an IPv4 address or an IPv6 /64. */
export interface ClientLimitSettings {
  /** `ClientConnections` (4000): open at a time; undefined: any number. */
  readonly connections: number | undefined;
  /** `ClientHandshakes` (200 4000): connections over TLS that are begun; undefined: any number. */
  readonly handshakes: { readonly perSecond: number; readonly atOnce: number } | undefined;
  /** `ClientLimitsExempt` (private networks): `address/bits`. */
  readonly exempt: readonly string[];
}

export interface ReadTimeout {
  readonly initial: number;
  /** Upper bound that data arriving at `minRate` may extend `initial` to; 0: no bound. */
  readonly max: number;
  /** Bytes per second that extend the time; 0: nothing extends it. */
  readonly minRate: number;
}

export interface CustomLog {
  readonly file: string;
  /** The format string itself (nicknames resolved). */
  readonly format: string;
  /** `env=` clause, as written without `env=`; undefined without one. */
  readonly condition: string | undefined;
}

export interface HostTls {
  /** True for `SSLEngine on`, for a host on an address of `TLSEngine`, or by `Listen … https`. */
  readonly engine: boolean;
  /** Whose directives shaped it; `ssl` when nobody's did. */
  readonly family: 'ssl' | 'tls';
  /** SSLCertificateFile and friends, or TLSCertificate; in configuration order. */
  readonly certificates: readonly CertificateFiles[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher list for TLS 1.2; undefined: ours. */
  readonly ciphers: string | undefined;
  /** OpenSSL list of TLS 1.3 suites; undefined: OpenSSL's. */
  readonly ciphersuites: string | undefined;
  /** `modern`: the server's, but ChaCha20 for clients that name it first. They have no AES in hardware. */
  readonly cipherOrder: 'client' | 'server' | 'modern';
  /** A client that sends an unknown SNI is refused at this host's address; of family `ssl`, one without SNI, too. */
  readonly strictSni: boolean;
  readonly sessions: {
    /** Clients may resume sessions, by tickets. */
    readonly tickets: boolean;
    /** SSLSessionCacheTimeout, seconds. */
    readonly timeout: number;
    /** SSLSessionTicketKeyFile; undefined: keys of the server's own, which it rotates. */
    readonly ticketKeyFile: string | undefined;
  };
  readonly clientAuth: 'none' | 'optional' | 'require';
  /** SSLCACertificateFile: PEM; SSLCACertificatePath: a folder. One of them is given where clientAuth isn't `none`. */
  readonly clientCa: string | undefined;
  readonly clientCaPath: string | undefined;
  /** SSLVerifyDepth: certificates above the client's own at most. */
  readonly clientDepth: number;
  /** SSLCARevocationCheck and the files and folders of lists; undefined: none are looked at. */
  readonly clientRevocation:
    | { readonly check: 'leaf' | 'chain'; readonly optional: boolean; readonly paths: readonly string[] }
    | undefined;
  /** OpenSSL's lists of groups and signature algorithms; undefined: OpenSSL's own. */
  readonly groups: string | undefined;
  readonly signatureAlgorithms: string | undefined;
}

export interface CertificateFiles {
  readonly certificateFile: string;
  /** The certificate's file where the configuration names none. */
  readonly keyFile: string;
  /** SSLCertificateChainFile: certificates to send after those of certificateFile. */
  readonly chainFile: string | undefined;
  readonly at: Position;
}

export type Mapping =
  // A regular expression is for the whole path, and `to` may say $1.
  | {
      readonly kind: 'alias';
      readonly from: string | RegExp;
      readonly to: string;
      /** ScriptAlias: what is there are scripts. */
      readonly script?: true;
    }
  | {
      readonly kind: 'redirect';
      readonly from: string | RegExp;
      readonly status: number;
      readonly to: string | undefined;
    }
  | ProxyMapping;

export type Section = SectionBody &
  (
    | { readonly kind: 'directory'; readonly path: string }
    | { readonly kind: 'directory-match'; readonly pattern: RegExp }
    | { readonly kind: 'files'; readonly name: string }
    | { readonly kind: 'files-match'; readonly pattern: RegExp }
    | { readonly kind: 'location'; readonly path: string }
    | { readonly kind: 'location-match'; readonly pattern: RegExp }
    | { readonly kind: 'proxy'; readonly url: string }
    | { readonly kind: 'if'; readonly condition: Expression }
    | { readonly kind: 'else-if'; readonly condition: Expression }
    | { readonly kind: 'else' }
  );

export interface SectionBody {
  readonly settings: DirectorySettings;
  /** Sections inside (`<Files>` or `<If>` in `<Directory>`, …), in configuration order. */
  readonly sections: readonly Section[];
  readonly at: Position;
}

/** Per-directory settings. Absent means inherited; mergeDirectory() of ./merge.ts lays one over another. */
export interface DirectorySettings {
  readonly options?: OptionsChange;
  readonly directoryIndex?: readonly string[];
  /** By status code: a text (`text:`), a local path (`path:`) or a URL (`url:`), or `default`. */
  readonly errorDocuments?: Readonly<Record<number, ErrorDocument>>;
  /** SetHandler; `none` undoes an inherited one. */
  readonly handler?: string;
  /** AddHandler by lower-case extension; null: RemoveHandler. */
  readonly handlers?: Readonly<Record<string, string | null>>;
  /** CGIScriptTimeout in ms; absent: `Timeout`. */
  readonly cgiTimeout?: number;
  readonly cgiPassAuth?: boolean;
  /** CGIVar REQUEST_URI. */
  readonly cgiRequestUri?: 'original-uri' | 'current-uri';
  readonly require?: RequireSetting;
  /** DynSSLServeToken: who asks the handler dynssl-store must have it. See base/bearer.ts. */
  readonly serveTokenDigest?: string;
  readonly headers?: readonly HeaderRule[];
  readonly requestHeaders?: readonly HeaderRule[];
  /** AddType here: by extension. */
  readonly types?: Readonly<Record<string, string>>;
  /** ProxyPass inside <Location>: its path is the section's. */
  readonly proxyPass?: ProxyMapping;
  /** ProxyPassReverse inside <Location>. */
  readonly proxyPassReverse?: readonly string[];
  readonly proxyCookies?: readonly CookieRewrite[];
  /** ProxyPreserveHost. */
  readonly proxyPreserveHost?: boolean;
  /** ProxyAddHeaders; absent: on. */
  readonly proxyAddHeaders?: boolean;
  /** ProxyErrorOverride: statuses of backends that get our error page; `all` from 400 on. */
  readonly proxyErrorOverride?: readonly number[] | 'all';
  /** Redirect inside <Location>. */
  readonly redirect?: { readonly status: number; readonly to: string | undefined };
  readonly requireHttps?: 'off' | 'temporary' | 'permanent';
  /** SSLVerifyClient of a section. */
  readonly clientAuth?: 'none' | 'optional' | 'require';
  readonly requireSsl?: boolean;
  /** SSLRequire: all must hold. */
  readonly sslRequire?: readonly Expression[];
  /** SSLProxy… and TLSProxy…: for the backends that requests of this place go to. */
  readonly backendTls?: BackendTls;
  /** SSLOptions and TLSOptions; those of the host's family count. */
  readonly sslOptions?: OptionsChange;
  readonly tlsOptions?: OptionsChange;
  /** SSLUserName: the variable whose value is the user. */
  readonly userName?: string;
  /** SetEnv and PassEnv by name; null: UnsetEnv. */
  readonly environment?: Readonly<Record<string, string | null>>;
  /** SetEnvIf and its kin, in configuration order. */
  readonly environmentRules?: readonly EnvironmentRule[];
}

/** `SetEnvIf`: where the attribute matches, variables are set or (null) removed; `$1` in a value is a group. */
export interface EnvironmentRule {
  readonly attribute:
    | { readonly kind: 'property'; readonly name: string }
    /** A request header, or where there is none a variable that is set already. */
    | { readonly kind: 'named'; readonly name: string }
    /** The first header whose name matches. */
    | { readonly kind: 'headers'; readonly names: RegExp };
  readonly pattern: RegExp;
  readonly changes: readonly { readonly name: string; readonly value: string | null }[];
}

/** How `https://` backends are spoken to. */
export interface BackendTls {
  /** SSLProxyEngine and TLSProxyEngine: where the latter is on, `tls` counts, else `ssl`. */
  readonly sslEngine?: boolean;
  readonly tlsEngine?: boolean;
  readonly ssl?: BackendTlsValues;
  readonly tls?: BackendTlsValues;
}

/** What is absent is inherited; else the default holds. */
export interface BackendTlsValues {
  /** PEM of authorities: a file, a folder of such. Default: the system's. */
  readonly caFile?: string | undefined;
  readonly caPath?: string | undefined;
  /** `any-issuer` is optional_no_ca. Default `require`. */
  readonly verify?: 'require' | 'any-issuer' | 'none';
  /** Certificates above the backend's own at most. */
  readonly depth?: number;
  /** SSLProxyCheckPeerName, SSLProxyCheckPeerCN, SSLProxyCheckPeerExpire. Default: all on. */
  readonly checkName?: boolean;
  readonly checkCommonName?: boolean;
  readonly checkExpiry?: boolean;
  /** Both paths of one may be a folder of files that hold certificates with their keys. */
  readonly machine?: readonly CertificateFiles[];
  /** SSLProxyMachineCertificateChainFile. */
  readonly machineChain?: string;
  /** SSLProxyCARevocationFile, a folder of such, and which certificates are looked up: by default, none. */
  readonly crlFile?: string;
  readonly crlPath?: string;
  readonly crlCheck?: {
    readonly check: 'chain' | 'leaf' | 'none';
    readonly optional: boolean;
    readonly at: Position;
  };
  readonly versions?: { readonly min: 'TLSv1.2' | 'TLSv1.3'; readonly max: 'TLSv1.2' | 'TLSv1.3' };
  /** OpenSSL's lists. */
  readonly ciphers?: string;
  readonly ciphersuites?: string;
  /** TLSProxyCiphersPrefer and TLSProxyCiphersSuppress, by number. */
  readonly preferred?: readonly number[];
  readonly suppressed?: readonly number[];
}

/** `Options`: either replaces (all words without sign), or changes what is inherited. */
export type OptionsChange =
  | { readonly kind: 'set'; readonly options: readonly string[] }
  | { readonly kind: 'change'; readonly add: readonly string[]; readonly remove: readonly string[] };

export type ErrorDocument =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'default' };

/** Authorization: `Require` lines (any of them suffices) and containers. */
export type RequireRule =
  | { readonly kind: 'all'; readonly granted: boolean }
  | { readonly kind: 'ip'; readonly networks: readonly string[] }
  | { readonly kind: 'host'; readonly names: readonly string[] }
  | { readonly kind: 'local' }
  | { readonly kind: 'env'; readonly names: readonly string[] }
  | { readonly kind: 'expr'; readonly condition: Expression }
  | { readonly kind: 'not'; readonly rule: RequireRule }
  | { readonly kind: 'any' | 'every' | 'none'; readonly rules: readonly RequireRule[] };

/** Section by section, `Require` replaces what was inherited. */
export interface RequireSetting {
  readonly rule: RequireRule;
}

export interface HeaderRule {
  /** `always` or the default, `onsuccess`; meaningless for RequestHeader. */
  readonly condition: 'onsuccess' | 'always';
  readonly action:
    | 'set'
    | 'append'
    | 'merge'
    | 'add'
    | 'unset'
    | 'setifempty'
    | 'edit'
    | 'edit*'
    | 'echo'
    | 'note';
  readonly name: string;
  /** A format string with %-escapes; for edit, the regular expression. */
  readonly value: string | undefined;
  readonly replacement: string | undefined;
  /** `env=…` as written without `env=`, or an expression. */
  readonly env: string | undefined;
  readonly expr: Expression | undefined;
}

/** A managed domain with the place that defines it. */
export interface ConfiguredDomain extends ManagedDomainSettings {
  readonly at: Position;
}

export interface MdServerSettings {
  /** MDStoreDir, absolute. */
  readonly storeDir: string;
  /** MDPortMap: the local port where the internet's port 80/443 arrives; undefined for `-`. */
  readonly httpPort: number | undefined;
  readonly httpsPort: number | undefined;
  /** MDRetryDelay in ms. */
  readonly retryDelay: number;
  /** MDRetryFailover: errors in a row with one CA before the next one is tried. */
  readonly retryFailover: number;
  /** MDActivateOn. */
  readonly activateOn: 'renewal' | 'restart';
  /** MDPreflight; no resolvers: the system's. */
  readonly preflight: { readonly enabled: boolean; readonly resolvers: readonly string[] };
  /** MDRateLimit, by authority: what differs from the built-in figures. */
  readonly rateLimits: Readonly<Record<string, RateLimits>>;
  /** MDStaplingRenewWindow and MDStaplingKeepResponse. */
  readonly stapling: { readonly renewWindow: Window; readonly keepResponse: Window };
  /** MDStoreLocks: ms that a start waits for another server's; undefined: the store is ours alone. */
  readonly storeLocks: number | undefined;
  /** MDServerStatus: managed domains appear in the answers of server-status. */
  readonly serverStatus: boolean;
  /** MDCertificateStatus: hosts of managed domains answer `/.httpd/certificate-status`. */
  readonly certificateStatus: boolean;
  /** MDCertificateCheck: where people may look up a certificate; its SHA-256 is appended to the URL. */
  readonly certificateCheck: { readonly name: string; readonly url: string };
  /** MDActivationDelay, MDCheckInterval and MDInitialDelay in ms. */
  readonly activationDelay: number;
  readonly checkInterval: number;
  readonly initialDelay: number;
  /** MDNotifyCmd and MDMessageCmd. */
  readonly hooks: HookCommands;
}
