/**
 * httpd's modules whose work Latchkey does itself. `<IfModule>` finds them by identifier or source name,
 * `LoadModule` of them is accepted whether or not the .so exists.
 */
const builtIn: Readonly<Record<string, string>> = {
  core_module: 'core.c',
  so_module: 'mod_so.c',
  http_module: 'http_core.c',
  version_module: 'mod_version.c',
  unixd_module: 'mod_unixd.c',
  watchdog_module: 'mod_watchdog.c',
  alias_module: 'mod_alias.c',
  authz_core_module: 'mod_authz_core.c',
  authz_host_module: 'mod_authz_host.c',
  dir_module: 'mod_dir.c',
  env_module: 'mod_env.c',
  headers_module: 'mod_headers.c',
  http2_module: 'mod_http2.c',
  log_config_module: 'mod_log_config.c',
  md_module: 'mod_md.c',
  mime_module: 'mod_mime.c',
  proxy_module: 'mod_proxy.c',
  proxy_http_module: 'mod_proxy_http.c',
  proxy_wstunnel_module: 'mod_proxy_wstunnel.c',
  reqtimeout_module: 'mod_reqtimeout.c',
  setenvif_module: 'mod_setenvif.c',
  ssl_module: 'mod_ssl.c',
  status_module: 'mod_status.c',
  tls_module: 'mod_tls.c',
  cgi_module: 'mod_cgi.c',
  cgid_module: 'mod_cgid.c',
  dynssl_module: 'mod_dynssl.c',
  localca_module: 'mod_localca.c',
};

/**
 * Modules that configure how httpd itself runs, or only hold what a directive of ours would use: loading them
 * is no reason for a warning, but nothing is said to be there for `<IfModule>`.
 */
const replaced = new Set([
  'mpm_event_module',
  'mpm_worker_module',
  'mpm_prefork_module',
  'socache_shmcb_module',
  'slotmem_shm_module',
  'filter_module',
  'logio_module',
]);

const known = new Set(Object.entries(builtIn).flat());

/** Whether `<IfModule name>` holds. */
export function hasModule(name: string): boolean {
  return known.has(name);
}

/** Whether `LoadModule name …` goes without a warning. */
export function acceptsModule(identifier: string): boolean {
  return identifier in builtIn || replaced.has(identifier);
}

/** The name by which LogLevel and log lines call a module (`ssl` for ssl_module, mod_ssl.c), or undefined. */
export function logName(name: string): string | undefined {
  const short = name.replace(/^mod_(.*)\.c$/, '$1').replace(/_module$/, '');
  if (known.has(`${short}_module`) || replaced.has(`${short}_module`)) return short;
  return known.has(name) ? short.replace(/\.c$/, '') : undefined;
}

/** What `-M` prints, as httpd does. */
export function describeModules(): string {
  const lines = Object.keys(builtIn).map((identifier) => ` ${identifier} (static)\n`);
  return `Loaded Modules:\n${lines.join('')}`;
}
