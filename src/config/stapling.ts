/** Which hosts staple, by the directives of mod_md and mod_ssl together. */
import type { HostDraft } from './draft.ts';
import type { HostStapling, HostTls } from './settings.ts';

/** httpd's default, ms. */
const DEFAULT_TIMEOUT = 10_000;

/** The managed domain whose certificates a host shows. */
interface Managing {
  readonly name: string;
  readonly stapling: boolean;
}

/**
 * SSLUseStapling decides where it is said; else MDStapling of the domain, or of the server for certificates that no
 * domain manages.
 */
export function hostStapling(
  host: HostDraft,
  base: HostDraft,
  tls: HostTls,
  managing: Managing | undefined,
): HostStapling | undefined {
  if (!tls.engine) return undefined;
  const bySsl = tls.family === 'ssl' ? (host.tls.stapling ?? base.tls.stapling) : undefined;
  if (!(bySsl ?? (managing ? managing.stapling : staplesOthers(host, base)))) return undefined;
  return {
    domain: managing?.name,
    responderUrl: host.tls.staplingUrl ?? base.tls.staplingUrl,
    timeout: host.tls.staplingTimeout ?? base.tls.staplingTimeout ?? DEFAULT_TIMEOUT,
  };
}

/** Of domains that are added at run time. `stapling`: their MDStapling. */
export function addedStapling(
  base: HostDraft,
  tls: HostTls,
  stapling: boolean,
): Omit<HostStapling, 'domain'> | undefined {
  return hostStapling(base, base, { ...tls, engine: true }, { name: '', stapling });
}

function staplesOthers({ md }: HostDraft, base: HostDraft): boolean {
  return (md.stapling ?? base.md.stapling ?? false) && (md.stapleOthers ?? base.md.stapleOthers ?? true);
}
