/** Reading certificates and their keys from the store. */
import { explain } from '../../base/errors.ts';
import { type Certificate, matchesKey, parseChain } from '../../pki/certificate.ts';
import { PkiError, type PkiErrorCode } from '../../pki/errors.ts';
import { keyFileSuffix, keyToPem } from '../../pki/keys.ts';
import { KnownCertificates } from '../../pki/known-certificates.ts';
import type { KeySpec } from '../../pki/keyspec.ts';
import { loadPrivateKey } from '../../store/keys.ts';
import {
  type Abortable,
  type Group,
  type Store,
  StoreError,
  type StoreErrorCode,
} from '../../store/store.ts';
import type { Held, HeldSet } from '../state.ts';

/** A key's file by its spec's suffix: `privkey.pem`, `privkey.p-256.pem`. */
export const keyFile = (suffix: string): string => `privkey${suffix}.pem`;
/** The file of a certificate and its chain: `pubcert.pem`, `pubcert.p-256.pem`. */
export const chainFile = (suffix: string): string => `pubcert${suffix}.pem`;

/** The suffixes for which `aspects` has a certificate, RSA's (the empty one) first. */
export function heldSuffixes(aspects: readonly string[]): string[] {
  return aspects
    .map((aspect) => /^pubcert((?:\.[a-z0-9-]+)?)\.pem$/.exec(aspect)?.[1])
    .filter((suffix) => suffix !== undefined)
    .sort();
}

/** Whether a renewal has left something in staging that is worth going on with, and whether all is there. */
export function stagedFiles(
  aspects: readonly string[],
  keys: readonly KeySpec[],
): { readonly begun: boolean; readonly staged: boolean } {
  const suffixes = keys.map(keyFileSuffix);
  return {
    begun: aspects.some((aspect) => aspect === 'order.json' || aspect.startsWith('pubcert')),
    staged: suffixes.every((s) => aspects.includes(keyFile(s)) && aspects.includes(chainFile(s))),
  };
}

/** What `group` holds for the keys of a domain. What is damaged is told, not thrown. */
export async function readHeld(
  store: Store,
  group: Group,
  name: string,
  keys: readonly KeySpec[],
  options?: Abortable,
): Promise<HeldSet> {
  const held = new Map<string, Held | { damage: string }>();
  for (const suffix of keys.map(keyFileSuffix)) {
    const pair = await readPair(store, group, name, suffix, options);
    if (pair) held.set(suffix, pair);
  }
  return held;
}

const known = new WeakMap<Store, KnownCertificates>();

/** A chain of this store. Throws as parseChain(). */
export function chainIn(store: Store, pem: string): readonly Certificate[] {
  const certificates = known.get(store) ?? new KnownCertificates();
  known.set(store, certificates);
  return parseChain(pem, { known: certificates });
}

/** A certificate with its key; undefined where there is no certificate, `damage` where it can't be used. */
export async function readPair(
  store: Store,
  group: Group,
  name: string,
  suffix: string,
  options?: Abortable,
): Promise<Held | { readonly damage: string } | undefined> {
  try {
    const pem = await store.load(group, name, chainFile(suffix), options);
    if (!pem) return undefined;
    const chain = chainIn(store, pem.toString());
    const [leaf] = chain;
    const key = await loadPrivateKey(store, group, name, keyFile(suffix), options);
    if (!key || !leaf) return { damage: `${keyFile(suffix)} is missing` };
    if (!matchesKey(leaf, key)) {
      return { damage: `${keyFile(suffix)} is not the key of the certificate in ${chainFile(suffix)}` };
    }
    return { info: leaf, key, chain };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { damage: `${chainFile(suffix)} or its key can't be used: ${explain(error)}` };
  }
}

/**
 * What is there in PEM, key decrypted, unchecked. What can't be read, a key above all, is left out, and `damaged` called
 * with why. Rejects as the store does.
 */
export async function readPems(
  store: Store,
  group: Group,
  name: string,
  keys: readonly KeySpec[],
  damaged: (error: unknown) => void,
): Promise<{ readonly chainPem: string; readonly keyPem: string }[]> {
  const pems = await Promise.all(
    keys.map(keyFileSuffix).map(async (suffix) => {
      try {
        const chain = await store.load(group, name, chainFile(suffix));
        const key = chain && (await loadPrivateKey(store, group, name, keyFile(suffix)));
        return chain && key ? [{ chainPem: chain.toString('latin1'), keyPem: keyToPem(key) }] : [];
      } catch (error) {
        if (!isDamage(error)) throw error;
        damaged(error);
        return [];
      }
    }),
  );
  return pems.flat();
}

const DAMAGE: ReadonlySet<string> = new Set<PkiErrorCode | `store-${StoreErrorCode}`>([
  'key-unreadable',
  'key-passphrase',
  'pem-unreadable',
  'certificate-unreadable',
  'store-garbage',
  'store-unreadable',
  'store-bad-name',
]);

/** Whether an error is about what a file holds (it may be made anew), not about reaching it. */
export function isDamage(error: unknown): boolean {
  return (error instanceof PkiError || error instanceof StoreError) && DAMAGE.has(error.code);
}

/** A value that may be missing and may be damaged, which comes to the same. */
export async function undamaged<Value>(reading: Promise<Value | undefined>): Promise<Value | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}
