/** Characters and words of an expression: quoted text, `%{…}`, `$1`, `function(word)`, concatenation. */
import { ExpressionSyntaxError, functionNames, toBytes, variables } from './expression-tree.ts';
import type { FunctionName, Word } from './expression-tree.ts';

/** Deeper nesting than anybody writes; keeps the parser and the evaluator off the end of the stack. */
const DEEPEST = 100;

/** Names that the language uses itself. */
const keywords = new Set('true false and or not in eq ne lt le gt ge'.split(' '));

export class Scanner {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  get atEnd(): boolean {
    return this.#at >= this.#source.length;
  }

  skipSpace(): void {
    this.take(/[ \t\n]*/y);
  }

  /** What `pattern` (sticky) matches here, consumed; undefined, and nothing consumed, if it doesn't. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (!found) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }

  /** Consumes `text` and the space before it if it comes next. */
  accept(text: string): boolean {
    this.skipSpace();
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  expect(text: string, remedy: string): void {
    if (!this.accept(text)) this.fail(`'${text}' expected, found ${this.describe()}: ${remedy}`);
  }

  describe(): string {
    this.skipSpace();
    if (this.atEnd) return 'the end';
    return `'${this.#source.slice(this.#at, this.#at + 20)}'`;
  }

  /** `back`: how many characters before here the mistake began. */
  fail(message: string, back = 0): never {
    throw new ExpressionSyntaxError(this.#at - back, message);
  }

  nested<Result>(read: () => Result): Result {
    if (++this.#depth > DEEPEST) this.fail(`nested more than ${DEEPEST} deep: split the expression`);
    const result = read();
    this.#depth--;
    return result;
  }

  /** One word: its parts may be joined by `.`. */
  word(): Word {
    const words = [this.#operand()];
    while (this.accept('.')) words.push(this.#operand());
    return joined(words);
  }

  /** Text up to the end of the source, or up to `stop`, which is consumed. */
  text(stop: string | undefined): Word {
    const words: Word[] = [];
    let literal = '';
    const flush = () => {
      if (literal !== '') words.push({ kind: 'text', value: literal });
      literal = '';
    };
    for (;;) {
      if (this.atEnd) {
        if (stop !== undefined) this.fail(`unterminated text: ${stop} is missing`);
        break;
      }
      if (stop !== undefined && this.#source[this.#at] === stop) {
        this.#at++;
        break;
      }
      const part = this.#reference();
      if (part) {
        flush();
        words.push(part);
      } else literal += this.#character();
    }
    flush();
    return joined(words);
  }

  #operand(): Word {
    this.skipSpace();
    const digits = this.take(/-?[0-9]+/y);
    if (digits) return { kind: 'text', value: digits[0] };
    const quote = this.take(/["']/y);
    if (quote) return this.text(quote[0]);
    const reference = this.#reference();
    if (reference) return reference;
    const name = this.take(/[a-zA-Z][a-zA-Z0-9_]*/y)?.[0];
    if (name === undefined)
      this.fail(`a word expected, found ${this.describe()}: write '…', %{NAME} or function(…)`);
    if (keywords.has(name) || !this.accept('('))
      this.fail(`${name} is neither quoted nor a function: write '${name}' or %{${name}}`, name.length);
    const argument = this.nested(() => this.word());
    this.expect(')', `close the argument of ${name}()`);
    return { kind: 'call', name: this.#functionName(name), argument };
  }

  /** `%{…}` or `$n`, if that is what comes next. */
  #reference(): Word | undefined {
    const group = this.take(/\$([0-9])/y);
    if (group) return { kind: 'group', index: Number(group[1]) };
    if (!this.take(/%\{/y)) return undefined;
    const name = this.take(/[a-zA-Z][a-zA-Z0-9_]*/y)?.[0];
    if (name === undefined) this.fail('%{ needs a name: %{NAME} or %{function:argument}');
    if (this.take(/\}/y)) return this.#variable(name);
    if (!this.take(/:/y)) this.fail(`unterminated variable: write %{${name}}`);
    const known = this.#functionName(name);
    return { kind: 'call', name: known, argument: this.nested(() => this.text('}')) };
  }

  #variable(written: string): Word {
    const name = written.toUpperCase();
    if (variables.has(name) || name.startsWith('SSL_')) return { kind: 'variable', name };
    const header = name.startsWith('HTTP_')
      ? `: a request header is %{req:${written.slice(5).replaceAll('_', '-')}}`
      : `: an environment variable is %{env:${written}}, a request header %{req:${written}}`;
    return this.fail(`Variable '${written}' does not exist${header}`, written.length + 3);
  }

  #functionName(written: string): FunctionName {
    const wanted = written.toLowerCase();
    const name = functionNames.find((known) => known === wanted);
    return name ?? this.fail(`Function '${written}' does not exist: there are ${functionNames.join(', ')}`);
  }

  /** One character of a text, escapes resolved. */
  #character(): string {
    const octal = this.take(/\\([0-7]{1,3})/y);
    if (octal) {
      const code = Number.parseInt(octal[1] ?? '', 8);
      if (code > 255) this.fail('escape sequence out of bound: \\377 is the highest', octal[0].length);
      return String.fromCharCode(code);
    }
    const escape = this.take(/\\([^\n])/uy)?.[1];
    if (escape !== undefined) return escapes[escape] ?? toBytes(escape);
    const plain = this.take(/[^\n\\]/uy);
    if (!plain) this.fail('unterminated text: it must end on its line, and \\ is written \\\\');
    return toBytes(plain[0]);
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

function joined(words: readonly Word[]): Word {
  const [only] = words;
  if (!only) return { kind: 'text', value: '' };
  return words.length === 1 ? only : { kind: 'join', words };
}
