/** One Issuer out of several: each domain has the one of its protocol (MDCertificateProtocol). */
import type { Issuer } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';

type Protocol = ManagedDomainSettings['protocol'];

export function byProtocol(issuers: Readonly<Record<Protocol, Issuer>>): Issuer {
  return {
    check: (domain) => issuers[domain.protocol].check(domain),
    notes: (domain, authority) => issuers[domain.protocol].notes?.(domain, authority) ?? [],
    account: (domain, authority) => issuers[domain.protocol].account?.(domain, authority),
    obtain: (domain, options) => issuers[domain.protocol].obtain(domain, options),
    renewalInfo: async (domain, question) => issuers[domain.protocol].renewalInfo?.(domain, question),
  };
}
