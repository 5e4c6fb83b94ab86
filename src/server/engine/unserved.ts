import type { HostSettings, Settings } from '../../config/settings.ts';

/** Tells why no host serves the certificates of a domain, though they may be had; undefined where one does. */
export function unservedBy({
  base,
  hosts,
  domains,
  addedTemplate,
}: Settings): (domain: string) => string | undefined {
  const secure = [base, ...hosts].filter(({ tls }) => tls.engine);
  const byDomain = Map.groupBy(secure, ({ managedDomain }) => managedDomain);
  // They are found by name at any of them.
  const added = new Set(domains.filter(({ at }) => at === addedTemplate.at).map(({ name }) => name));
  return (domain) => {
    if (added.has(domain) && secure.length > 0) return undefined;
    const own = byDomain.get(domain)?.map(ownCertificate);
    if (!own)
      return 'no virtual host with TLS has its names: add SSLEngine on to the one that shall, or https to its Listen';
    return own.includes(undefined) ? undefined : `${[...new Set(own)].join(', ')} keeps serving`;
  };
}

function ownCertificate({ tls }: HostSettings): string | undefined {
  const [files] = tls.certificates;
  if (!files) return undefined;
  const directive = tls.family === 'tls' ? 'TLSCertificate' : 'SSLCertificateFile';
  return `${directive} at ${files.at.file}:${files.at.line}`;
}
