/**
 * Directives of httpd that change nothing that matters here: each is taken with one warning. Nothing belongs
 * here that restricts access, changes what is served, or weakens TLS when left out.
 */
const byModule: Readonly<Record<string, string>> = {
  core:
    'AcceptFilter AccessFileName AddDefaultCharset AcceptPathInfo CoreDumpDirectory DefaultRuntimeDir ' +
    'DefaultType EnableMMAP EnableSendfile ErrorLogFormat ExtendedStatus FileETag FlushMaxPipelined ' +
    'FlushMaxThreshold HostnameLookups HttpProtocolOptions LimitInternalRecursion LimitXMLRequestBody ' +
    'MaxMemFree MaxRangeOverlaps MaxRangeReversals MaxRanges MergeSlashes MergeTrailers Mutex ' +
    'NameVirtualHost ProtocolsHonorOrder QualifyRedirectURL ReadBufferSize RegexDefaultOptions RLimitCPU ' +
    'RLimitMEM RLimitNPROC ScoreBoardFile SeeRequestTail ServerPath ServerSignature ServerTokens ' +
    'StrictHostCheck ThreadStackSize TraceEnable UseCanonicalName UseCanonicalPhysicalPort WatchdogInterval',
  mpm:
    'AsyncRequestWorkerFactor GracefulShutdownTimeout ListenBacklog ListenCoresBucketsRatio ' +
    'ListenTCPDeferAccept MaxClients MaxConnectionsPerChild MaxRequestsPerChild MaxRequestWorkers ' +
    'MaxSpareServers MaxSpareThreads MinSpareServers MinSpareThreads ReceiveBufferSize SendBufferSize ' +
    'ServerLimit StartServers ThreadLimit ThreadsPerChild',
  cgid: 'ScriptSock',
  log: 'BufferedLogs LogIOTrackTTFB',
  mime:
    'AddCharset AddEncoding AddLanguage DefaultLanguage ModMimeUsePathInfo MultiviewsMatch RemoveCharset ' +
    'RemoveEncoding RemoveLanguage RemoveType',
  negotiation: 'CacheNegotiatedDocs ForceLanguagePriority LanguagePriority',
  autoindex:
    'AddAlt AddAltByEncoding AddAltByType AddDescription AddIcon AddIconByEncoding AddIconByType DefaultIcon ' +
    'FancyIndexing HeaderName IndexHeadInsert IndexIgnore IndexIgnoreReset IndexOptions IndexOrderDefault ' +
    'IndexStyleSheet ReadmeName',
  deflate:
    'AddOutputFilterByType DeflateAlterEtag DeflateBufferSize DeflateCompressionLevel DeflateFilterNote ' +
    'DeflateMemLevel DeflateWindowSize',
  expires: 'ExpiresActive ExpiresByType ExpiresDefault',
  proxy:
    'BalancerGrowth BalancerPersist ProxyBadHeader ProxyIOBufferSize ProxyReceiveBufferSize ProxyStatus ProxyVia',
  http2:
    'H2CopyFiles H2Direct H2EarlyHints H2MaxSessionStreams H2MaxWorkerIdleSeconds H2MaxWorkers H2MinWorkers ' +
    'H2ModernTLSOnly H2OutputBuffering H2Padding H2Push H2PushDiarySize H2PushPriority H2SerializeHeaders ' +
    'H2SessionExtraFiles H2StreamMaxMemSize H2TLSCoolDownSecs H2TLSWarmUpSize H2Upgrade H2WindowSize',
  ssl:
    'SSLCompression SSLCryptoDevice SSLInsecureRenegotiation SSLRandomSeed ' +
    // What SSLOCSPEnable off, the only one there is, makes no use of.
    'SSLOCSPDefaultResponder SSLOCSPNoverify SSLOCSPOverrideResponder SSLOCSPProxyURL ' +
    'SSLOCSPResponderCertificateFile SSLOCSPResponderTimeout SSLOCSPResponseMaxAge ' +
    'SSLOCSPResponseTimeSkew SSLOCSPUseRequestNonce ' +
    'SSLRenegBufferSize SSLSessionCache',
};

const NO_ERRORS = 'only responses that say good are stapled, never a responder’s error';

/** What of mod_ssl's stapling has no counterpart, and why. */
const stapling: Readonly<Record<string, string>> = {
  SSLStaplingCache: 'OCSP responses are kept in the store',
  SSLStaplingErrorCacheTimeout: 'MDRetryDelay says how soon a responder is asked again',
  SSLStaplingFakeTryLater: NO_ERRORS,
  SSLStaplingResponseMaxAge: 'an OCSP response is good for as long as it says itself',
  SSLStaplingResponseTimeSkew: 'a responder’s clock may be five minutes ahead',
  SSLStaplingReturnResponderErrors: NO_ERRORS,
  SSLStaplingStandardCacheTimeout: 'MDStaplingRenewWindow says when the next OCSP response is fetched',
};

export interface Ignored {
  readonly module: string;
  /** What there is instead, for people; undefined where nobody will miss it. */
  readonly why?: string | undefined;
}

/** By directive. */
export const ignored: ReadonlyMap<string, Ignored> = new Map<string, Ignored>([
  ...Object.entries(byModule).flatMap(([module, names]) =>
    names.split(' ').map((name) => [name, { module }] as const),
  ),
  ...Object.entries(stapling).map(([name, why]) => [name, { module: 'ssl', why }] as const),
]);
