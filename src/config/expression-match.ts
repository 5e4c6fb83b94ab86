/** Comparing with patterns: networks (`-R`, `-ipmatch`) and wildcards (`-strmatch`, `-strcmatch`, `-fnmatch`). */
import { BlockList, isIP, isIPv4 } from 'node:net';
import type { Network, Wildcard } from './expression-tree.ts';

/** `10.1`, `10.1.2.3`, `10.1.0.0/16`, `10.1.0.0/255.255.0.0`, `2001:db8::/32`; undefined if it is none of these. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', mask, ...more] = text.split('/');
  if (more.length > 0) return undefined;
  const family = isIP(address);
  if (family === 0) return mask === undefined ? partial(address) : undefined;
  const most = family === 4 ? 32 : 128;
  const prefix = mask === undefined ? most : prefixLength(mask, family === 4);
  if (prefix === undefined || prefix > most) return undefined;
  return { address, family: family === 4 ? 'ipv4' : 'ipv6', prefix };
}

/** The first one to three octets of IPv4 addresses. */
function partial(text: string): Network | undefined {
  const octets = text.replace(/\.$/, '').split('.');
  const address = [...octets, '0', '0', '0'].slice(0, 4).join('.');
  return octets.length < 4 && isIPv4(address)
    ? { address, family: 'ipv4', prefix: octets.length * 8 }
    : undefined;
}

function prefixLength(mask: string, dotted: boolean): number | undefined {
  if (/^\d{1,3}$/.test(mask)) return Number(mask);
  if (!dotted || !isIPv4(mask)) return undefined;
  const bits = mask
    .split('.')
    .map((octet) => Number(octet).toString(2).padStart(8, '0'))
    .join('');
  return /^1*0*$/.test(bits) ? bits.lastIndexOf('1') + 1 : undefined;
}

/** Built once for each network that is asked for, as long as its expression lives. */
const lists = new WeakMap<Network, BlockList>();

/** False for what is no address. IPv4 addresses in IPv6 clothes (`::ffff:10.0.0.1`) count as IPv4. */
export function networkHas(network: Network, written: string): boolean {
  const address = written.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
  const family = isIP(address);
  if (family === 0 || `ipv${family}` !== network.family) return false;
  let list = lists.get(network);
  if (!list) {
    list = new BlockList();
    list.addSubnet(network.address, network.prefix, network.family);
    lists.set(network, list);
  }
  return list.check(address, network.family);
}

/** apr_fnmatch: `*`, `?`, `[a-z]`, `[!a-z]`, `\x`. With `-fnmatch` no wildcard matches a slash. */
export function wildcardMatches(operator: Wildcard, pattern: string, subject: string): boolean {
  const tokens = wildcardTokens(pattern, operator);
  return tokens !== undefined && runWildcard(tokens, subject, operator === 'fnmatch');
}

type Token = '*' | ((character: string) => boolean);

function wildcardTokens(pattern: string, operator: Wildcard): Token[] | undefined {
  const fold = (text: string) => (operator === 'strcmatch' ? text.toLowerCase() : text);
  const slash = operator === 'fnmatch';
  const tokens: Token[] = [];
  for (const part of pattern.matchAll(/\*+|\?|\[([!^]?)(\]?[^\]]*)\]|\\?([^])/g)) {
    const [whole, negation, members, literal] = part;
    if (whole.startsWith('*')) tokens.push('*');
    else if (whole === '?') tokens.push((c) => !(slash && c === '/'));
    else if (members !== undefined) {
      const has = memberTest(fold(members));
      tokens.push((c) => !(slash && c === '/') && has(fold(c)) === (negation === ''));
    } else if (whole === '[') return undefined;
    else tokens.push((c) => fold(c) === fold(literal ?? ''));
  }
  return tokens;
}

function memberTest(members: string): (character: string) => boolean {
  const ranges = [...members.matchAll(/\\?([^])(?:-\\?([^]))?/g)].map(
    ([, from = '', to = from]) => [from, to] as const,
  );
  return (c) => ranges.some(([from, to]) => c >= from && c <= to);
}

/** Two indices and the last star: never more than pattern times subject steps. */
function runWildcard(tokens: readonly Token[], subject: string, slash: boolean): boolean {
  let token = 0;
  let at = 0;
  let star: { token: number; at: number } | undefined;
  while (at < subject.length) {
    const now = tokens[token];
    if (now === '*') {
      star = { token: ++token, at };
      continue;
    }
    if (now?.(subject[at] ?? '')) {
      token++;
      at++;
      continue;
    }
    if (!star || (slash && subject[star.at] === '/')) return false;
    token = star.token;
    at = ++star.at;
  }
  while (tokens[token] === '*') token++;
  return token === tokens.length;
}
