/**
 * The ACME client (RFC 8555): one per CA, used by many jobs at once.
 *
 *     await using client = new AcmeClient({ directoryUrl });
 *     const account = await client.newAccount(key, { contacts: ['mailto:a@example.org'], termsOfServiceAgreed: true });
 *     const order = await client.newOrder(account, { identifiers: [{ type: 'dns', value: 'example.org' }] });
 *
 * All methods reject with AcmeError (errors.ts), or with the signal's reason when aborted.
 */
import type { KeyObject } from 'node:crypto';
import type * as v from 'valibot';
import { type Clock, systemClock } from '../base/clock.ts';
import { parseChain } from '../pki/certificate.ts';
import { KnownCertificates } from '../pki/known-certificates.ts';
import { pemBlocks } from '../pki/pem.ts';
import { invalidAnswer, parseDocument, refusal } from './answers.ts';
import * as documents from './documents.ts';
import type { Authorization, Directory, Identifier, Order, RenewalInfo } from './documents.ts';
import { AcmeError, type AcmeErrorCode } from './errors.ts';
import { bindExternalAccount, type ExternalAccount, thumbprint } from './jws.ts';
import type { ProxyOptions } from './proxy.ts';
import { parseRetryAfter } from '../base/retry-after.ts';
import { Sender } from './sender.ts';
import { type Abortable, type Answer, Transport } from './transport.ts';
import { isAllowedUrl } from './urls.ts';

export interface AcmeClientOptions {
  /** https; http on loopback only. */
  readonly directoryUrl: string;
  /** PEM of the trust anchors for the CA's own servers, instead of the system's (MDCACertificateFile). */
  readonly ca?: string | undefined;
  /** An HTTP proxy to reach the CA by (MDHttpProxy). */
  readonly proxy?: ProxyOptions | undefined;
  /** Default `latchkey`. */
  readonly userAgent?: string | undefined;
  readonly clock?: Clock | undefined;
  /** ms for each request as a whole; default 30 s. */
  readonly timeout?: number | undefined;
}

/** What is needed to act as an account: its URL and its key, from wherever they are kept. */
export interface AccountRef {
  readonly url: string;
  readonly key: KeyObject;
}

export interface Account extends AccountRef {
  readonly status: 'valid' | 'deactivated' | 'revoked';
  readonly contacts: readonly string[];
  readonly orders?: string | undefined;
  /** The CA's document as it came. */
  readonly document: Readonly<Record<string, unknown>>;
}

export interface NewAccountOptions extends Abortable {
  /** URLs, `mailto:` mostly. */
  readonly contacts: readonly string[];
  readonly termsOfServiceAgreed: boolean;
  /** Finds the account of this key and makes none (problem `accountDoesNotExist`); default false. */
  readonly onlyReturnExisting?: boolean | undefined;
  readonly externalAccount?: ExternalAccount | undefined;
}

export interface NewOrderOptions extends Abortable {
  readonly identifiers: readonly { readonly type: 'dns' | 'ip'; readonly value: string }[];
  /** One of the directory's `meta.profiles`. */
  readonly profile?: string | undefined;
  /** The ARI id of the certificate that is replaced (RFC 9773 section 5). */
  readonly replaces?: string | undefined;
}

interface KnownDirectory {
  readonly fetching: Promise<Directory>;
  /** Once it is there: each request needs it. */
  fetched: Directory | undefined;
  /** ms since the epoch. */
  readonly until: number;
}

/** A directory is fetched anew after this, ms: CAs move resources and change their terms. */
const DIRECTORY_LIFE = 12 * 60 * 60 * 1000;

/** What a directory may cause that is not true any more. */
const MOVED: ReadonlySet<string> = new Set<AcmeErrorCode>([
  'acme-invalid-response',
  'acme-unreachable',
  'acme-tls',
]);

/** Redirects of the directory: some CAs moved theirs. */
const DIRECTORY_REDIRECTS = 3;

export class AcmeClient implements AsyncDisposable {
  readonly directoryUrl: string;
  readonly #clock: Clock;
  readonly #transport: Transport;
  readonly #sender: Sender;
  #directory: KnownDirectory | undefined;
  #profiles: readonly string[] | undefined;
  readonly #certificates = new KnownCertificates();
  readonly #thumbprints = new WeakMap<KeyObject, string>();

  /** @throws AcmeError `acme-bad-url` */
  constructor(options: AcmeClientOptions) {
    const {
      directoryUrl,
      ca,
      proxy,
      userAgent = 'latchkey',
      clock = systemClock,
      timeout = 30_000,
    } = options;
    if (!isAllowedUrl(directoryUrl)) {
      const message = `'${directoryUrl}' can't be the directory of a CA: it must be an https URL`;
      throw new AcmeError('acme-bad-url', message);
    }
    this.directoryUrl = directoryUrl;
    this.#clock = clock;
    this.#transport = new Transport({ ca, proxy, userAgent, clock, timeout });
    this.#sender = new Sender(this.#transport, clock);
  }

  /** Fetched once for all callers, and kept for half a day, or until it proves wrong; a failure is not kept. */
  async directory({ signal }: Abortable = {}): Promise<Directory> {
    signal?.throwIfAborted();
    const now = this.#clock.now();
    const left = this.#directory ? this.#directory.until - now : 0;
    // More is left where the clock was put back.
    if (!this.#directory || left <= 0 || left > DIRECTORY_LIFE) {
      this.#directory = this.#beginFetching(now);
    }
    const { fetched, fetching } = this.#directory;
    if (fetched) return fetched;
    return signal ? await abortable(fetching, signal) : await fetching;
  }

  /** Names of the CA's profiles as its directory had them last; undefined while nobody has asked for it. */
  get profiles(): readonly string[] | undefined {
    return this.#profiles;
  }

  #beginFetching(now: number): KnownDirectory {
    const known: KnownDirectory = {
      fetching: this.#fetchDirectory(),
      until: now + DIRECTORY_LIFE,
      fetched: undefined,
    };
    known.fetching.then(
      (directory) => (known.fetched = directory),
      () => {},
    );
    return known;
  }

  async #fetchDirectory(): Promise<Directory> {
    try {
      const options = { method: 'GET', redirects: DIRECTORY_REDIRECTS } as const;
      const answer = await this.#transport.request(this.directoryUrl, options);
      if (answer.status >= 400) throw refusal(answer, this.#clock.now());
      const directory = parseDocument(answer, documents.directory, 'a directory');
      this.#profiles = Object.keys(directory.meta.profiles ?? {});
      return directory;
    } catch (error) {
      this.#directory = undefined;
      throw error;
    }
  }

  /** Registers a key, or finds the account it has (RFC 8555 section 7.3). */
  async newAccount(key: KeyObject, options: NewAccountOptions): Promise<Account> {
    const { contacts, termsOfServiceAgreed, onlyReturnExisting, externalAccount, signal } = options;
    const { newAccount: url } = await this.directory({ signal });
    const answer = await this.#post(url, {
      key,
      signal,
      payload: {
        ...(contacts.length > 0 && { contact: contacts }),
        ...(termsOfServiceAgreed && { termsOfServiceAgreed }),
        ...(onlyReturnExisting && { onlyReturnExisting }),
        ...(externalAccount && {
          externalAccountBinding: bindExternalAccount(externalAccount, key, url),
        }),
      },
    });
    return readAccount(answer, { url: locationOf(answer), key });
  }

  /** The account as the CA has it now. */
  async account(account: AccountRef, { signal }: Abortable = {}): Promise<Account> {
    return readAccount(await this.#postAs(account, account.url, { signal }), account);
  }

  /** Ends an account for good (section 7.3.6). */
  async deactivate(account: AccountRef, { signal }: Abortable = {}): Promise<Account> {
    const payload = { status: 'deactivated' };
    return readAccount(await this.#postAs(account, account.url, { payload, signal }), account);
  }

  /** Tells the CA of other contacts (section 7.3.2). */
  async updateContacts(
    account: AccountRef,
    contacts: readonly string[],
    { signal }: Abortable = {},
  ): Promise<Account> {
    const answer = await this.#postAs(account, account.url, { payload: { contact: contacts }, signal });
    return readAccount(answer, account);
  }

  async newOrder(account: AccountRef, options: NewOrderOptions): Promise<Order> {
    const { identifiers, profile, replaces, signal } = options;
    const { newOrder: url } = await this.directory({ signal });
    const payload = {
      identifiers,
      ...(profile !== undefined && { profile }),
      ...(replaces !== undefined && { replaces }),
    };
    const answer = await this.#postAs(account, url, { payload, signal });
    return this.#readOrder(answer, locationOf(answer));
  }

  async order(account: AccountRef, url: string, { signal }: Abortable = {}): Promise<Order> {
    return this.#readOrder(await this.#postAs(account, url, { signal }), url);
  }

  async authorization(account: AccountRef, url: string, { signal }: Abortable = {}): Promise<Authorization> {
    const answer = await this.#postAs(account, url, { signal });
    return this.#located(answer, documents.authorization, 'an authorization', url);
  }

  /** Gives an authorization up (section 7.5.2): one that stays pending counts against the account. */
  async deactivateAuthorization(account: AccountRef, url: string, { signal }: Abortable = {}): Promise<void> {
    await this.#postAs(account, url, { payload: { status: 'deactivated' }, signal });
  }

  /** Asks the CA to validate (section 7.5.1): what it looks for must be in place. */
  async answerChallenge(account: AccountRef, url: string, { signal }: Abortable = {}): Promise<void> {
    await this.#postAs(account, url, { payload: {}, signal });
  }

  /** @param csr DER */
  async finalize(
    account: AccountRef,
    order: Pick<Order, 'url' | 'finalize'>,
    csr: Uint8Array,
    { signal }: Abortable = {},
  ): Promise<Order> {
    const payload = { csr: Buffer.from(csr).toString('base64url') };
    return this.#readOrder(await this.#postAs(account, order.finalize, { payload, signal }), order.url);
  }

  /** The PEM chain of a valid order, leaf first: certificates and nothing else (section 11.4 warns of the rest). */
  async certificate(
    account: AccountRef,
    order: Pick<Order, 'url' | 'certificate'>,
    { signal }: Abortable = {},
  ): Promise<string> {
    if (order.certificate === undefined) {
      throw new AcmeError('acme-invalid-response', `The order ${order.url} names no certificate`);
    }
    const accept = 'application/pem-certificate-chain';
    const answer = await this.#postAs(account, order.certificate, { accept, signal });
    try {
      const odd = pemBlocks(answer.body).find(({ label }) => label !== 'CERTIFICATE');
      if (odd) throw invalidAnswer(answer, `with a PEM block "${odd.label}" among the certificates`);
      return parseChain(answer.body, { known: this.#certificates })
        .map(({ pem }) => pem)
        .join('');
    } catch (cause) {
      if (cause instanceof AcmeError) throw cause;
      throw invalidAnswer(answer, 'with something that is no certificate chain', { cause });
    }
  }

  /**
   * When the CA would like a certificate renewed (RFC 9773 section 4); undefined where it has no opinion on any.
   * @param certificateId a certificate's `renewalId`
   */
  async renewalInfo(certificateId: string, { signal }: Abortable = {}): Promise<RenewalInfo | undefined> {
    const { renewalInfo } = await this.directory({ signal });
    if (renewalInfo === undefined) return undefined;
    const url = `${renewalInfo.replace(/\/$/, '')}/${certificateId}`;
    const answer = await this.#transport.request(url, { method: 'GET', signal });
    if (answer.status >= 400) throw refusal(answer, this.#clock.now());
    const retryAfter = parseRetryAfter(answer.header('retry-after'), this.#clock.now());
    return { ...parseDocument(answer, documents.renewalInfo, 'renewal information'), retryAfter };
  }

  /** What a challenge of this token is answered with (section 8.1). */
  keyAuthorization(account: Pick<AccountRef, 'key'>, token: string): string {
    const known = this.#thumbprints.get(account.key) ?? thumbprint(account.key);
    this.#thumbprints.set(account.key, known);
    return `${token}.${known}`;
  }

  /** Ends what is under way (AcmeError `acme-closed`). */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]();
  }

  #postAs(
    account: AccountRef,
    url: string,
    options: { payload?: unknown; accept?: string } & Abortable,
  ): Promise<Answer> {
    return this.#post(url, { key: account.key, kid: account.url, ...options });
  }

  async #post(url: string, options: Parameters<Sender['post']>[2]): Promise<Answer> {
    const { newNonce } = await this.directory({ signal: options.signal });
    try {
      return await this.#sender.post(url, newNonce, options);
    } catch (error) {
      // A CA that has moved leaves other pages behind, or nobody at all: the next request asks where it is now.
      if (error instanceof AcmeError && MOVED.has(error.code)) this.#directory = undefined;
      throw error;
    }
  }

  #readOrder(answer: Answer, url: string): Order {
    return this.#located(answer, documents.order, 'an order', url);
  }

  #located<Schema extends v.GenericSchema<unknown, object>>(
    answer: Answer,
    schema: Schema,
    what: string,
    url: string,
  ): v.InferOutput<Schema> & { url: string; retryAfter: number | undefined } {
    const retryAfter = parseRetryAfter(answer.header('retry-after'), this.#clock.now());
    return { ...parseDocument(answer, schema, what), url, retryAfter };
  }
}

function readAccount(answer: Answer, { url, key }: AccountRef): Account {
  const document = parseDocument(answer, documents.account, 'an account');
  const { status, contact: contacts, orders } = document;
  return { url, key, status, contacts, orders, document };
}

/** The Location of a thing that was made: the only place where its URL is. */
function locationOf(answer: Answer): string {
  const url = URL.parse(answer.header('location') ?? '', answer.url)?.href;
  if (answer.header('location') && url && isAllowedUrl(url)) return url;
  throw invalidAnswer(answer, 'without saying where the new resource is');
}

/** Leaves a promise that others wait for too. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: result, resolve, reject } = Promise.withResolvers<T>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  return result;
}

export type {
  Abortable,
  Authorization,
  Directory,
  ExternalAccount,
  Identifier,
  Order,
  ProxyOptions,
  RenewalInfo,
};
export type { AcmeProblem, AcmeSubproblem, Challenge } from './documents.ts';
