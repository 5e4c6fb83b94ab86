/**
 * What directives write into while the tree is walked: Settings in the making, with `undefined` for what was
 * not said. assemble.ts makes Settings of it.
 */
import type { LocalCaSettings } from '../ca/settings.ts';
import type { ExternalAccount, ManagedDomainSettings, RateLimits, Window } from '../domains/settings.ts';
import type { Level } from '../base/log.ts';
import type { CipherCode } from './ciphers.ts';
import type { DynamicDraft } from './dynamic.ts';
import type { OnDemandDraft } from './on-demand.ts';
import type {
  ApiSettings,
  ClientLimitSettings,
  ConnectionLimits,
  CustomLog,
  DirectorySettings,
  HostAddress,
  Mapping,
  MdServerSettings,
  Listen,
  Position,
  PortRange,
  ProxySettings,
  ProxyWorker,
  Section,
  Settings,
} from './settings.ts';

export type Draft<T> = { -readonly [Key in keyof T]?: T[Key] | undefined };

/** Whether TLS is spoken there is decided by the hosts, too. */
export type ListenDraft = Omit<Listen, 'tls'>;

export interface ServerDraft {
  readonly serverRoot: string;
  readonly listens: ListenDraft[];
  readonly base: HostDraft;
  readonly hosts: HostDraft[];
  readonly domains: DomainDraft[];
  readonly logFormats: Map<string, string>;
  /** AddType outside of everything, by extension. */
  readonly types: Map<string, string>;
  readonly tlsEngines: {
    readonly address: string | undefined;
    readonly port: number;
    readonly at: Position;
  }[];
  /** SSLVHostSNIPolicy. */
  sniPolicy?: Settings['sniPolicy'];
  readonly clientLimits: Draft<ClientLimitSettings>;
  /** SSLPassPhraseDialog exec: the command and its arguments. */
  passphraseCommand?: readonly string[];
  readonly md: MdServerDraft;
  readonly localCa: Draft<LocalCaSettings> & { enabled?: boolean };
  dynamicCacheBytes?: number;
  dynamicSnapshot?: string;
  readonly serveFolders: string[];
  api?: ApiSettings;
  pidFile?: string;
  user?: string;
  group?: string;
  workers?: number;
  typesConfig?: { readonly file: string; readonly at: Position };
}

export interface MdServerDraft {
  storeDir?: string;
  httpPort?: number | '-';
  httpsPort?: number | '-';
  retryDelay?: number;
  retryFailover?: number;
  activateOn?: 'renewal' | 'restart';
  preflight?: MdServerSettings['preflight'];
  staplingRenewWindow?: Window;
  staplingKeepResponse?: Window;
  /** By authority. */
  rateLimits?: Record<string, RateLimits>;
  storeLocks?: number | 'off';
  baseServer?: boolean;
  serverStatus?: boolean;
  certificateStatus?: boolean;
  certificateCheck?: { readonly name: string; readonly url: string };
  notifyCommand?: readonly string[];
  messageCommand?: readonly string[];
  checkInterval?: number;
  initialDelay?: number;
  activationDelay?: number;
  matchNames?: 'all' | 'servernames';
}

export interface HostDraft {
  /** Of `<VirtualHost>`; undefined for the base server. */
  readonly at: Position | undefined;
  readonly addresses: readonly HostAddress[];
  readonly aliases: string[];
  readonly mappings: Mapping[];
  readonly limits: Draft<ConnectionLimits>;
  readonly logModules: Map<string, Level>;
  readonly logs: (Omit<CustomLog, 'format'> & { readonly format: string; readonly at: Position })[];
  readonly tls: TlsDraft;
  readonly directory: Draft<DirectorySettings>;
  readonly sections: Section[];
  readonly proxy: ProxyDraft;
  readonly md: DomainValues;
  readonly dynamic: DynamicDraft;
  readonly onDemand: OnDemandDraft;
  serverName?: string;
  proxyRequests?: { readonly at: Position } | 'off';
  /** AllowCONNECT. */
  connectPorts?: readonly PortRange[];
  serverAdmin?: string;
  documentRoot?: string;
  protocols?: readonly string[];
  logLevel?: Level;
  errorLog?: string;
}

export interface ProxyDraft {
  readonly reverse: ProxySettings['reverse'][number][];
  /** Parameters of backends and balancers, by URL; the last word on each counts. */
  readonly workers: ProxyWorker[];
  readonly members: (ProxyWorker & { readonly balancer: string })[];
  timeout?: number;
  sourceAddress?: string;
  maxForwards?: number;
  /** ProxyPassInherit. */
  inherit?: boolean;
}

export interface FileAt {
  readonly path: string;
  readonly at: Position;
}

export interface TlsDraft {
  engine?: { readonly on: boolean; readonly at: Position };
  readonly certificates: FileAt[];
  readonly keys: FileAt[];
  chainFile?: string;
  readonly tlsCertificates: {
    readonly certificate: string;
    readonly key: string | undefined;
    readonly at: Position;
  }[];
  /** SSLProtocol. */
  versions?: TlsVersions;
  /** TLSProtocol. */
  tlsVersions?: TlsVersions;
  ciphers?: string;
  ciphersuites?: string;
  honorCipherOrder?: boolean;
  honorClientOrder?: boolean;
  /** TLSCiphersPrefer and TLSCiphersSuppress. */
  cipherPrefer?: readonly CipherCode[];
  cipherSuppress?: readonly CipherCode[];
  /** SSLUseStapling. */
  stapling?: boolean;
  /** SSLStaplingForceURL. */
  staplingUrl?: string;
  /** SSLStaplingResponderTimeout, ms. */
  staplingTimeout?: number;
  /** SSLSessionTickets, SSLSessionCacheTimeout (seconds) and SSLSessionTicketKeyFile. */
  sessionTickets?: boolean;
  sessionTimeout?: number;
  ticketKeyFile?: string;
  /** TLSSessionCache other than `none`. */
  tlsSessions?: boolean;
  /** SSLStrictSNIVHostCheck. */
  strictSni?: boolean;
  /** TLSStrictSNI. */
  tlsStrictSni?: boolean;
  clientAuth?: { readonly mode: 'none' | 'optional' | 'require'; readonly at: Position };
  clientCa?: string;
  clientCaPath?: string;
  /** SSLVerifyDepth. */
  clientDepth?: number;
  crlFile?: string;
  crlPath?: string;
  crlCheck?: { readonly check: 'none' | 'leaf' | 'chain'; readonly optional: boolean; readonly at: Position };
  /** SSLOpenSSLConfCmd Groups and SignatureAlgorithms. */
  groups?: string;
  signatureAlgorithms?: string;
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';
export interface TlsVersions {
  readonly min: TlsVersion;
  readonly max: TlsVersion;
}

/** Directives that count globally, for the MDs of a virtual host, or inside `<MDomain>`. */
export type DomainValues = Draft<
  Pick<
    ManagedDomainSettings,
    | 'transitive'
    | 'protocol'
    | 'agreement'
    | 'challenges'
    | 'renewMode'
    | 'renewWindow'
    | 'warnWindow'
    | 'keys'
    | 'requireHttps'
    | 'renewViaAri'
    | 'profile'
    | 'profileMandatory'
    | 'mustStaple'
    | 'stapling'
  >
> & {
  authorities?: readonly string[];
  /** Where `local` was named, which needs `LocalCA on`. */
  localAuthority?: Position;
  contact?: string;
  /** MDStapleOthers. */
  stapleOthers?: boolean;
  externalAccount?: ExternalAccount | 'none';
  /** The command and its arguments. */
  challengeDns01?: readonly string[];
  challengeDns01Version?: 1 | 2;
  /** `none` is written as an empty string: it undoes an outer one. */
  caCertificateFile?: string;
  /** `none` is written as an empty string, likewise. */
  proxyUrl?: string;
  proxyCaCertificateFile?: string;
};

export interface DomainDraft {
  readonly at: Position;
  readonly names: string[];
  readonly values: DomainValues;
  /** MDCertificateFile and MDCertificateKeyFile, in order. */
  readonly certificateFiles: string[];
  readonly keyFiles: string[];
  /** The server it stands in: its MD directives count for it. */
  readonly host: HostDraft;
}

export function newHost(at: Position | undefined, addresses: readonly HostAddress[]): HostDraft {
  return {
    at,
    addresses,
    aliases: [],
    mappings: [],
    limits: {},
    logModules: new Map(),
    logs: [],
    tls: { certificates: [], keys: [], tlsCertificates: [] },
    directory: {},
    sections: [],
    proxy: { reverse: [], workers: [], members: [] },
    md: {},
    dynamic: {},
    onDemand: {},
  };
}

export function newServer(serverRoot: string): ServerDraft {
  return {
    serverRoot,
    listens: [],
    base: newHost(undefined, []),
    hosts: [],
    domains: [],
    logFormats: new Map(),
    types: new Map(),
    tlsEngines: [],
    md: {},
    clientLimits: {},
    localCa: {},
    serveFolders: [],
  };
}
