/**
 * Accounts at CAs. All managed domains with the same CA and the same external account (or none) share one: it is
 * looked for in the domain's own staging, in `accounts`, and among what other domains have staged; only then it is
 * registered. One that is not in `accounts` yet is staged with each order it is used for; activation moves it there,
 * where the engine may not write. From then on staging only names it, in md.json, as mod_md has it.
 */
import type { Account, AccountRef, AcmeClient, ExternalAccount } from '../../acme/client.ts';
import { AcmeError } from '../../acme/errors.ts';
import type { Clock } from '../../base/clock.ts';
import { generateKey } from '../../pki/keys.ts';
import { type AccountDocument, readAccount, writeAccount } from '../../store/documents.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import type { Group, SaveOptions, Store } from '../../store/store.ts';
import { isDamage } from '../stored/held.ts';
import { accountPrefix, keptAlready, keptNamed } from '../stored/kept-accounts.ts';
import { type ObtainOptions, ownProblem, RenewalError } from '../issuer.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { isBindingRequired, mustBind } from './external-account.ts';
import { dropOrder, dropOrderOfOthers, isRefusal } from './staged-order.ts';

/**
 * mod_md reads our accounts and can sign with RSA only. Each request is signed: 3072 bits, as mod_md has it, take
 * three times as long and are no safer for what an account can do.
 */
export const ACCOUNT_KEY = { type: 'RSA', bits: 2048 } as const;

const KEY_FILE = 'account.pem';

export class Accounts {
  readonly #store: Store;
  readonly #clock: Clock;
  /** By CA and external account: the account that this process has found in the store or registered, or is about to. */
  readonly #found = new Map<string, Promise<KnownAccount>>();
  /** Likewise, those that are in `accounts` as they are used: their names there. */
  readonly #kept = new Map<string, string>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** The account to use for a domain, staged with it. */
  async use(domain: ManagedDomainSettings, client: AcmeClient, options: ObtainOptions): Promise<AccountRef> {
    const { signal } = options;
    const wanted = wantedBy(domain, options);
    const staged = await this.#load('staging', domain.name);
    if (staged && isWanted(staged, wanted)) return this.#current(staged, domain, client, options);
    const where = { store: this.#store, clock: this.#clock, domain, options };
    if (staged) {
      await dropOrder(where);
      await this.#unstage(domain.name);
    }
    const account = await this.#shared(domain, client, options);
    signal?.throwIfAborted();
    await dropOrderOfOthers(where, account);
    if (!(await this.#isNamed(wanted, options))) await this.#provide(domain.name, account, wanted);
    return this.#current(account, domain, client, options);
  }

  /** The name in `accounts` of the account for a domain, where that is known. */
  keptAs({ externalAccount }: ManagedDomainSettings, authority: string): string | undefined {
    return this.#kept.get(idOf({ authority, kid: externalAccount?.kid }));
  }

  /** Whether staging says already where the account is. Its folder may have been deleted meanwhile. */
  async #isNamed(wanted: Wanted, { account }: ObtainOptions): Promise<boolean> {
    if (account === undefined || this.#kept.get(idOf(wanted)) !== account) return false;
    return (await keptNamed(this.#store, account)) !== undefined;
  }

  /** Stages an account, and looks whether the next domain needs that. */
  async #provide(name: string, account: KnownAccount, wanted: Wanted): Promise<void> {
    // One that was registered for this domain just now is there.
    if (!(await this.#load('staging', name))) await this.#stage(name, account, { durable: false });
    const id = idOf(wanted);
    this.#kept.delete(id);
    const kept = await keptAlready(this.#store, account.document);
    if (kept !== undefined && (await this.#found.get(id)) === account) this.#kept.set(id, kept);
  }

  /**
   * The account, after the CA has been told of contacts that have changed. It may refuse: the account is as good
   * with the old ones.
   */
  async #current(
    account: KnownAccount,
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<KnownAccount> {
    const { contacts } = domain;
    const { contact } = account.document;
    if (contacts.every((wanted) => contact.includes(wanted))) return account;
    options.progress({ step: 'account', detail: `Telling the CA of other contacts: ${contacts.join(', ')}` });
    try {
      const { document: registration } = await client.updateContacts(account, contacts, options);
      const updated = { ...account, document: { ...account.document, contact: contacts, registration } };
      await this.#stage(domain.name, updated);
      const id = idOf(wantedBy(domain, options));
      this.#found.set(id, Promise.resolve(updated));
      this.#kept.delete(id);
      return updated;
    } catch (error) {
      // What becomes of an account that is gone is decided where it is used.
      if (!isRefusal(error)) throw error;
      options.progress({ step: 'account', detail: `The CA keeps the old contacts: ${error.message}` });
      return account;
    }
  }

  /** Replaces an account that the CA has forgotten, or that was deactivated there: once, however many domains use it. */
  async replace(
    gone: AccountRef,
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<AccountRef> {
    const id = idOf(wantedBy(domain, options));
    const shared = this.#found.get(id);
    const other = await shared?.catch(() => undefined);
    options.signal?.throwIfAborted();
    if (other && other.url !== gone.url) {
      await this.#stage(domain.name, other, { durable: false });
      return other;
    }
    // Another domain has begun to meanwhile.
    if (this.#found.get(id) !== shared) return this.replace(gone, domain, client, options);
    const registering = this.#registerAnyhow(gone, domain, client, options);
    this.#found.set(id, registering);
    this.#kept.delete(id);
    registering.catch(() => {
      if (this.#found.get(id) === registering) this.#found.delete(id);
    });
    return registering;
  }

  /** With the old key first: of a CA that has only lost its memory, the account folder stays the right one. */
  async #registerAnyhow(
    gone: AccountRef,
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<KnownAccount> {
    await this.#store.remove('staging', domain.name, 'account.json');
    await savePrivateKey(this.#store, 'staging', domain.name, KEY_FILE, gone.key, options);
    try {
      return await this.#register(domain, client, options);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await this.#unstage(domain.name);
      return this.#register(domain, client, options);
    }
  }

  async #findKept(wanted: Wanted): Promise<KnownAccount | undefined> {
    const prefix = accountPrefix(wanted.authority);
    const names = (await this.#store.list('accounts')).filter((name) => name.startsWith(prefix));
    // The newest first: it has replaced the others.
    return this.#first('accounts', names.toReversed(), wanted);
  }

  /** The first usable account that is the `wanted` one among `names`; damaged ones are as good as none. */
  async #first(group: Group, names: readonly string[], wanted: Wanted): Promise<KnownAccount | undefined> {
    for (const name of names) {
      try {
        const account = await this.#load(group, name);
        if (account && isWanted(account, wanted)) return account;
      } catch (error) {
        if (!isDamage(error)) throw error;
      }
    }
    return undefined;
  }

  /** One search and one registration for each CA and external account, however many domains begin at once. */
  async #shared(
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<KnownAccount> {
    const { signal } = options;
    const id = idOf(wantedBy(domain, options));
    for (;;) {
      const others = this.#found.get(id);
      const finding = others ?? this.#find(domain, client, options);
      this.#found.set(id, finding);
      try {
        return await finding;
      } catch (error) {
        if (this.#found.get(id) === finding) this.#found.delete(id);
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
    const wanted = wantedBy(domain, options);
    const kept = await this.#findKept(wanted);
    if (kept) return kept;
    const staged = await this.#first('staging', await this.#store.list('staging'), wanted);
    return staged ?? this.#register(domain, client, options);
  }

  /** The key is staged before the CA hears of it: registered once more, it gives the same account. */
  async #register(
    domain: ManagedDomainSettings,
    client: AcmeClient,
    options: ObtainOptions,
  ): Promise<KnownAccount> {
    const { authority, signal, progress } = options;
    const { name, contacts, agreement, externalAccount } = domain;
    const { meta } = await client.directory({ signal });
    const terms = meta.termsOfService;
    if (terms !== undefined && agreement !== 'accepted' && agreement !== terms) throw mustAgree(terms);
    if (meta.externalAccountRequired === true && !externalAccount) throw mustBind(authority);
    if (contacts.length === 0) progress({ step: 'account', detail: 'No contact information is configured' });
    progress({ step: 'account', detail: `Registering an account at ${authority}` });
    const staged = await loadPrivateKey(this.#store, 'staging', name, KEY_FILE, { signal });
    const key = staged ?? (await generateKey(ACCOUNT_KEY));
    if (!staged) await savePrivateKey(this.#store, 'staging', name, KEY_FILE, key, { signal });
    const asked = { contacts, termsOfServiceAgreed: agreement !== undefined, externalAccount, signal };
    const made = await client.newAccount(key, asked).catch((error: unknown) => {
      throw !externalAccount && isBindingRequired(error) ? mustBind(authority, { cause: error }) : error;
    });
    // Who has the key of a deactivated account may be given that once more.
    if (staged && made.status !== 'valid') {
      await this.#unstage(name);
      return this.#register(domain, client, options);
    }
    const document = accountDocument(made, { authority, contacts, terms, externalAccount });
    await writeAccount(this.#store, 'staging', name, document, { signal });
    return { url: made.url, key, authority, document };
  }

  async #load(group: Group, name: string): Promise<KnownAccount | undefined> {
    const document = await readAccount(this.#store, group, name);
    if (!document || (document.status !== 'valid' && document.status !== 'unknown')) return undefined;
    const key = await loadPrivateKey(this.#store, group, name, KEY_FILE);
    return key && { url: document.url, key, authority: document['ca-url'], document };
  }

  /** The key first: a document without it would be of no use. */
  async #stage(name: string, { key, document }: KnownAccount, options?: SaveOptions): Promise<void> {
    await savePrivateKey(this.#store, 'staging', name, KEY_FILE, key, options);
    await writeAccount(this.#store, 'staging', name, document, options);
  }

  async #unstage(name: string): Promise<void> {
    await this.#store.remove('staging', name, 'account.json');
    await this.#store.remove('staging', name, KEY_FILE);
  }
}

/** An account as it is kept. `terms`: the URL of those agreed to. */
export function accountDocument(
  { url, status, document, orders }: Account,
  known: {
    readonly authority: string;
    readonly contacts: readonly string[];
    readonly terms: string | undefined;
    readonly externalAccount?: ExternalAccount | undefined;
  },
): AccountDocument {
  return {
    status,
    url,
    'ca-url': known.authority,
    contact: known.contacts,
    registration: document,
    agreement: known.terms,
    orders,
    eab: known.externalAccount,
  };
}

interface KnownAccount extends AccountRef {
  /** The CA's directory. */
  readonly authority: string;
  readonly document: AccountDocument;
}

/** What makes an account the right one for a domain. */
interface Wanted {
  /** The CA's directory. */
  readonly authority: string;
  /** Of the external account it is bound to. Its HMAC key only proves the right to bind: a new one changes nothing. */
  readonly kid: string | undefined;
}

function wantedBy({ externalAccount }: ManagedDomainSettings, { authority }: ObtainOptions): Wanted {
  return { authority, kid: externalAccount?.kid };
}

/** A domain without an external account gets none that is bound: somebody else may pay for what it is used for. */
function isWanted({ authority, document }: KnownAccount, wanted: Wanted): boolean {
  return authority === wanted.authority && document.eab?.kid === wanted.kid;
}

function idOf({ authority, kid }: Wanted): string {
  return JSON.stringify([authority, kid]);
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
