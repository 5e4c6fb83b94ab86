/**
 * Evaluating expressions. It never throws: what is not there is an empty text, and a condition that can't be
 * decided is false.
 */
import { createHash } from 'node:crypto';
import type {
  FunctionName,
  Comparison,
  Condition,
  Expression,
  StringExpression,
  Test,
  Word,
} from './expression-tree.ts';
import { networkHas, wildcardMatches } from './expression-match.ts';

/** What an expression may ask of the request. All texts are byte strings, '' stands for absent. */
export interface ExpressionContext {
  /** httpd's variables by their upper-case names, but for HTTP_…, REMOTE_ADDR and TIME…, which are answered here. */
  variable(name: string): string;
  /** A request header; the name as written in the expression (any case). Several lines are joined. */
  header(name: string): string;
  responseHeader(name: string): string;
  /** The request's environment (SetEnv, SetEnvIf), without the process's. */
  env(name: string): string;
  /** The client's address; it is what `-R` looks at. */
  readonly remoteAddress: string;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Notes of the request; without it there are none. */
  note?(name: string): string;
  /** The process's environment; without it expressions don't see it. */
  osenv?(name: string): string;
  /** What lies at a path; without it every file test (`-f`, `-d`, …) is false. */
  file?(path: string): FileFacts | undefined;
}

export interface FileFacts {
  readonly kind: 'file' | 'directory' | 'other';
  /** Whether the path itself is a symbolic link (the rest then is about what it leads to). */
  readonly link: boolean;
  readonly size: number;
  readonly executable: boolean;
}

export function evaluate(expression: Expression, context: ExpressionContext): boolean {
  return new Evaluation(context).decide(expression.root);
}

export function evaluateString(expression: StringExpression, context: ExpressionContext): string {
  return new Evaluation(context).text(expression.root);
}

class Evaluation {
  readonly #context: ExpressionContext;
  #groups: readonly (string | undefined)[] = [];

  constructor(context: ExpressionContext) {
    this.#context = context;
  }

  decide(condition: Condition): boolean {
    if (condition.kind === 'constant') return condition.value;
    if (condition.kind === 'not') return !this.decide(condition.condition);
    if (condition.kind === 'and') return condition.conditions.every((each) => this.decide(each));
    if (condition.kind === 'or') return condition.conditions.some((each) => this.decide(each));
    return this.#relation(condition);
  }

  text(word: Word): string {
    if (word.kind === 'text') return word.value;
    if (word.kind === 'variable') return this.#variable(word.name);
    if (word.kind === 'group') return this.#groups[word.index] ?? '';
    if (word.kind === 'call') return functions[word.name](this.text(word.argument), this.#context);
    return word.words.map((each) => this.text(each)).join('');
  }

  #relation(relation: Relation): boolean {
    if (relation.kind === 'test') return this.#test(relation.operator, this.text(relation.operand));
    if (relation.kind === 'network')
      return networkHas(
        relation.network,
        relation.left ? this.text(relation.left) : this.#context.remoteAddress,
      );
    const left = this.text(relation.left);
    if (relation.kind === 'match') return this.#matches(relation.pattern, left) !== relation.negated;
    if (relation.kind === 'in') return relation.list.some((word) => this.text(word) === left);
    const right = this.text(relation.right);
    if (relation.kind === 'wildcard') return wildcardMatches(relation.operator, right, left);
    return compare(relation, left, right);
  }

  #matches(pattern: RegExp, subject: string): boolean {
    const found = execute(pattern, subject);
    // As in httpd, a pattern without groups leaves those of an earlier one alone.
    if (found === undefined || found === null) return false;
    if (found.length > 1) this.#groups = found;
    return true;
  }

  #test(operator: Test, operand: string): boolean {
    if (operator === 'n') return operand !== '';
    if (operator === 'z') return operand === '';
    if (operator === 'T') return !/^(?:|0|off|no|false)$/i.test(operand);
    const file = operand === '' || operand.includes('\0') ? undefined : this.#context.file?.(operand);
    return file !== undefined && fileTests[operator](file);
  }

  #variable(name: string): string {
    if (name === 'REMOTE_ADDR') return this.#context.remoteAddress;
    if (name.startsWith('TIME')) return timeVariable(name, new Date(this.#context.now()));
    if (name.startsWith('HTTP_'))
      return this.#context.header(name.slice(5).toLowerCase().replaceAll('_', '-'));
    return this.#context.variable(name);
  }
}

type Relation = Exclude<Condition, { readonly kind: 'constant' | 'not' | 'and' | 'or' }>;

const header = (name: string, context: ExpressionContext) => context.header(name);

const functions: Readonly<Record<FunctionName, (argument: string, context: ExpressionContext) => string>> = {
  req: header,
  http: header,
  req_novary: header,
  resp: (name, context) => context.responseHeader(name),
  reqenv: (name, context) => context.env(name),
  osenv: (name, context) => context.osenv?.(name) ?? '',
  note: (name, context) => context.note?.(name) ?? '',
  ssl: (name, context) => (/^SSL_/i.test(name) ? context.variable(name) : ''),
  env: (name, context) => context.note?.(name) || context.env(name) || context.osenv?.(name) || '',
  tolower: (text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()),
  toupper: (text) => text.replace(/[a-z]+/g, (letters) => letters.toUpperCase()),
  escape: (text) => text.replace(/[^A-Za-z0-9$\-_.+!*'(),:@&=/~]/g, percent),
  unescape: unescapeUrl,
  base64: (text) => Buffer.from(text, 'latin1').toString('base64'),
  unbase64: (text) => Buffer.from(text, 'base64').toString('latin1'),
  md5: (text) => createHash('md5').update(text, 'latin1').digest('hex'),
  sha1: (text) => createHash('sha1').update(text, 'latin1').digest('hex'),
};

const fileTests: Readonly<Record<Exclude<Test, 'n' | 'z' | 'T'>, (file: FileFacts) => boolean>> = {
  e: () => true,
  d: (file) => file.kind === 'directory',
  f: (file) => file.kind === 'file',
  s: (file) => file.kind === 'file' && file.size > 0,
  L: (file) => file.link,
  h: (file) => file.link,
  x: (file) => file.executable,
};

const orders: Readonly<Record<Comparison, (order: number) => boolean>> = {
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

function compare(
  { as, operator }: Extract<Condition, { readonly kind: 'compare' }>,
  left: string,
  right: string,
): boolean {
  if (as === 'integer') return orders[operator](order(integer(left), integer(right)));
  const bySize = as === 'sized' ? left.length - right.length : 0;
  return orders[operator](bySize || order(left, right));
}

function order<Value extends string | bigint>(left: Value, right: Value): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Undefined where the engine gave up: its own stack is bounded. */
function execute(pattern: RegExp, subject: string): RegExpExecArray | null | undefined {
  try {
    return pattern.exec(subject);
  } catch {
    return undefined;
  }
}

/** C's strtoll(): blanks, a sign, digits, the rest ignored; 64 bits, clamped. */
function integer(text: string): bigint {
  const digits = /^[ \t-\r]*([-+]?)0*(\d+)/.exec(text);
  if (!digits) return 0n;
  const [, sign, value = '0'] = digits;
  const size = value.length > 19 ? 2n ** 63n : BigInt(value);
  if (sign === '-') return size > 2n ** 63n ? -(2n ** 63n) : -size;
  return size >= 2n ** 63n ? 2n ** 63n - 1n : size;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/** ap_unescape_url_keep2f: an escaped slash stays, a bad escape or an escaped NUL spoils the whole. */
function unescapeUrl(text: string): string {
  if (/%(?![0-9a-f]{2})|%00/i.test(text)) return '';
  return text.replace(/%([0-9a-f]{2})/gi, (escape, hex: string) =>
    hex.toLowerCase() === '2f' ? escape : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** Local time, as httpd gives it. */
function timeVariable(name: string, now: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const parts: Readonly<Record<string, string>> = {
    TIME_YEAR: String(now.getFullYear()).padStart(4, '0'),
    TIME_MON: two(now.getMonth() + 1),
    TIME_DAY: two(now.getDate()),
    TIME_HOUR: two(now.getHours()),
    TIME_MIN: two(now.getMinutes()),
    TIME_SEC: two(now.getSeconds()),
  };
  if (name === 'TIME') return Object.values(parts).join('');
  if (name === 'TIME_WDAY') return String(now.getDay());
  return parts[name] ?? '';
}
