/** Of certificates on demand: what the configuration says about a name. */
import { wildcardOf } from '../../certificates/source.ts';
import type { Settings } from '../../config/settings.ts';
import { strayingOf, type Surroundings } from '../../domains/on-demand/leads-here.ts';
import { dnsBy, systemDns } from '../../domains/preflight/dns.ts';
import type { OnDemandSettings } from '../../domains/settings.ts';
import type { Abortable, Store } from '../../store/store.ts';

/** See AdmissionParts.straying: as the first CA of a name sees it. */
export function strayingBy(settings: () => Settings, store: Store) {
  return (name: string, { addresses, template }: OnDemandSettings, options: Abortable) =>
    strayingOf(name, addresses, {
      ...eyesOf(template.authorities[0], settings(), template),
      store,
      ...options,
    });
}

function eyesOf(
  authority: string | undefined,
  { localCa, md }: Settings,
  { reach }: OnDemandSettings['template'],
): Pick<Surroundings, 'dns' | 'httpPort' | 'local'> {
  if (authority !== 'local' || !localCa) {
    const httpPort = reach.http01.possible ? 80 : undefined;
    return { dns: dnsBy(md.preflight.resolvers), httpPort, local: false };
  }
  const dns = localCa.resolver === undefined ? systemDns : dnsBy([localCa.resolver]);
  return { dns, httpPort: localCa.httpPort, local: true };
}

/** Tells names that managed domains of the configuration have. */
export function configuredNames({ domains }: Settings): (name: string) => boolean {
  const names = new Set(domains.flatMap(({ domains: all }) => all));
  return (name) => names.has(name) || names.has(wildcardOf(name) ?? '');
}
