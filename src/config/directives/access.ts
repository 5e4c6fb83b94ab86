/** Who may: Require and its containers. */
import { isIP } from 'node:net';
import { Refusal, declaring } from '../directive.ts';
import type { Context, Directive, Family } from '../directive.ts';
import { takeWord, words } from '../lexer.ts';
import { within } from '../scope.ts';
import type { RuleList, Scope } from '../scope.ts';
import type { RequireRule } from '../settings.ts';
import { canonicalAddress } from '../values.ts';
import { parseCondition } from './sections.ts';

const directive = declaring<Scope>();

const contexts: readonly Context[] = ['directory', 'authorization'];

const names: Readonly<Record<RuleList['kind'], string>> = {
  any: 'RequireAny',
  every: 'RequireAll',
  none: 'RequireNone',
};

function container(kind: RuleList['kind'], doc: string): Directive<Scope> {
  const name = names[kind];
  return directive({
    name: `<${name}`,
    syntax: '',
    contexts,
    doc,
    args: 'RAW_ARGS',
    apply(scope, text) {
      if (text !== '') throw new Refusal(`<${name}> directive doesn't take additional arguments`);
      if (kind === 'none') refuseNegative(scope.rules, `<${name}>`);
      const rules: RuleList = { kind, rules: [] };
      scope.rules.rules.push(rules);
      return within(scope, { rules, inside: { ...scope.inside, authorization: name } });
    },
    close({ rules: { rules } }) {
      if (rules.length === 0) {
        throw new Refusal(`<${name}> directive contains no authorization directives`);
      }
      if (rules.every((rule) => rule.kind === 'not' || rule.kind === 'none') && kind === 'every') {
        throw new Refusal(
          `<${name}> directive contains only negative authorization directives. Add what grants, such as Require all granted.`,
        );
      }
    },
  });
}

export const access: Family<Scope> = {
  module: 'authz_core',
  title: 'Access',
  directives: [
    directive({
      name: 'Require',
      syntax: '[not] all granted|all denied|ip network …|host name …|local|env variable …|expr expression',
      contexts,
      doc: 'Who gets in. Of several lines outside of a container one suffices.',
      args: 'RAW_ARGS',
      apply(scope, text) {
        const first = takeWord(text);
        const negated = first.word.toLowerCase() === 'not';
        const { word, rest } = negated ? takeWord(first.rest) : first;
        if (negated) refuseNegative(scope.rules, 'negative Require');
        const rule = ruleOf(word, rest);
        scope.rules.rules.push(negated ? { kind: 'not', rule } : rule);
      },
    }),
    container('any', 'One of the lines inside suffices.'),
    container('every', 'All lines inside must hold, none that is negated.'),
    container('none', 'No line inside may hold.'),
  ],
};

function refuseNegative(list: RuleList, what: string): void {
  if (list.kind === 'every') return;
  throw new Refusal(
    `${what} directive has no effect in <${names[list.kind]}> directive. Put it into <RequireAll>, beside what grants.`,
  );
}

function ruleOf(provider: string, rest: string): RequireRule {
  switch (provider.toLowerCase()) {
    case 'all':
      return { kind: 'all', granted: granted(rest) };
    case 'ip':
      return { kind: 'ip', networks: some('ip', rest).map(network) };
    case 'host':
      return { kind: 'host', names: some('host', rest).map((name) => name.toLowerCase()) };
    case 'env':
      return { kind: 'env', names: some('env', rest) };
    case 'local':
      return { kind: 'local' };
    case 'expr':
      return { kind: 'expr', condition: parseCondition(/^["']/.test(rest) ? takeWord(rest).word : rest) };
    default: {
      const instead = INSTEAD.get(provider);
      if (instead === undefined) throw new Refusal(`Unknown Authz provider: ${provider}`);
      throw new Refusal(
        `Require ${provider} is not supported yet by this version of Latchkey: use ${instead}`,
      );
    }
  }
}

const INSTEAD: ReadonlyMap<string, string> = new Map([
  ['user', 'Require ip, or SSLVerifyClient'],
  ['group', 'Require ip, or SSLVerifyClient'],
  ['valid-user', 'Require ip, or SSLVerifyClient'],
  ['method', `Require expr "%{REQUEST_METHOD} in {'GET', 'HEAD'}"`],
  ['forward-dns', 'Require ip'],
]);

function granted(text: string): boolean {
  const value = text.toLowerCase();
  if (value === 'granted' || value === 'denied') return value === 'granted';
  throw new Refusal("Argument for 'Require all' must be 'granted' or 'denied'");
}

function some(provider: string, text: string): string[] {
  const found = words(text);
  if (found.length === 0) throw new Refusal(`'require ${provider}' requires an argument`);
  return found;
}

/** In `address/bits`: `10.1` is `10.1.0.0/16`, a netmask becomes its number of bits. */
export function network(text: string): string {
  const say = (what: string) => new Refusal(`ip address '${text}' appears to be invalid${what}`);
  const [address = '', mask, ...more] = text.split('/');
  if (more.length > 0) throw say('');
  const family = isIP(address);
  if (family === 0) {
    const partial = mask === undefined ? partialNetwork(address) : undefined;
    if (!partial) throw say(': The specified IP address is invalid.');
    return partial;
  }
  const bits = mask === undefined ? (family === 4 ? 32 : 128) : maskBits(mask, family);
  if (bits === undefined) throw say(': The specified network mask is invalid.');
  return `${canonicalAddress(address)}/${bits}`;
}

function partialNetwork(text: string): string | undefined {
  const parts = text.replace(/\.$/, '').split('.');
  if (parts.length > 3 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return undefined;
  const address = [...parts.map(Number), 0, 0, 0].slice(0, 4).join('.');
  return `${address}/${parts.length * 8}`;
}

function maskBits(mask: string, family: number): number | undefined {
  if (/^\d{1,3}$/.test(mask)) return Number(mask) <= (family === 4 ? 32 : 128) ? Number(mask) : undefined;
  if (family !== 4 || isIP(mask) !== 4) return undefined;
  const bits = mask
    .split('.')
    .map((part) => Number(part).toString(2).padStart(8, '0'))
    .join('');
  return /^1*0*$/.test(bits) ? bits.replaceAll('0', '').length : undefined;
}
