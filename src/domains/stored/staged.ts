/** Certificates that wait in staging to be put to use: what the status tells of them. */
import { Certificate } from '../../pki/certificate.ts';
import { keyFileSuffix } from '../../pki/keys.ts';
import { signedTimestamps } from '../../pki/transparency.ts';
import type { Store } from '../../store/store.ts';
import { chainFile, undamaged } from './held.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { certificateStatus, type CertificateStatus } from '../status.ts';

/** Those that are there and can be read; keys are not looked at. */
export async function stagedCertificates(
  store: Store,
  domain: Pick<ManagedDomainSettings, 'name' | 'keys'>,
): Promise<CertificateStatus[]> {
  const found: CertificateStatus[] = [];
  for (const spec of domain.keys) {
    const status = await undamaged(
      (async () => {
        const pem = await store.load('staging', domain.name, chainFile(keyFileSuffix(spec)));
        if (!pem) return undefined;
        const certificate = new Certificate(pem.toString());
        const timestamps = signedTimestamps(certificate.x509);
        return { ...certificateStatus(spec, certificate), signedTimestamps: timestamps };
      })(),
    );
    if (status) found.push(status);
  }
  return found;
}
