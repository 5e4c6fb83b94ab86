/**
 * Accounts at CAs. All managed domains with the same CA share one: it is looked for in the domain's own staging,
 * in `accounts`, and among what other domains have staged; only then it is registered. Whatever is used is
 * staged with the order it is used for; activation moves it to `accounts`, where the engine may not write.
 */
import type { AccountRef, AcmeClient } from '../../acme/client.ts';
import { AcmeError } from '../../acme/errors.ts';
import { generateKey } from '../../pki/keys.ts';
import { type AccountDocument, readAccount, writeAccount } from '../../store/documents.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import type { Group, Store } from '../../store/store.ts';
import { isDamage } from '../held.ts';
import { type ObtainOptions, ownProblem, RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { dropOrder, isRefusal } from './staged-order.ts';

/** mod_md's, which reads our accounts and can sign with RSA only. */
const ACCOUNT_KEY = { type: 'RSA', bits: 3072 } as const;

export class Accounts {
  readonly #store: Store;
  /** By CA: the account that this process has found in staging or registered, or is about to. */
  readonly #found = new Map<string, Promise<KnownAccount>>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** The account to use for a domain, staged with it. */
  async use(domain: ManagedDomainSettings, client: AcmeClient, options: ObtainOptions): Promise<AccountRef> {
    const { authority, signal } = options;
    const staged = await this.#load('staging', domain.name);
    if (staged?.authority === authority) return staged;
    // An order of another CA's account is of no use with this one.
    await dropOrder({ store: this.#store, domain, options });
    if (staged) await this.#unstage(domain.name);
    const account = (await this.#kept(authority)) ?? (await this.#shared(domain, client, options));
    signal?.throwIfAborted();
    await this.#stage(domain.name, account);
    return account;
  }

  /** Replaces an account that the CA has forgotten, or that was deactivated there. */
  async replace(
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<AccountRef> {
    await this.#store.remove('staging', domain.name, 'account.json');
    const registering = this.#registerAnyhow(domain, client, options);
    this.#found.set(options.authority, registering);
    registering.catch(() => this.#found.delete(options.authority));
    const account = await registering;
    await this.#stage(domain.name, account);
    return account;
  }

  /** With the old key first: of a CA that has only lost its memory, the account folder stays the right one. */
  async #registerAnyhow(
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<KnownAccount> {
    try {
      return await this.#register(domain, client, options);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await this.#unstage(domain.name);
      return this.#register(domain, client, options);
    }
  }

  async #kept(authority: string): Promise<KnownAccount | undefined> {
    const prefix = accountPrefix(authority);
    const names = await this.#store.list('accounts');
    return this.#first(
      'accounts',
      names.filter((name) => name.startsWith(prefix)),
      authority,
    );
  }

  /** The first usable account of a CA among `names`; damaged ones are as good as none. */
  async #first(group: Group, names: readonly string[], authority: string): Promise<KnownAccount | undefined> {
    for (const name of names) {
      try {
        const account = await this.#load(group, name);
        if (account?.authority === authority) return account;
      } catch (error) {
        if (!isDamage(error)) throw error;
      }
    }
    return undefined;
  }

  /** One search and one registration for each CA, however many domains begin at once. */
  async #shared(
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<KnownAccount> {
    const { authority, signal } = options;
    for (;;) {
      const others = this.#found.get(authority);
      const finding = others ?? this.#find(domain, client, options);
      this.#found.set(authority, finding);
      try {
        return await finding;
      } catch (error) {
        if (this.#found.get(authority) === finding) this.#found.delete(authority);
        signal?.throwIfAborted();
        // That another domain was told to stop is no reason for this one to.
        const isTold = error instanceof AcmeError || error instanceof RenewalError;
        if (!others || isTold) throw error;
      }
    }
  }

  async #find(
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<KnownAccount> {
    const staged = await this.#first('staging', await this.#store.list('staging'), options.authority);
    return staged ?? this.#register(domain, client, options);
  }

  /** The key is staged before the CA hears of it: registered once more, it gives the same account. */
  async #register(
    domain: ManagedDomainSettings,
    client: AcmeClient,
    { authority, signal, progress }: ObtainOptions,
  ): Promise<KnownAccount> {
    const { name, contacts, agreement } = domain;
    const { meta } = await client.directory({ signal });
    const terms = meta.termsOfService;
    if (terms !== undefined && agreement !== 'accepted' && agreement !== terms) throw mustAgree(terms);
    if (contacts.length === 0) progress({ step: 'account', detail: 'No contact information is configured' });
    progress({ step: 'account', detail: `Registering an account at ${authority}` });
    let key = await loadPrivateKey(this.#store, 'staging', name, 'account.pem', { signal });
    if (!key) {
      key = await generateKey(ACCOUNT_KEY);
      await savePrivateKey(this.#store, 'staging', name, 'account.pem', key, { signal });
    }
    const made = await client.newAccount(key, {
      contacts,
      termsOfServiceAgreed: agreement !== undefined,
      signal,
    });
    const document: AccountDocument = {
      status: made.status,
      url: made.url,
      'ca-url': authority,
      contact: contacts,
      registration: made.document,
      agreement: terms,
      orders: made.orders,
    };
    return { url: made.url, key, authority, document };
  }

  async #load(group: Group, name: string): Promise<KnownAccount | undefined> {
    const document = await readAccount(this.#store, group, name);
    if (!document || (document.status !== 'valid' && document.status !== 'unknown')) return undefined;
    const key = await loadPrivateKey(this.#store, group, name, 'account.pem');
    return key && { url: document.url, key, authority: document['ca-url'], document };
  }

  /** The key first: a document without it would be of no use. */
  async #stage(name: string, { key, document }: KnownAccount): Promise<void> {
    await savePrivateKey(this.#store, 'staging', name, 'account.pem', key);
    await writeAccount(this.#store, 'staging', name, document);
  }

  async #unstage(name: string): Promise<void> {
    await this.#store.remove('staging', name, 'account.json');
    await this.#store.remove('staging', name, 'account.pem');
  }
}

interface KnownAccount extends AccountRef {
  /** The CA's directory. */
  readonly authority: string;
  readonly document: AccountDocument;
}

/** How the accounts of a CA are called in `accounts`, up to their number. */
export function accountPrefix(authority: string): string {
  return `ACME-${new URL(authority).hostname.replace(/[[\]]/g, '')}-`;
}

/** Whether the CA doesn't accept the account, whatever is asked with it. */
export function isAccountGone(error: unknown): boolean {
  if (!(error instanceof AcmeError)) return false;
  const type = error.problem?.type.replace('urn:ietf:params:acme:error:', '');
  return type === 'accountDoesNotExist' || type === 'unauthorized';
}

function mustAgree(terms: string): RenewalError {
  return new RenewalError(
    ownProblem(
      'agreement',
      `the CA requires you to accept the terms-of-service as specified in <${terms}>. Please read the document ` +
        'that you find at that URL and, if you agree to the conditions, configure "MDCertificateAgreement ' +
        'accepted" in your configuration.',
    ),
  );
}
