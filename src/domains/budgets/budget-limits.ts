/** Which limits count for a request, and in which buckets they are kept. */
import { createHash } from 'node:crypto';
import { getDomain } from 'tldts';
import type { LimitKind, RateLimit, RateLimits } from '../settings.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** What a CA counts: who wants a certificate for what. */
export interface BudgetRequest {
  /** The managed domain. */
  readonly name: string;
  /** The certificate's names. */
  readonly names: readonly string[];
  /** The CA as configured. */
  readonly authority: string;
  /** Key ID of the external account; undefined: none. With the CA it tells accounts apart. */
  readonly account: string | undefined;
  /** Who waits for a token goes by this, higher first. */
  readonly priority: number;
  /** It has failed before: half of what it shares with others is left to them. */
  readonly retrying: boolean;
}

/** One limit that a request is subject to. */
export interface Need {
  readonly kind: LimitKind;
  readonly key: string;
  readonly limit: RateLimit;
  /** Tokens to be left for others. */
  readonly reserve: number;
  /** For people. */
  readonly what: string;
}

/** Let's Encrypt's published figures. Its staging CA allows so much more that none is kept for it. */
const BUILT_IN: Readonly<Record<string, Readonly<Record<LimitKind, RateLimit>>>> = {
  'https://acme-v02.api.letsencrypt.org/directory': {
    'new-orders': { count: 300, period: 3 * HOUR },
    'certificates-per-domain': { count: 50, period: 7 * DAY },
    'certificates-per-set': { count: 5, period: 7 * DAY },
    'failures-per-name': { count: 5, period: HOUR },
  },
};

/** The limits of a CA: what is configured, else what is known of it. */
export function limitsOf(authority: string, configured: RateLimits = {}): RateLimits {
  return { ...BUILT_IN[authority], ...configured };
}

export function needsOf(request: BudgetRequest, limits: RateLimits): Need[] {
  const { names, authority, retrying } = request;
  const needs: Need[] = [];
  const add = (kind: LimitKind, key: string, what: string, shared: boolean) => {
    const limit = limits[kind];
    if (!limit || limit === 'none') return;
    const reserve = retrying && shared ? Math.floor(limit.count / 2) : 0;
    needs.push({ kind, key, limit, reserve, what });
  };
  add('new-orders', accountKey(request), `new orders at ${authority}`, true);
  for (const domain of registeredDomains(names)) {
    add('certificates-per-domain', domainKey(authority, domain), `certificates for ${domain}`, true);
  }
  add('certificates-per-set', setKey(request), 'certificates for exactly these names', false);
  for (const name of names) {
    add('failures-per-name', failuresKey(request, name), `failed validations of ${name}`, false);
  }
  return needs;
}

export function caKey(authority: string): string {
  return `ca ${authority}`;
}

export function accountKey({ authority, account = '' }: BudgetRequest): string {
  return `account ${authority} ${account}`;
}

export function domainKey(authority: string, domain: string): string {
  return `domain ${authority} ${domain}`;
}

export function setKey({ authority, names }: BudgetRequest): string {
  const hash = createHash('sha256')
    .update([...names].sort().join(','))
    .digest('base64url');
  return `set ${authority} ${hash}`;
}

export function failuresKey({ authority, account = '' }: BudgetRequest, name: string): string {
  return `name ${authority} ${account} ${name}`;
}

/** As the public suffix list has them, its private part included; what has none (an address) counts itself. */
export function registeredDomains(names: readonly string[]): string[] {
  const bare = names.map((name) => name.replace(/^\*\./, ''));
  return [...new Set(bare.map((name) => getDomain(name, { allowPrivateDomains: true }) ?? name))];
}
