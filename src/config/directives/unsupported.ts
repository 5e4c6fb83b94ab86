/**
 * Directives that are known and do something that must not be left out silently: they are errors, with the
 * remedy where there is one.
 */
const later = 'is not supported yet by this version of Latchkey';
const never = 'is not supported by Latchkey';

const reasons: readonly (readonly [names: string, reason: string])[] = [
  [
    'AuthType AuthName AuthUserFile AuthGroupFile AuthBasicProvider AuthMerging AuthFormProvider ' +
      'AuthDigestProvider AuthzSendForbiddenOnFailure <AuthnProviderAlias <AuthzProviderAlias',
    `${later}: protect the place by Require ip or SSLVerifyClient`,
  ],
  ['SSLFIPS SSLSRPVerifierFile SSLSRPUnknownUserSeed', never],
  ['Order Allow Deny Satisfy', 'of httpd 2.2 is not supported: use Require all granted, Require ip …'],
  [
    'RewriteEngine RewriteOptions RewriteBase RewriteCond RewriteRule RewriteMap',
    `${never}: use Redirect, Alias or ProxyPass; for http to https, MDRequireHttps`,
  ],
  ['<Limit <LimitExcept', `${later}: use <If "%{REQUEST_METHOD} …">`],
  [
    'AddInputFilter AddOutputFilter SetInputFilter SetOutputFilter',
    `${later}: leave it out where it only compresses (DEFLATE)`,
  ],
  ['<Macro Use UndefMacro', `${later}: write out what it makes`],
  [
    'RemoteIPHeader RemoteIPHeaderOverride RemoteIPInternalProxy RemoteIPInternalProxyList RemoteIPProxiesHeader ' +
      'RemoteIPTrustedProxy RemoteIPTrustedProxyList RemoteIPProxyProtocol RemoteIPProxyProtocolExceptions',
    `${later}: clients are who connects; LogFormat has what a balancer says as %{X-Forwarded-For}i`,
  ],
  [
    'php_value php_flag php_admin_value php_admin_flag PHPIniDir',
    `${never}: have PHP served by a server of its own, and ProxyPass to it`,
  ],
  [
    '<ProxyMatch ProxyRemote ' +
      'ProxyRemoteMatch ProxyBlock ProxyDomain NoProxy ProxyPassInterpolateEnv BalancerInherit',
    later,
  ],
  [
    'Action Script ForceType FallbackResource DirectorySlash DirectoryCheckHandler ' +
      'DirectoryIndexRedirect AllowEncodedSlashes AllowOverrideList AllowMethods ContentDigest UserDir ' +
      'VirtualDocumentRoot VirtualDocumentRootIP VirtualScriptAlias VirtualScriptAliasIP ChrootDir Suexec ' +
      'SuexecUserGroup LoadFile TransferLog GlobalLog ForensicLog SetEnvIfExpr ' +
      'ScriptLog Substitute XBitHack',
    later,
  ],
];

/** Directive (`<` before a section's name) to what its message says after the name. */
export const unsupported: ReadonlyMap<string, string> = new Map(
  reasons.flatMap(([names, reason]) => names.split(' ').map((name) => [name, reason] as const)),
);
