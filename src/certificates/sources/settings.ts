/** What the configuration says of certificate stores (DynSSL directives). Times are ms, sizes bytes. */

/** How ids of sets begin that belong to no host, but to a name: `dyn:STORE:NAME`. */
export const DYNAMIC_PREFIX = 'dyn:';

export interface DynamicSettings {
  /** One for each store that hosts use, those of equal settings being one. */
  readonly stores: readonly DynamicStoreSettings[];
  /** Of hosts whose unknown names are ordered (MDOnDemand). */
  readonly onDemand: readonly OnDemandSource[];
  /** DynSSLSharedCache: all certificates kept, of all stores. */
  readonly cacheBytes: number;
  /** DynSSLSnapshot: absolute; undefined: a start is cold. */
  readonly snapshotFile: string | undefined;
}

/** How certificates are kept that the server itself obtains and stores. */
export interface OnDemandSource {
  /** As DynamicStoreSettings have it. */
  readonly id: string;
  /** MDOnDemandWait: for an answer, with an order in it. */
  readonly wait: number;
  readonly cacheFloor: number;
  readonly renewBefore: number;
}

/** Where names are looked for. */
export type SourceSettings = DynamicStoreSettings | OnDemandSource;

/** The longest that an answer may take. */
export function waitOf(settings: SourceSettings): number {
  return 'urls' in settings ? settings.timeout * settings.urls.length : settings.wait;
}

export interface DynamicStoreSettings {
  /**
   * Names the store in the certificate table. Equal as long as what is asked stays the same (URLs, token,
   * verification), so that a reload keeps what is cached.
   */
  readonly id: string;
  /** DynSSLStoreURL, without slash at the end; those after the first are asked when the ones before fail. */
  readonly urls: readonly StoreUrl[];
  /** DynSSLStoreToken. */
  readonly token: string | undefined;
  /** DynSSLStoreSSLVerify. */
  readonly verify: boolean;
  /** DynSSLStoreCAFile, absolute; undefined: the system's. */
  readonly caFile: string | undefined;
  /** DynSSLTimeout: for one question to one URL, answer included. */
  readonly timeout: number;
  /** DynSSLMaxAnswer: a longer answer is refused. */
  readonly maxAnswer: number;
  /** DynSSLCircuitBreaker: consecutive failures. */
  readonly breakerFailures: number;
  /** DynSSLCircuitReset. */
  readonly breakerReset: number;
  /** DynSSLCacheTTL. */
  readonly cacheFloor: number;
  /** DynSSLCacheRenewDays. */
  readonly renewBefore: number;
}

export interface StoreUrl {
  /** As configured. */
  readonly display: string;
  readonly url: string;
  /** Of `unix:/path|http://…`. */
  readonly socketPath: string | undefined;
}
