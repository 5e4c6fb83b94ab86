/** Managed domains: what is shared with others, the patience of CAs and the store. */
import { limitKinds, type LimitKind, type RateLimit } from '../../domains/settings.ts';
import { authorityNames, findAuthority } from '../authorities.ts';
import { declaring, Refusal, servers } from '../directive.ts';
import type { Directive } from '../directive.ts';
import type { Scope } from '../scope.ts';
import { duration } from '../values.ts';

const directive = declaring<Scope>();

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
