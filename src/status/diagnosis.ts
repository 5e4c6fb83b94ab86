/** What `latchkey doctor` has to say of a domain. */
import type { Problem } from '../domains/issuer.ts';
import type { Finding } from '../domains/preflight/finding.ts';
import type { ManagedDomainSettings } from '../domains/settings.ts';

export interface Diagnosis {
  readonly name: string;
  readonly names: readonly string[];
  /** What of the configuration will keep it from working. */
  readonly problems: readonly Problem[];
  readonly findings: readonly Finding[];
}

export function diagnose(
  { name, domains }: ManagedDomainSettings,
  problems: readonly Problem[],
  findings: readonly Finding[],
): Diagnosis {
  return { name, names: domains, problems, findings };
}
