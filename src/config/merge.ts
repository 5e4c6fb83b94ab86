import type { BackendTls, DirectorySettings, OptionsChange } from './settings.ts';

/**
 * Lays per-directory settings over others, as httpd merges sections: what `over` does not say stays. Headers,
 * SetEnvIf and SSLRequire add up; error documents, types, handlers and variables do by code, extension and name; `Options +X` changes what is inherited; all
 * else replaces, `Require` too.
 */
export function mergeDirectory(base: DirectorySettings, over: DirectorySettings): DirectorySettings {
  if (isEmpty(over)) return base;
  if (isEmpty(base)) return over;
  const merged = { ...base, ...over };
  return {
    ...merged,
    ...(base.options && over.options && { options: changeOptions(base.options, over.options) }),
    ...(base.sslOptions &&
      over.sslOptions && { sslOptions: changeOptions(base.sslOptions, over.sslOptions) }),
    ...(base.tlsOptions &&
      over.tlsOptions && { tlsOptions: changeOptions(base.tlsOptions, over.tlsOptions) }),
    ...(base.sslRequire && over.sslRequire && { sslRequire: [...base.sslRequire, ...over.sslRequire] }),
    ...(base.errorDocuments &&
      over.errorDocuments && { errorDocuments: { ...base.errorDocuments, ...over.errorDocuments } }),
    ...(base.handlers && over.handlers && { handlers: { ...base.handlers, ...over.handlers } }),
    ...(base.types && over.types && { types: { ...base.types, ...over.types } }),
    ...(base.environment &&
      over.environment && { environment: { ...base.environment, ...over.environment } }),
    ...(base.environmentRules &&
      over.environmentRules && { environmentRules: [...base.environmentRules, ...over.environmentRules] }),
    ...(base.headers && over.headers && { headers: [...base.headers, ...over.headers] }),
    ...(base.requestHeaders &&
      over.requestHeaders && { requestHeaders: [...base.requestHeaders, ...over.requestHeaders] }),
    ...(base.backendTls && over.backendTls && { backendTls: mergeBackend(base.backendTls, over.backendTls) }),
    ...(base.proxyCookies &&
      over.proxyCookies && { proxyCookies: [...over.proxyCookies, ...base.proxyCookies] }),
    ...(base.proxyPassReverse &&
      over.proxyPassReverse && { proxyPassReverse: [...base.proxyPassReverse, ...over.proxyPassReverse] }),
  };
}

function mergeBackend(base: BackendTls, over: BackendTls): BackendTls {
  return {
    ...base,
    ...over,
    ...(base.ssl && over.ssl && { ssl: { ...base.ssl, ...over.ssl } }),
    ...(base.tls && over.tls && { tls: { ...base.tls, ...over.tls } }),
  };
}

function isEmpty(settings: DirectorySettings): boolean {
  for (const _key in settings) return false;
  return true;
}

/** One `Options` after another. */
export function changeOptions(base: OptionsChange | undefined, over: OptionsChange): OptionsChange {
  if (!base || over.kind === 'set') return over;
  const keep = (options: readonly string[]) =>
    options.filter((option) => !over.add.includes(option) && !over.remove.includes(option));
  if (base.kind === 'set') return { kind: 'set', options: [...keep(base.options), ...over.add] };
  return {
    kind: 'change',
    add: [...keep(base.add), ...over.add],
    remove: [...keep(base.remove), ...over.remove],
  };
}

/** Whether an option is on, by its name in any case; undefined: nothing is said of it. */
export function hasOption(options: OptionsChange | undefined, name: string): boolean | undefined {
  const among = (list: readonly string[]) =>
    list.some((option) => [name.toLowerCase(), 'all'].includes(option.toLowerCase()));
  if (!options) return undefined;
  if (options.kind === 'set') return among(options.options);
  if (among(options.remove)) return false;
  return among(options.add) ? true : undefined;
}
