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
    'SSLRenegBufferSize SSLSessionCache SSLStaplingCache ' +
    'SSLStaplingErrorCacheTimeout SSLStaplingFakeTryLater ' +
    'SSLStaplingResponseMaxAge SSLStaplingResponseTimeSkew SSLStaplingReturnResponderErrors ' +
    'SSLStaplingStandardCacheTimeout',
};

/** Directive to the module it is of. */
export const ignored: ReadonlyMap<string, string> = new Map(
  Object.entries(byModule).flatMap(([module, names]) =>
    names.split(' ').map((name) => [name, module] as const),
  ),
);
