/**
 * The Issuer for names of a tailnet (`*.ts.net`): tailscaled orders their certificates, with keys of its own, and
 * gives both to whom it trusts.
 */
import type { Clock } from '../../../base/clock.ts';
import { explain } from '../../../base/errors.ts';
import { type CertificateInfo, parseChain } from '../../../pki/certificate.ts';
import { PkiError } from '../../../pki/errors.ts';
import { keyFileSuffix, keyFromPem } from '../../../pki/keys.ts';
import { savePrivateKey } from '../../../store/keys.ts';
import type { Store } from '../../../store/store.ts';
import { chainFile, keyFile, readPair } from '../../stored/held.ts';
import {
  type Issuer,
  type ObtainOptions,
  ownProblem,
  PostponedError,
  type Problem,
  RenewalError,
} from '../../issuer.ts';
import type { ManagedDomainSettings } from '../../settings.ts';
import { windowStart } from '../../state.ts';
import { chainProblem } from '../check.ts';
import { LocalApi } from './local-api.ts';

export interface TailscaleIssuerOptions {
  readonly store: Store;
  readonly clock: Clock;
}

/** ms between two questions for a certificate that the daemon has not renewed yet. */
const LONGEST_WAIT = 12 * 60 * 60_000;
const SHORTEST_WAIT = 60_000;

export class TailscaleIssuer implements Issuer {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor({ store, clock }: TailscaleIssuerOptions) {
    this.#store = store;
    this.#clock = clock;
  }

  check({ name, domains }: ManagedDomainSettings): readonly Problem[] {
    if (domains.length === 1) return [];
    const detail = `tailscaled gives certificates for one name each, and ${name} has ${domains.length}: ${domains.join(', ')}`;
    const remedy = 'Give each name a managed domain of its own, or say MDMembers manual.';
    return [{ ...ownProblem('tailscale-names', detail), remedy }];
  }

  async obtain(domain: ManagedDomainSettings, options: ObtainOptions): Promise<void> {
    const [problem] = this.check(domain);
    if (problem) throw new RenewalError(problem);
    const { name, keys } = domain;
    const [spec] = keys;
    if (!spec) throw new RenewalError(ownProblem('tailscale', `${name} has no key to be named after`));
    const suffix = keyFileSuffix(spec);
    await using api = new LocalApi(options.authority, this.#clock);
    options.progress({ step: 'directory', detail: `Asking tailscaled for ${name} at ${options.authority}` });
    await refuseForeign(api, name, options);
    const inUse = await this.#inUse(domain, suffix, options);
    const validity = inUse ? inUse.notAfter - windowStart(inUse, domain.renewWindow) : 0;
    const { chain, key } = readAnswer(await api.pair(name, validity, options));
    const pem = chain.map((certificate) => certificate.pem).join('');
    const refused = chainProblem(() => chain, key, domain.domains, this.#clock.now());
    if (refused) throw new RenewalError(refused);
    if (inUse && inUse.sha256 === chain[0]?.sha256) throw this.#comeBack(inUse);
    options.progress({ step: 'certificate', detail: 'tailscaled has given a certificate' });
    await savePrivateKey(this.#store, 'staging', name, keyFile(suffix), key, options);
    await this.#store.save('staging', name, chainFile(suffix), pem, options);
  }

  async #inUse(
    { name }: ManagedDomainSettings,
    suffix: string,
    options: ObtainOptions,
  ): Promise<CertificateInfo | undefined> {
    const pair = await readPair(this.#store, 'domains', name, suffix, options);
    return pair && 'info' in pair ? pair.info : undefined;
  }

  /** The daemon renews in its own time (14 days before the end, of old): what it still gives is no failure. */
  #comeBack({ notAfter }: CertificateInfo): PostponedError {
    const now = this.#clock.now();
    const wait = Math.min(Math.max((notAfter - now) / 10, SHORTEST_WAIT), LONGEST_WAIT);
    const until = new Date(notAfter).toUTCString();
    const reason = `tailscaled has not renewed its certificate yet, which is valid until ${until}`;
    return new PostponedError(Math.round(now + wait), reason);
  }
}

/** What the daemon would refuse itself, after a time, and in fewer words. */
async function refuseForeign(api: LocalApi, name: string, options: ObtainOptions): Promise<void> {
  const names = await api.names(options);
  if (!names || names.includes(name)) return;
  const own = names.length > 0 ? `only for ${names.join(', ')}` : 'for no name at all';
  throw new RenewalError({
    ...ownProblem('tailscale-names', `tailscaled gives certificates ${own}, not for ${name}`),
    remedy:
      'Use the name of this machine in its tailnet, and enable HTTPS certificates in the admin console.',
  });
}

/** @throws RenewalError for what is no key with a certificate */
function readAnswer(pem: string) {
  try {
    return { chain: parseChain(pem), key: keyFromPem(pem) };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    const detail = `tailscaled gave no key with a certificate: ${explain(error)}`;
    throw new RenewalError(ownProblem('tailscale', detail));
  }
}
