/** What engines ask of CAs about certificates in use. */
import type { CertificateInfo } from '../../pki/certificate.ts';
import { readMd } from '../../store/documents.ts';
import type { Store } from '../../store/store.ts';
import { undamaged } from '../stored/held.ts';
import type { Issuer, RenewalInfo } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';

export interface Questioning {
  readonly store: Store;
  readonly issuer: Issuer;
  readonly directoryUrl: (authority: string) => string;
}

/** When the CA that issued it would like a certificate renewed; undefined where nobody wants to know, or says. */
export async function askForRenewalTime(
  { store, issuer, directoryUrl }: Questioning,
  domain: ManagedDomainSettings,
  certificate: CertificateInfo,
  signal: AbortSignal,
): Promise<RenewalInfo | undefined> {
  if (!domain.renewViaAri || !issuer.renewalInfo) return undefined;
  const md = await undamaged(readMd(store, 'domains', domain.name));
  const issuedBy = domain.authorities.find((url) => url === md?.ca.url) ?? domain.authorities[0];
  if (issuedBy === undefined) return undefined;
  return issuer.renewalInfo(domain, { authority: directoryUrl(issuedBy), certificate, signal });
}
