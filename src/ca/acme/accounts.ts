/** Accounts (RFC 8555 section 7.3): by key, by identifier, kept for good. */
import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { Collection } from '../collection.ts';
import { jwk } from './documents.ts';
import type { Jwk } from './documents.ts';
import { thumbprint } from './jws.ts';
import { AcmeProblem } from './problem.ts';

const MOST_ACCOUNTS = 10_000;

const schema = v.object({
  id: v.string(),
  jwk,
  /** RFC 7638, of the key. */
  thumbprint: v.string(),
  status: v.picklist(['valid', 'deactivated']),
  contact: v.array(v.string()),
  created: v.number(),
  /** Of the external account it is bound to. */
  boundTo: v.optional(v.string()),
});
export type Account = Readonly<v.InferOutput<typeof schema>>;

export interface NewAccount {
  readonly jwk: Jwk;
  readonly contact: readonly string[];
  readonly boundTo: string | undefined;
}

export class Accounts {
  readonly #kept: Collection<Account>;
  readonly #clock: Clock;
  /** Account ids by thumbprint. A promise while the account is being made: one key, one account. */
  readonly #byKey = new Map<string, string | Promise<Account>>();

  private constructor(kept: Collection<Account>, clock: Clock) {
    this.#kept = kept;
    this.#clock = clock;
    for (const account of kept.values()) this.#byKey.set(account.thumbprint, account.id);
  }

  static async open(dir: string, clock: Clock, logger: Logger): Promise<Accounts> {
    return new Accounts(await Collection.open(dir, schema, logger), clock);
  }

  get(id: string): Account | undefined {
    return this.#kept.get(id);
  }

  async byKey(key: Jwk): Promise<Account | undefined> {
    const found = this.#byKey.get(await thumbprint(key));
    return typeof found === 'string' ? this.#kept.get(found) : found;
  }

  /** Throws AcmeProblem `rateLimited` when there are too many. The account that has the key already, if one has. */
  async create({ jwk: key, contact, boundTo }: NewAccount): Promise<{ account: Account; made: boolean }> {
    const print = await thumbprint(key);
    const existing = this.#byKey.get(print);
    if (existing !== undefined) {
      const account = typeof existing === 'string' ? this.#kept.get(existing) : await existing;
      if (account) return { account, made: false };
    }
    if (this.#kept.size >= MOST_ACCOUNTS) throw new AcmeProblem('rateLimited', 'there are too many accounts');
    const account: Account = {
      id: randomBytes(12).toString('base64url'),
      jwk: key,
      thumbprint: print,
      status: 'valid',
      contact: [...contact],
      created: this.#clock.now(),
      ...(boundTo !== undefined && { boundTo }),
    };
    await this.#reserved(print, this.#kept.put(account));
    return { account, made: true };
  }

  async update(id: string, change: Partial<Pick<Account, 'contact' | 'status'>>): Promise<Account> {
    const changed = await this.#kept.update(id, (account) => ({ ...account, ...change }));
    if (changed) return changed;
    throw new AcmeProblem('accountDoesNotExist', 'there is no such account');
  }

  /** Section 7.3.5. Throws AcmeProblem (409) with the account's `Location` by `urlOf` where the key is in use. */
  async changeKey(id: string, key: Jwk, urlOf: (account: string) => string): Promise<void> {
    const old = this.#kept.get(id)?.thumbprint;
    const print = await thumbprint(key);
    const holder = this.#byKey.get(print);
    if (holder !== undefined) {
      const location = urlOf(typeof holder === 'string' ? holder : (await holder).id);
      const options = { status: 409, headers: { location } };
      throw new AcmeProblem('malformed', 'another account has that key', options);
    }
    const change = this.#kept.update(id, (account) => ({ ...account, jwk: key, thumbprint: print }));
    await this.#reserved(
      print,
      change.then((changed) => {
        if (!changed) throw new AcmeProblem('accountDoesNotExist', 'there is no such account');
        return changed;
      }),
    );
    if (old !== undefined) this.#byKey.delete(old);
  }

  async #reserved(print: string, saving: Promise<Account>): Promise<void> {
    this.#byKey.set(print, saving);
    try {
      this.#byKey.set(print, (await saving).id);
    } catch (error) {
      this.#byKey.delete(print);
      throw error;
    }
  }
}

/** Throws AcmeProblem where the contacts are not `mailto:` URLs of one address each (section 7.3). */
export function checkContacts(contacts: readonly string[]): void {
  for (const contact of contacts) {
    if (!/^mailto:/i.test(contact)) {
      throw new AcmeProblem(
        'unsupportedContact',
        `${JSON.stringify(contact)}: contacts are mailto: URLs here`,
      );
    }
    if (!/^mailto:[^\s@,?]+@[^\s@,?]+$/i.test(contact)) {
      throw new AcmeProblem('invalidContact', `${JSON.stringify(contact)} is not one mail address`);
    }
  }
}
