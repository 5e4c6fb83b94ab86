/** The grammar of conditions. `&&` binds tighter than `||`, and `!` tighter than both. */
import { parseNetwork } from './expression-match.ts';
import { translateRegex } from './expression-regex.ts';
import { Scanner } from './expression-scanner.ts';
import { tests, wildcards } from './expression-tree.ts';
import type { Comparison, Condition, Network, Word } from './expression-tree.ts';

export function parseCondition(source: string): Condition {
  const scanner = new Scanner(source);
  const condition = either(scanner);
  scanner.skipSpace();
  if (!scanner.atEnd) scanner.fail(`${scanner.describe()} is too much: join conditions by && or ||`);
  return condition;
}

export function parseText(source: string): Word {
  return new Scanner(source).text(undefined);
}

function either(scanner: Scanner): Condition {
  return scanner.nested(() => series(scanner, 'or', /\|\||or\b/y, both));
}

function both(scanner: Scanner): Condition {
  return series(scanner, 'and', /&&|and\b/y, negation);
}

function series(
  scanner: Scanner,
  kind: 'and' | 'or',
  operator: RegExp,
  read: (scanner: Scanner) => Condition,
): Condition {
  const first = read(scanner);
  const conditions = [first];
  for (scanner.skipSpace(); scanner.take(operator); scanner.skipSpace()) conditions.push(read(scanner));
  return conditions.length === 1 ? first : { kind, conditions };
}

function negation(scanner: Scanner): Condition {
  let negated = false;
  for (scanner.skipSpace(); scanner.take(/!|not\b/y); scanner.skipSpace()) negated = !negated;
  const condition = simple(scanner);
  return negated ? { kind: 'not', condition } : condition;
}

function simple(scanner: Scanner): Condition {
  const constant = scanner.take(/(true|false)\b/y);
  if (constant) return { kind: 'constant', value: constant[0] === 'true' };
  if (scanner.accept('(')) {
    const inner = either(scanner);
    scanner.expect(')', 'close the parenthesis');
    return inner;
  }
  const unary = scanner.take(/-([a-zA-Z_])(?![a-zA-Z0-9_])/y)?.[1];
  return unary === undefined ? relation(scanner) : test(scanner, unary);
}

function test(scanner: Scanner, name: string): Condition {
  if (name === 'R') return { kind: 'network', left: undefined, network: network(scanner, '-R') };
  if (name === 'U' || name === 'F' || name === 'A')
    return scanner.fail(`-${name} is not supported: it needs a subrequest`, 2);
  const operator = tests.find((known) => known === name);
  if (!operator) return scanner.fail(`Unary operator '-${name}' does not exist`, 2);
  return { kind: 'test', operator, operand: scanner.word() };
}

/** In the order in which they must be tried: `==` before `=`. */
const comparisons: readonly (readonly [RegExp, 'text' | 'integer', Comparison])[] = [
  [/==|=(?!~)/y, 'text', '=='],
  [/!=/y, 'text', '!='],
  [/<=/y, 'text', '<='],
  [/>=/y, 'text', '>='],
  [/</y, 'text', '<'],
  [/>/y, 'text', '>'],
  [/-?eq\b/y, 'integer', '=='],
  [/-?ne\b/y, 'integer', '!='],
  [/-?le\b/y, 'integer', '<='],
  [/-?ge\b/y, 'integer', '>='],
  [/-?lt\b/y, 'integer', '<'],
  [/-?gt\b/y, 'integer', '>'],
];

function relation(scanner: Scanner): Condition {
  const left = scanner.word();
  scanner.skipSpace();
  for (const [pattern, as, operator] of comparisons)
    if (scanner.take(pattern)) return { kind: 'compare', as, operator, left, right: scanner.word() };
  const match = scanner.take(/(=~|!~)/y);
  if (match) return { kind: 'match', negated: match[0] === '!~', left, pattern: regex(scanner) };
  if (scanner.take(/-?in\b/y)) return { kind: 'in', left, list: list(scanner) };
  const binary = scanner.take(/-([a-zA-Z_][a-zA-Z0-9_]+)/y)?.[1];
  if (binary !== undefined) return named(scanner, left, binary);
  return scanner.fail(
    `an operator expected, found ${scanner.describe()}: to ask whether a word is there, write -n before it`,
  );
}

function named(scanner: Scanner, left: Word, written: string): Condition {
  const name = written.toLowerCase();
  if (name === 'ipmatch') return { kind: 'network', left, network: network(scanner, '-ipmatch') };
  const operator = wildcards.find((known) => known === name);
  if (!operator) return scanner.fail(`Binary operator '-${written}' does not exist`, written.length + 1);
  return { kind: 'wildcard', operator, left, right: scanner.word() };
}

function network(scanner: Scanner, operator: string): Network {
  const word = scanner.word();
  if (word.kind !== 'text') scanner.fail(`${operator} requires subnet/netmask as constant argument`);
  const parsed = parseNetwork(word.value);
  return parsed ?? scanner.fail(`'${word.value}' is not a network: write '10.1.0.0/16' or '2001:db8::/32'`);
}

function list(scanner: Scanner): Word[] {
  scanner.expect('{', "write in { 'one', 'two' }");
  const words = [scanner.word()];
  while (scanner.accept(',')) words.push(scanner.word());
  scanner.expect('}', "write in { 'one', 'two' }");
  return words;
}

function regex(scanner: Scanner): RegExp {
  scanner.skipSpace();
  const separator = scanner.take(/m([/#$%^|?!'",;:._-])|(\/)/y);
  if (!separator) scanner.fail('a regular expression expected: write /pattern/ or m#pattern#');
  const stop = separator[1] ?? '/';
  const body = scanner.take(new RegExp(`([^\\n]*?)[${stop.replace(/[\^-]/, '\\$&')}]`, 'y'));
  if (!body) scanner.fail(`unterminated regular expression: ${stop} is missing`);
  const source = body[1] ?? '';
  const insensitive = scanner.take(/i/y) !== undefined;
  if (scanner.take(/[a-zA-Z0-9]/y)) scanner.fail('the only flag of a regular expression is i', 1);
  const translated = translateRegex(source, insensitive);
  if (translated instanceof RegExp) return translated;
  return scanner.fail(`Failed to compile regular expression /${source}/: ${translated}`, source.length + 1);
}
