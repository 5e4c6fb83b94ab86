/** `acme newreg`, `acme validate` and `acme delreg`: accounts at CAs. */
import type { AccountRef, AcmeClient } from '../../acme/client.ts';
import { storeAccount } from '../../domains/stored/kept-accounts.ts';
import { ACCOUNT_KEY, accountDocument } from '../../domains/issuers/accounts.ts';
import { generateKey } from '../../pki/keys.ts';
import { readAccount, writeAccount } from '../../store/documents.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import type { Store } from '../../store/store.ts';
import { Failure } from './failure.ts';
import { contactUrls } from './values.ts';

const ACCOUNT_FILE = 'account.pem';

/** Makes a client for a directory URL. */
export type NewClient = (authority: string) => AcmeClient;

export interface Registration {
  readonly authority: string;
  readonly contacts: readonly string[];
  /** `-t`: `accepted`, or the URL of the terms; undefined: not agreed to. */
  readonly terms: string | undefined;
}

/** Registers a new account and keeps it; gives its name in the store. */
export async function register(
  store: Store,
  newClient: NewClient,
  { authority, contacts, terms }: Registration,
): Promise<string> {
  const urls = contactUrls(contacts);
  if (urls.length === 0) throw new Failure('EINVAL', 'newreg needs at least one contact email as argument');
  await using client = newClient(authority);
  const asked = (await client.directory()).meta.termsOfService;
  if (asked !== undefined && terms !== 'accepted' && terms !== asked) {
    throw new Failure(
      'EINVAL',
      `must agree to terms of service: read <${asked}>, and if you agree give -t accepted`,
    );
  }
  const key = await generateKey(ACCOUNT_KEY);
  const made = await client.newAccount(key, { contacts: urls, termsOfServiceAgreed: terms !== undefined });
  return storeAccount(store, accountDocument(made, { authority, contacts: urls, terms: asked }), key);
}

/** Asks the CA whether an account is good. @throws Failure; AcmeError */
export async function validate(store: Store, newClient: NewClient, name: string): Promise<void> {
  const { authority, account } = await load(store, name);
  await using client = newClient(authority);
  const { status } = await client.account(account);
  if (status !== 'valid') throw new Failure('EINVAL', `the account ${name} is ${status}`);
}

/** Deactivates an account at its CA and removes it from the store; gives its URL. @throws Failure; AcmeError */
export async function unregister(store: Store, newClient: NewClient, name: string): Promise<string> {
  const { authority, account } = await load(store, name);
  await using client = newClient(authority);
  await client.deactivate(account);
  await store.purge('accounts', name);
  return account.url;
}

/** Has the next order of a managed domain made by an account of the store, where its CA is the one asked. */
export async function appoint(store: Store, account: string, name: string): Promise<void> {
  const document = await readAccount(store, 'accounts', account);
  const key = document && (await loadPrivateKey(store, 'accounts', account, ACCOUNT_FILE));
  if (!key) return;
  await savePrivateKey(store, 'staging', name, ACCOUNT_FILE, key);
  await writeAccount(store, 'staging', name, document);
}

async function load(store: Store, name: string): Promise<{ authority: string; account: AccountRef }> {
  const document = await readAccount(store, 'accounts', name);
  const key = document && (await loadPrivateKey(store, 'accounts', name, ACCOUNT_FILE));
  if (!key) throw new Failure('ENOENT', `unknown account: ${name}`);
  return { authority: document['ca-url'], account: { url: document.url, key } };
}
