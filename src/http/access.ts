/** Authorization: whether the `Require` rules of a place let a request in (mod_authz_core, mod_authz_host). */
import { lookup, reverse } from 'node:dns/promises';
import { normalizeAddress } from '../base/addresses.ts';
import { networkHas, parseNetwork } from '../config/expression-match.ts';
import type { Network } from '../config/expression-tree.ts';
import type { Expression } from '../config/expression.ts';
import type { RequireRule } from '../config/settings.ts';

/** How the reason begins that a client is given none of: httpd's, which log analysers look for (module authz_core). */
export const accessDenied = 'AH01630: client denied by server configuration';

export interface Visitor {
  readonly remoteAddress: string;
  readonly localAddress: string;
  evaluate(condition: Expression): boolean;
  /** Whether a variable of the request is set. */
  isSet(variable: string): boolean;
  /** Names of an address that lead back to it; the resolver's by default. */
  readonly names?: (address: string) => Promise<readonly string[]>;
}

/** A rule that doesn't speak for the request is neutral: what stays neutral to the end is refused. */
type Verdict = 'granted' | 'denied' | 'neutral';

export async function isAuthorized(rule: RequireRule, visitor: Visitor): Promise<boolean> {
  return (await judge(rule, visitor)) === 'granted';
}

async function judge(rule: RequireRule, visitor: Visitor): Promise<Verdict> {
  if (rule.kind === 'not') return negate(await judge(rule.rule, visitor));
  if ('rules' in rule) return container(rule.kind, rule.rules, visitor);
  return (await holds(rule, visitor)) ? 'granted' : 'denied';
}

/** A negated rule can refuse, but never let in. */
function negate(verdict: Verdict): Verdict {
  return verdict === 'granted' ? 'denied' : 'neutral';
}

async function container(
  kind: 'any' | 'every' | 'none',
  rules: readonly RequireRule[],
  visitor: Visitor,
): Promise<Verdict> {
  let verdict: Verdict = 'neutral';
  for (const rule of rules) {
    const each = await judge(rule, visitor);
    if (kind === 'every' && each === 'denied') return 'denied';
    if (kind !== 'every' && each === 'granted') return kind === 'any' ? 'granted' : 'denied';
    if (each !== 'neutral') verdict = each;
  }
  return kind === 'none' ? 'neutral' : verdict;
}

type Simple = Exclude<RequireRule, { readonly kind: 'not' | 'any' | 'every' | 'none' }>;

async function holds(rule: Simple, visitor: Visitor): Promise<boolean> {
  switch (rule.kind) {
    case 'all':
      return rule.granted;
    case 'ip':
      return networksOf(rule).some((network) => networkHas(network, visitor.remoteAddress));
    case 'local':
      return isLocal(visitor);
    case 'host':
      return isNamed(rule.names, visitor);
    case 'env':
      return rule.names.some((name) => visitor.isSet(name));
    case 'expr':
      return visitor.evaluate(rule.condition);
    default:
      return rule satisfies never;
  }
}

const parsed = new WeakMap<RequireRule, readonly Network[]>();

function networksOf(rule: Extract<RequireRule, { readonly kind: 'ip' }>): readonly Network[] {
  let networks = parsed.get(rule);
  if (!networks) {
    networks = rule.networks.map(parseNetwork).filter((network) => network !== undefined);
    parsed.set(rule, networks);
  }
  return networks;
}

function isLocal(visitor: Visitor): boolean {
  const remote = normalizeAddress(visitor.remoteAddress);
  return remote === '::1' || remote.startsWith('127.') || remote === normalizeAddress(visitor.localAddress);
}

async function isNamed(names: readonly string[], visitor: Visitor): Promise<boolean> {
  const found = await (visitor.names ?? resolveNames)(normalizeAddress(visitor.remoteAddress));
  return found.some((name) => names.some((wanted) => inDomain(name.toLowerCase(), wanted.toLowerCase())));
}

function inDomain(name: string, wanted: string): boolean {
  const bare = wanted.replace(/^\./, '');
  return name === bare || name.endsWith(`.${bare}`);
}

/** Reverse and then forward: whoever owns the reverse zone alone must not choose the name. */
async function resolveNames(address: string): Promise<string[]> {
  const names = await reverse(address).catch(() => []);
  const confirmed: string[] = [];
  for (const name of names.slice(0, 4)) {
    const back = await lookup(name, { all: true }).catch(() => []);
    if (back.some((entry) => normalizeAddress(entry.address) === address)) confirmed.push(name);
  }
  return confirmed;
}
