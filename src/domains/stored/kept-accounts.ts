/** Accounts in the group `accounts`: for whoever may write there, and, read only, for the engine. */
import type { KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type AccountDocument, readAccount, writeAccount } from '../../store/documents.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import type { Store } from '../../store/store.ts';
import { undamaged } from './held.ts';

const KEY_FILE = 'account.pem';

/** How the accounts of a CA are called in `accounts`, up to their number. */
export function accountPrefix(authority: string): string {
  return `ACME-${new URL(authority).hostname.replace(/[[\]]/g, '')}-`;
}

/** This name, where there is an account of that name. Rejects with StoreError. */
export async function keptNamed(store: Store, name: string | undefined): Promise<string | undefined> {
  if (name === undefined) return undefined;
  return (await store.modified('accounts', name, KEY_FILE)) === undefined ? undefined : name;
}

/** Told by the account's URL: many domains share an account, and decrypting keys takes the time of a signature each. */
export async function keptAlready(
  store: Store,
  { 'ca-url': authority, url, contact }: AccountDocument,
): Promise<string | undefined> {
  const prefix = accountPrefix(authority);
  for (const account of (await store.list('accounts')).filter((known) => known.startsWith(prefix))) {
    const kept = await undamaged(readAccount(store, 'accounts', account));
    if (kept?.url !== url || !isDeepStrictEqual(kept.contact, contact)) continue;
    if ((await store.modified('accounts', account, KEY_FILE)) !== undefined) return account;
  }
  return undefined;
}

/** Keeps an account in `accounts`, once: one of the same CA with the same key is brought up to date. Gives its name there. */
export async function storeAccount(store: Store, document: AccountDocument, key: KeyObject): Promise<string> {
  const prefix = accountPrefix(document['ca-url']);
  const known = (await store.list('accounts')).filter((account) => account.startsWith(prefix));
  for (const account of known) {
    const kept = await undamaged(loadPrivateKey(store, 'accounts', account, KEY_FILE));
    if (!kept?.equals(key)) continue;
    const before = await undamaged(readAccount(store, 'accounts', account));
    const same = before?.url === document.url && isDeepStrictEqual(before.contact, document.contact);
    if (!same) await writeAccount(store, 'accounts', account, document);
    return account;
  }
  const account = prefix + nextNumber(known.map((taken) => taken.slice(prefix.length)));
  await savePrivateKey(store, 'accounts', account, KEY_FILE, key);
  await writeAccount(store, 'accounts', account, document);
  return account;
}

/** Above all others: the newest account is the one that is used. */
function nextNumber(taken: readonly string[]): string {
  const numbers = taken.map(Number).filter((number) => Number.isInteger(number));
  return String(Math.max(-1, ...numbers) + 1).padStart(4, '0');
}
