/** An Issuer out of a function of the program's: it gets a request, and gives a certificate. */
import type { KeyObject } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { explain } from '../base/errors.ts';
import { type Bounds, within } from '../base/within.ts';
import { type Issuer, type ObtainOptions, ownProblem, RenewalError } from '../domains/issuer.ts';
import { chainProblem, fits, isAsWanted } from '../domains/issuers/check.ts';
import type { ManagedDomainSettings } from '../domains/settings.ts';
import { keyName } from '../domains/state.ts';
import { chainFile, chainIn, keyFile, readPair } from '../domains/stored/held.ts';
import { createCsr } from '../pki/csr.ts';
import { generateKey, keyFileSuffix } from '../pki/keys.ts';
import type { KeySpec } from '../pki/keyspec.ts';
import { loadPrivateKey, savePrivateKey } from '../store/keys.ts';
import type { Store } from '../store/store.ts';

export interface CertificateRequest {
  /** All names that the certificate must cover; the first is what the domain is called. */
  readonly names: readonly string[];
  /** The signing request (PKCS #10), DER. */
  readonly csr: Buffer;
  /** Aborted when its time is over, and when the renewal is given up. */
  readonly signal: AbortSignal;
}

/**
 * Fulfilled with the certificate and its chain, PEM, the leaf first. It is checked against key and names before it is
 * used. A rejection is a failed renewal, which is tried again later: after 30 s, doubled with each failure up to a day;
 * so is one that takes longer than ten minutes.
 */
export type CertificateIssuer = (request: CertificateRequest) => Promise<string>;

/** ms. Long enough for a CA where somebody has to look; one that never ends would never be tried again. */
const PATIENCE = 600_000;

interface Parts {
  readonly store: Store;
  readonly clock: Clock;
}

export function issuerBy(issue: CertificateIssuer, parts: Parts): Issuer {
  return {
    check: () => [],
    obtain: async (domain, options) => {
      for (const spec of domain.keys) await obtain(issue, parts, domain, spec, options);
    },
  };
}

async function obtain(
  issue: CertificateIssuer,
  { store, clock }: Parts,
  domain: ManagedDomainSettings,
  spec: KeySpec,
  options: ObtainOptions,
): Promise<void> {
  const { name, domains: names } = domain;
  const suffix = keyFileSuffix(spec);
  const staged = await readPair(store, 'staging', name, suffix, options);
  if (isAsWanted(staged, spec, names, clock.now())) return;
  const key = await stagedKey(store, name, spec, options);
  const csr = await createCsr({ key, names });
  options.progress({ step: 'order', detail: `Asking for the ${keyName(spec)} certificate of ${name}` });
  const pem = await ask({ clock, limit: PATIENCE, signal: options.signal }, (signal) =>
    issue({ names, csr, signal }),
  );
  const problem = chainProblem(() => chainIn(store, pem), key, names, clock.now());
  if (problem) throw new RenewalError(problem);
  await store.save('staging', name, chainFile(suffix), pem, options);
}

/** On disk before anybody hears of it, and the same at the next try. */
async function stagedKey(
  store: Store,
  name: string,
  spec: KeySpec,
  options: ObtainOptions,
): Promise<KeyObject> {
  const file = keyFile(keyFileSuffix(spec));
  const known = await loadPrivateKey(store, 'staging', name, file, options);
  if (known && fits(known, spec)) return known;
  const key = await generateKey(spec);
  await savePrivateKey(store, 'staging', name, file, key, options);
  return key;
}

async function ask(bounds: Bounds, issue: (signal: AbortSignal) => Promise<string>): Promise<string> {
  try {
    const pem: unknown = await within(bounds, issue);
    if (typeof pem !== 'string') throw new Error(`a text, PEM, is needed, not ${typeof pem}`);
    return pem;
  } catch (cause) {
    bounds.signal?.throwIfAborted();
    throw new RenewalError(ownProblem('issuer', `The issuer gives none: ${explain(cause)}`), { cause });
  }
}
