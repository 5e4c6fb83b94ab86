/**
 * Private keys in a store: encrypted in the groups that others may read (`staging`, `accounts`), plain where
 * only the store's owner may (`domains`, `archive`) and where workers need them as they are (`challenges`).
 */
import type { KeyObject } from 'node:crypto';
import { PkiError } from '../pki/errors.ts';
import { derivationCost } from '../pki/key-cost.ts';
import { keyFromPem, keyToPem } from '../pki/keys.ts';
import { describe } from './names.ts';
import { StoreError } from './store.ts';
import type { Abortable, Group, SaveOptions, Store } from './store.ts';

/** See derivationCost(). mod_md's keys take 2048, ours 1; who is to pay for it may be root, and another the writer. */
const MOST_COSTLY = 1_000_000;

const encrypted: ReadonlySet<Group> = new Set<Group>(['staging', 'accounts']);

/** Saves a key (or its plain PEM) as the group has keys. Rejects as Store.save does. */
export async function savePrivateKey(
  store: Store,
  group: Group,
  name: string,
  aspect: string,
  key: KeyObject | string,
  options?: SaveOptions,
): Promise<void> {
  const known = typeof key === 'string' ? keyFromPem(key) : key;
  const pem = encrypted.has(group) ? store.key.seal(known) : keyToPem(known);
  await store.save(group, name, aspect, pem, options);
}

/**
 * A key from any group, plain or encrypted with the store's key (what was put there by hand counts), or
 * undefined where there is none, or an empty file (what a power cut leaves). StoreError `garbage` where it is no key or another store's.
 */
export async function loadPrivateKey(
  store: Store,
  group: Group,
  name: string,
  aspect: string,
  options?: Abortable,
): Promise<KeyObject | undefined> {
  const pem = await store.load(group, name, aspect, options);
  if (!pem?.length) return undefined;
  try {
    const text = pem.toString('latin1');
    if (!store.key.knows(text) && derivationCost(text) > MOST_COSTLY) {
      throw new PkiError('key-unreadable', 'The private key would take too long to decrypt');
    }
    return store.key.open(text);
  } catch (cause) {
    const what = describe(group, name, aspect);
    throw new StoreError('garbage', `${what} is not a private key that this store can read`, { cause });
  }
}
