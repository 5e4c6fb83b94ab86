/** Managed domains: what is shared with others, the patience of CAs and the store. */
import { limitKinds, type LimitKind, type RateLimit } from '../../domains/settings.ts';
import { authorityNames, findAuthority } from '../authorities.ts';
import { declaring, Refusal, servers } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Scope } from '../scope.ts';
import { duration } from '../values.ts';

const directive = declaring<Scope>();

/** How long to wait for a lock unless told, ms: mod_md's. */
const LOCK_PATIENCE = 5000;

export const sharing: readonly Directive<Scope>[] = [
  directive({
    name: 'MDRateLimit',
    syntax: `authority ${limitKinds.join('|')} number/duration|none`,
    contexts: servers,
    default: 'Let’s Encrypt’s published limits; none for others',
    doc: 'How much an authority allows, as `new-orders 300/3h`. What would exceed it waits its turn: expired first, then expiring, new, and what is not due.',
    args: 'TAKE3',
    apply(scope, authority, kind, amount) {
      const limits = (scope.server.md.rateLimits ??= {});
      const url = authorityOf(authority);
      limits[url] = { ...limits[url], [limitKind(kind)]: rateLimit(amount) };
    },
  }),
  directive({
    name: 'MDStoreLocks',
    syntax: 'on|off|duration',
    contexts: servers,
    default: 'off',
    doc: 'For several servers on one store: they take turns, and a domain is renewed by one of them. The duration (5s with `on`) is how long a start waits for another’s.',
    args: 'TAKE1',
    apply(scope, text) {
      scope.server.md.storeLocks = lockPatience(text);
    },
  }),
];

function authorityOf(text: string): string {
  const found = findAuthority(text);
  if ('url' in found) return found.url;
  throw new Refusal(
    `The CA name '${text}' is not known and it is not a URL either (${found.problem}). Known CA names are: ${authorityNames}.`,
  );
}

function limitKind(text: string): LimitKind {
  const kind = limitKinds.find((known) => known === text.toLowerCase());
  if (kind) return kind;
  throw new Refusal(`unknown '${text}', supported limits are ${limitKinds.join(', ')}`);
}

function rateLimit(text: string): RateLimit | 'none' {
  if (text.toLowerCase() === 'none') return 'none';
  const [count = '', period = '', ...more] = text.split('/');
  const ms = duration(period, 's');
  if (more.length > 0 || !/^[1-9]\d{0,8}$/.test(count) || ms === undefined || ms === 0) {
    throw new Refusal(`unrecognized limit '${text}': use 300/3h, 50/7d or none`);
  }
  return { count: Number(count), period: ms };
}

function lockPatience(text: string): number | 'off' {
  const word = text.toLowerCase();
  if (word === 'off') return 'off';
  if (word === 'on') return LOCK_PATIENCE;
  const ms = duration(text, 's');
  if (ms === undefined) throw new Refusal("neither 'on', 'off' or a duration specified");
  if (ms === 0) throw new Refusal('minimum delay must be greater than 0');
  return ms;
}
