import type { AccountRef, AcmeClient } from '../../acme/client.ts';
import type { Clock } from '../../base/clock.ts';
import type { Store } from '../../store/store.ts';
import type { ObtainOptions } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';

/** What all steps of one obtain() work with. */
export interface Run {
  readonly store: Store;
  readonly clock: Clock;
  readonly domain: ManagedDomainSettings;
  readonly client: AcmeClient;
  /** Replaced when the CA has forgotten it. */
  account: AccountRef;
  readonly options: ObtainOptions;
  /** Whether to ask for must-staple; no more once the CA has refused it. */
  mustStaple: boolean;
}
