/**
 * The configured managed domains brought in line with the store. For whoever may write `domains` (the
 * supervisor), at start and at each reload. What is configured no more keeps its files.
 */
import PQueue from 'p-queue';
import type { Clock } from '../../base/clock.ts';
import { coversName, parseChain } from '../../pki/certificate.ts';
import { keyFileSuffix } from '../../pki/keys.ts';
import { createFallbackCertificate } from '../../pki/selfsigned.ts';
import { encodeMd, readMd } from '../../store/documents.ts';
import { savePrivateKey } from '../../store/keys.ts';
import type { Store } from '../../store/store.ts';
import { encodedIfValid, mdDocument } from './document.ts';
import { chainFile, heldSuffixes, keyFile, readHeld, readPair, undamaged } from './held.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import type { Held, HeldSet } from '../state.ts';
import { judge, readPemFile } from './static-files.ts';

/** Domains looked at at once: enough to keep a disk busy. */
const PARALLEL = 64;

/** A fallback certificate is renewed when less than this of its life is left, ms. */
const FALLBACK_MARGIN = 7 * 24 * 60 * 60 * 1000;

/**
 * Writes md.json of each domain where it isn't as configured, gives domains without certificates those of the
 * domains that their names come from, and makes fallback certificates for the rest.
 */
export async function syncDomains(
  store: Store,
  domains: readonly ManagedDomainSettings[],
  clock: Clock,
): Promise<void> {
  const present = await store.list('domains');
  const bare: ManagedDomainSettings[] = [];
  const empty = new Set<string>();
  await forEach(domains, async (domain) => {
    // Of a new store nothing needs to be looked for.
    const aspects = present.length > 0 ? await store.aspects('domains', domain.name) : [];
    if (heldSuffixes(aspects).length === 0) bare.push(domain);
    if (aspects.length === 0) empty.add(domain.name);
  });
  if (bare.length > 0 && present.length > 0) {
    for (const name of await adopt(store, bare, present)) empty.delete(name);
  }
  await forEach(domains, (domain) => syncDomain(store, domain, empty.has(domain.name), clock.now()));
}

/** `isNew`: the store has nothing of it, and to look for each file of a thousand domains takes a second. */
async function syncDomain(
  store: Store,
  domain: ManagedDomainSettings,
  isNew: boolean,
  now: number,
): Promise<void> {
  const { name } = domain;
  const before = isNew ? undefined : await undamaged(readMd(store, 'domains', name));
  const held: HeldSet = isNew ? new Map() : await readHeld(store, 'domains', name, domain.keys);
  const state = await judge(domain, held, { now, read: readPemFile });
  const after = encodeMd(mdDocument(domain, state, before));
  const current = before && encodedIfValid(() => encodeMd(before));
  // One that is new the next start would write anew.
  if (current !== after)
    await store.save('domains', name, 'md.json', after, { durable: before !== undefined });
  const served = domain.staticFiles.length > 0 || [...held.values()].some(isPair);
  if (served || (!isNew && (await hasFallback(store, domain, now)))) return;
  await makeFallback(store, domain, now);
}

async function hasFallback(store: Store, domain: ManagedDomainSettings, now: number): Promise<boolean> {
  const { name, domains } = domain;
  const files = fallbackFiles(domain);
  const pem = await undamaged(store.load('domains', name, files.chain));
  const key = pem && (await undamaged(store.load('domains', name, files.key)));
  return pem !== undefined && key !== undefined && isFallbackFor(pem.toString(), domains, now);
}

/** One fallback certificate is enough: P-256, which every client can do, whatever the keys to be. */
async function makeFallback(store: Store, domain: ManagedDomainSettings, now: number): Promise<void> {
  const { name, domains: names } = domain;
  const files = fallbackFiles(domain);
  const { certPem, keyPem } = await createFallbackCertificate({ names, now });
  // What a power cut leaves of them is looked at by the next start, and made anew.
  await store.save('domains', name, files.key, keyPem, { durable: false });
  await store.save('domains', name, files.chain, certPem, { durable: false });
}

function fallbackFiles({ keys }: ManagedDomainSettings): { readonly chain: string; readonly key: string } {
  const suffix = keys[0] ? keyFileSuffix(keys[0]) : '';
  return { chain: `fallback-${chainFile(suffix)}`, key: `fallback-${keyFile(suffix)}` };
}

function isFallbackFor(pem: string, names: readonly string[], now: number): boolean {
  try {
    const [leaf] = parseChain(pem);
    if (!leaf || leaf.notAfter - FALLBACK_MARGIN <= now) return false;
    return names.every((name) => coversName(leaf, name));
  } catch {
    return false;
  }
}

/**
 * Names that were moved to a new domain, or whose domain got another name, keep being served: the new domain
 * gets the certificates that cover most of its names. Gives the domains that got some.
 */
async function adopt(
  store: Store,
  bare: readonly ManagedDomainSettings[],
  present: readonly string[],
): Promise<readonly string[]> {
  const adopted: string[] = [];
  const owners = await ownersOfNames(store, present);
  await forEach(bare, async (domain) => {
    const candidates = new Set(domain.domains.flatMap((name) => owners.get(name) ?? []));
    candidates.delete(domain.name);
    let best: Adoption | undefined;
    for (const candidate of candidates) {
      const found = await adoptable(store, candidate, domain);
      if (found && (!best || found.covered > best.covered)) best = found;
    }
    if (!best) return;
    adopted.push(domain.name);
    for (const [suffix, { held, chain }] of best.pairs) {
      await savePrivateKey(store, 'domains', domain.name, keyFile(suffix), held.key);
      await store.save('domains', domain.name, chainFile(suffix), chain);
    }
  });
  return adopted;
}

interface Adoption {
  readonly covered: number;
  readonly pairs: ReadonlyMap<string, { readonly held: Held; readonly chain: Buffer }>;
}

async function ownersOfNames(store: Store, present: readonly string[]): Promise<Map<string, string[]>> {
  const owners = new Map<string, string[]>();
  await forEach(present, async (owner) => {
    const md = await undamaged(readMd(store, 'domains', owner));
    for (const name of md?.domains ?? []) owners.set(name, [...(owners.get(name) ?? []), owner]);
  });
  return owners;
}

async function adoptable(
  store: Store,
  candidate: string,
  domain: ManagedDomainSettings,
): Promise<Adoption | undefined> {
  const pairs = new Map<string, { held: Held; chain: Buffer }>();
  let covered = 0;
  for (const suffix of domain.keys.map(keyFileSuffix)) {
    const held = await readPair(store, 'domains', candidate, suffix);
    const chain = await store.load('domains', candidate, chainFile(suffix));
    if (!held || !chain || !isPair(held)) continue;
    covered += domain.domains.filter((name) => coversName(held.info, name)).length;
    pairs.set(suffix, { held, chain });
  }
  return covered > 0 ? { covered, pairs } : undefined;
}

function isPair(held: Held | { readonly damage: string }): held is Held {
  return !('damage' in held);
}

async function forEach<Item>(items: readonly Item[], task: (item: Item) => Promise<void>): Promise<void> {
  const queue = new PQueue({ concurrency: PARALLEL });
  await queue.addAll(items.map((item) => () => task(item)));
}
