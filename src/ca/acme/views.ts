/** Resources as clients see them (RFC 8555 section 7.1). */
import { profileNames, profiles } from '../profiles.ts';
import type { Account } from './accounts.ts';
import { orderError, orderStatus } from './orders.ts';
import type { Authorization, Challenge, Order } from './orders.ts';

/** URLs of everything, below the server's own. */
export class Urls {
  /** Without a slash at the end. */
  readonly base: string;

  constructor(base: string) {
    this.base = base;
  }

  get directory(): string {
    return `${this.base}/directory`;
  }
  get newAccount(): string {
    return `${this.base}/new-account`;
  }
  get terms(): string {
    return `${this.base}/terms`;
  }
  /** Without TLS: see revocation-app.ts. */
  get ocsp(): string {
    return `${this.#plain}/ocsp`;
  }
  get crl(): string {
    return `${this.#plain}/crl`;
  }
  get #plain(): string {
    return this.base.replace(/^https:/, 'http:');
  }
  account(id: string): string {
    return `${this.base}/account/${id}`;
  }
  /** The account id in an account's URL, or undefined. */
  accountId(url: string): string | undefined {
    const prefix = this.account('');
    return url.startsWith(prefix) ? url.slice(prefix.length) : undefined;
  }
  order(id: string): string {
    return `${this.base}/order/${id}`;
  }
  authorization(order: string, index: number): string {
    return `${this.base}/authorization/${order}/${index}`;
  }
  challenge(order: string, index: number, type: string): string {
    return `${this.base}/challenge/${order}/${index}/${type}`;
  }
  certificate(serial: string): string {
    return `${this.base}/certificate/${serial}`;
  }
}

export function directoryView({ base, terms }: Urls, externalAccountRequired: boolean): object {
  return {
    newNonce: `${base}/new-nonce`,
    newAccount: `${base}/new-account`,
    newOrder: `${base}/new-order`,
    revokeCert: `${base}/revoke-certificate`,
    keyChange: `${base}/key-change`,
    renewalInfo: `${base}/renewal-info`,
    meta: {
      termsOfService: terms,
      externalAccountRequired,
      profiles: Object.fromEntries(profileNames.map((name) => [name, profiles[name].description])),
    },
  };
}

export function accountView({ id, status, contact }: Account, urls: Urls): object {
  return { status, contact, termsOfServiceAgreed: true, orders: `${urls.account(id)}/orders` };
}

/** `finalizing`: a certificate is being made at this moment. */
export function orderView(order: Order, urls: Urls, finalizing: boolean): object {
  const status = orderStatus(order);
  return {
    status: finalizing && status === 'ready' ? 'processing' : status,
    expires: timestamp(order.expires),
    identifiers: order.identifiers,
    profile: order.profile,
    replaces: order.replaces,
    authorizations: order.authorizations.map((_, index) => urls.authorization(order.id, index)),
    finalize: `${urls.order(order.id)}/finalize`,
    ...(order.certificate !== undefined && { certificate: urls.certificate(order.certificate) }),
    error: status === 'invalid' ? orderError(order) : undefined,
  };
}

export function authorizationView(order: Order, index: number, one: Authorization, urls: Urls): object {
  return {
    status: one.status,
    expires: timestamp(order.expires),
    identifier: one.identifier,
    wildcard: one.wildcard || undefined,
    challenges: one.challenges.map((challenge) => challengeView(order, index, challenge, urls)),
  };
}

export function challengeView(order: Order, index: number, challenge: Challenge, urls: Urls): object {
  return {
    type: challenge.type,
    url: urls.challenge(order.id, index, challenge.type),
    status: challenge.status,
    token: challenge.token,
    validated: challenge.validated === undefined ? undefined : timestamp(challenge.validated),
    error: challenge.error,
  };
}

/** RFC 3339, in seconds. */
function timestamp(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+/, '');
}
