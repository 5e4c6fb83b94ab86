/** When a new set of certificates may be put to use. */
import type { Clock } from '../../base/clock.ts';
import type { CertificateInfo } from '../../pki/certificate.ts';
import type { Store } from '../../store/store.ts';
import { readHeld } from '../stored/held.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { assess } from '../state.ts';

interface Surroundings {
  readonly store: Store;
  readonly clock: Clock;
  /** MDActivationDelay, ms. */
  readonly activationDelay: number;
}

/**
 * The latest notBefore of the new set. MDActivationDelay comes on top while the set in use is complete, and ends
 * no later than that one expires: clocks of clients that go wrong get time, outages do not. ms since the epoch.
 */
export async function readyTime(
  { store, clock, activationDelay }: Surroundings,
  domain: ManagedDomainSettings,
  fresh: readonly Pick<CertificateInfo, 'notBefore'>[],
): Promise<number> {
  const valid = Math.max(...fresh.map(({ notBefore }) => notBefore));
  if (activationDelay === 0) return valid;
  const held = await readHeld(store, 'domains', domain.name, domain.keys);
  const { state, expired, certificates } = assess(domain, held, clock.now());
  if (state !== 'complete' || expired) return valid;
  const end = Math.min(...certificates.map(({ info }) => info.notAfter));
  return Math.max(valid, Math.min(valid + activationDelay, end));
}
