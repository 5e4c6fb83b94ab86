/**
 * Activation: a finished staging becomes the domain's set. It is for whoever may write `domains` and `accounts`
 * (the supervisor): at start before anything listens, and on the engine's request.
 */
import { systemClock, type Clock } from '../../base/clock.ts';
import { LatchkeyError } from '../../base/errors.ts';
import { keyFileSuffix, keyToPem } from '../../pki/keys.ts';
import { weakLinkOf } from '../../pki/weak-links.ts';
import {
  encodeJob,
  encodeMd,
  type JobDocument,
  type MdDocument,
  readAccount,
  readJob,
  readMd,
} from '../../store/documents.ts';
import { parseDate, parseKeySpecs } from '../../store/formats.ts';
import { loadPrivateKey } from '../../store/keys.ts';
import type { Store } from '../../store/store.ts';
import { encodedIfValid, mdState } from './document.ts';
import { chainFile, heldSuffixes, keyFile, readPair, undamaged } from './held.ts';
import { keptAlready, keptNamed, storeAccount } from './kept-accounts.ts';
import type { Held } from '../state.ts';

export interface ActivateOptions {
  /** A staging that isn't ready (yet) is left as it is, and no error; default false. */
  readonly finishedOnly?: boolean | undefined;
  /** What is to be activated: where `domains` has these serials already (a reload was first), all is done. */
  readonly serials?: readonly string[] | undefined;
  readonly clock?: Clock | undefined;
}

export interface Activation {
  /** Serials now in `domains`; empty where nothing was ready. */
  readonly serials: readonly string[];
}

export type ActivationErrorCode =
  /** The certificates are not all there, or not valid yet. */
  | 'activation-not-ready'
  /** They can't be used: the staging was purged. */
  | 'activation-unusable';

export class ActivationError extends LatchkeyError<ActivationErrorCode> {}

/**
 * Moves `staging/NAME` into `domains/NAME`, keys decrypted; its account goes to `accounts`, the old set into
 * `archive`. Staged files may have been replaced by hand: each certificate is checked against its key.
 * @throws ActivationError; StoreError
 */
export async function activateStaged(
  store: Store,
  name: string,
  { finishedOnly = false, serials, clock = systemClock }: ActivateOptions = {},
): Promise<Activation> {
  const md = await undamaged(readMd(store, 'staging', name));
  const set = await readStaged(store, name, md, clock.now());
  if (typeof set === 'string') {
    if (finishedOnly) return { serials: [] };
    if (serials && (await isInUse(store, name, serials))) return { serials };
    throw new ActivationError('activation-not-ready', `staging/${name} is not ready: ${set}`);
  }
  if ('damage' in set) {
    await store.purge('staging', name);
    if (finishedOnly) return { serials: [] };
    throw new ActivationError('activation-unusable', `staging/${name} can't be activated: ${set.damage}`);
  }
  await install(store, name, md, set);
  // At one stroke: half a staging would look like a renewal that was begun.
  await store.purge('staging', name);
  return { serials: [...set.pairs.values()].map(({ held }) => held.info.serial) };
}

interface StagedPair {
  readonly held: Held;
  readonly chain: Buffer;
}

interface StagedSet {
  readonly pairs: ReadonlyMap<string, StagedPair>;
  readonly job: JobDocument | undefined;
}

type Staged = StagedSet | { readonly damage: string };

/** The staged set, or why it isn't ready. */
async function readStaged(
  store: Store,
  name: string,
  md: MdDocument | undefined,
  now: number,
): Promise<Staged | string> {
  const present = heldSuffixes(await store.aspects('staging', name));
  const wanted = md ? wantedSuffixes(md) : present;
  const missing = wanted.filter((suffix) => !present.includes(suffix));
  if (present.length === 0 || missing.length > 0) return `${chainFile(missing[0] ?? '')} is missing`;
  const job = await undamaged(readJob(store, 'staging', name));
  const validFrom = parseDate(job?.['valid-from']);
  if (validFrom !== undefined && validFrom > now)
    return `it is to be used from ${new Date(validFrom).toUTCString()}`;
  const pairs = new Map<string, StagedPair>();
  for (const suffix of wanted) {
    const held = await readPair(store, 'staging', name, suffix);
    const chain = await store.load('staging', name, chainFile(suffix));
    if (!held || !chain) return `${chainFile(suffix)} is missing`;
    if ('damage' in held) return held;
    const weakness = weakLinkOf(held.chain);
    if (weakness !== undefined)
      return { damage: `${chainFile(suffix)} is too weak to be served: ${weakness}` };
    if (held.info.notAfter <= now) return { damage: `the certificate in ${chainFile(suffix)} has expired` };
    pairs.set(suffix, { held, chain });
  }
  return { pairs, job };
}

function wantedSuffixes(md: MdDocument): string[] {
  const keys = parseKeySpecs(md.privkey);
  return keys.length > 0 ? keys.map(keyFileSuffix) : [''];
}

async function install(
  store: Store,
  name: string,
  staged: MdDocument | undefined,
  { pairs, job }: StagedSet,
): Promise<void> {
  // A crash after activation, before the staging was purged: there is nothing left to do.
  if (await isInstalled(store, name, pairs)) return;
  const files = new Map<string, Buffer | string>();
  for (const [suffix, { held, chain }] of pairs) {
    files.set(keyFile(suffix), keyToPem(held.key));
    files.set(chainFile(suffix), chain);
  }
  const account = await keepAccount(store, name, staged);
  const before = await undamaged(readMd(store, 'domains', name));
  const base = before ?? staged;
  if (base) {
    const ca = { ...base.ca, url: staged?.ca.url ?? base.ca.url, account: account ?? before?.ca.account };
    const document = { ...base, ca, state: mdState.complete, 'state-descr': undefined };
    const text = encodedIfValid(() => encodeMd(document));
    if (text) files.set('md.json', text);
  }
  const log = job && encodedIfValid(() => encodeJob({ ...job, finished: true, 'next-run': undefined }));
  if (log) files.set('job.json', log);
  await store.activate(name, files);
}

async function isInstalled(
  store: Store,
  name: string,
  pairs: ReadonlyMap<string, StagedPair>,
): Promise<boolean> {
  for (const [suffix, { chain }] of pairs) {
    const installed = await store.load('domains', name, chainFile(suffix));
    if (!installed?.equals(chain)) return false;
    const pair = await readPair(store, 'domains', name, suffix);
    if (!pair || 'damage' in pair) return false;
  }
  return true;
}

async function isInUse(store: Store, name: string, serials: readonly string[]): Promise<boolean> {
  const suffixes = heldSuffixes(await store.aspects('domains', name));
  const pairs = await Promise.all(suffixes.map((suffix) => readPair(store, 'domains', name, suffix)));
  const held = pairs.flatMap((pair) => (pair && !('damage' in pair) ? [pair.info.serial] : []));
  return serials.length > 0 && serials.every((serial) => held.includes(serial));
}

/** Keeps the staged account in `accounts` unless it is there; gives its name there, or the one that md.json has for it. */
async function keepAccount(
  store: Store,
  name: string,
  staged: MdDocument | undefined,
): Promise<string | undefined> {
  const document = await undamaged(readAccount(store, 'staging', name));
  if (!document) return undamaged(keptNamed(store, staged?.ca.account));
  const kept = await keptAlready(store, document);
  if (kept !== undefined) return kept;
  const key = await undamaged(loadPrivateKey(store, 'staging', name, 'account.pem'));
  return key && storeAccount(store, document, key);
}
