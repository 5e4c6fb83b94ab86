import type { HostSettings, Settings } from '../../config/settings.ts';

/** Tells why no host serves the certificates of a domain, though they may be had; undefined where one does. */
export function unservedBy({ base, hosts }: Settings): (domain: string) => string | undefined {
  const secure = [base, ...hosts].filter(({ tls }) => tls.engine);
  const byDomain = Map.groupBy(secure, ({ managedDomain }) => managedDomain);
  return (domain) => {
    const own = byDomain.get(domain)?.map(ownCertificate);
    if (!own) return 'no virtual host with TLS has its names';
    return own.includes(undefined) ? undefined : `${[...new Set(own)].join(', ')} keeps serving`;
  };
}

function ownCertificate({ tls }: HostSettings): string | undefined {
  const [files] = tls.certificates;
  if (!files) return undefined;
  const directive = tls.family === 'tls' ? 'TLSCertificate' : 'SSLCertificateFile';
  return `${directive} at ${files.at.file}:${files.at.line}`;
}
