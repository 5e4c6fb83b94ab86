import type { HostSettings, Settings } from '../../config/settings.ts';

/** Why no host serves the certificates of a managed domain, though they may be had; undefined where one does. */
export function whyUnserved({ base, hosts }: Settings, domain: string): string | undefined {
  const all = [base, ...hosts].filter(({ managedDomain, tls }) => managedDomain === domain && tls.engine);
  if (all.length === 0) return 'no virtual host with TLS has its names';
  const own = all.map(ownCertificate);
  return own.includes(undefined) ? undefined : `${[...new Set(own)].join(', ')} keeps serving`;
}

function ownCertificate({ tls }: HostSettings): string | undefined {
  const [files] = tls.certificates;
  if (!files) return undefined;
  const directive = tls.family === 'tls' ? 'TLSCertificate' : 'SSLCertificateFile';
  return `${directive} at ${files.at.file}:${files.at.line}`;
}
