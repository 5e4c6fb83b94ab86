/**
 * Perl-compatible regular expressions as httpd's configurations have them, for JavaScript's engine. What means
 * the same is kept, what only is written differently is translated, what the engine would silently read as
 * something else is refused.
 *
 * As httpd compiles them since 2.4.30: `.` matches newlines, `$` only the very end (DOTALL, DOLLAR_ENDONLY).
 * Subjects and patterns are byte strings (see ./expression-tree.ts).
 */
import { toBytes } from './expression-tree.ts';

/** POSIX classes in the C locale, as content of a bracket expression. */
const posix: ReadonlyMap<string, string> = new Map(
  Object.entries({
    alpha: 'A-Za-z',
    digit: '0-9',
    alnum: 'A-Za-z0-9',
    upper: 'A-Z',
    lower: 'a-z',
    space: '\\t-\\r ',
    blank: '\\t ',
    punct: '!-\\/:-@\\[-`{-~',
    cntrl: '\\x00-\\x1f\\x7f',
    print: ' -~',
    graph: '!-~',
    xdigit: '0-9A-Fa-f',
    word: '\\w',
  }),
);

/** Escapes that PCRE has and JavaScript lacks or reads otherwise; [outside, inside a bracket expression]. */
const escapes: Readonly<Record<string, readonly [string | undefined, string | undefined]>> = {
  a: ['\\x07', '\\x07'],
  e: ['\\x1b', '\\x1b'],
  h: ['[\\t \\xa0]', '\\t \\xa0'],
  H: ['[^\\t \\xa0]', undefined],
  v: ['[\\n-\\r\\x85]', '\\n-\\r\\x85'],
  V: ['[^\\n-\\r\\x85]', undefined],
  s: ['[\\t-\\r ]', '\\t-\\r '],
  S: ['[^\\t-\\r ]', undefined],
  R: ['(?:\\r\\n|[\\n-\\r\\x85])', undefined],
  A: ['(?<![^])', undefined],
  z: ['(?![^])', undefined],
  Z: ['(?=\\n?(?![^]))', undefined],
};

/** Escapes that both read alike. */
const shared = /^[bBdDfnrtwW]$/;

/** The translation, or in words why there is none. */
export function translateRegex(pattern: string, insensitive: boolean): RegExp | string {
  const leading = /^\(\?([ims]+)\)/.exec(pattern);
  let flags = 's';
  if (insensitive || leading?.[1]?.includes('i')) flags += 'i';
  if (leading?.[1]?.includes('m')) flags += 'm';
  try {
    const body = new Translation(toBytes(pattern.slice(leading?.[0].length ?? 0))).run();
    return new RegExp(body, flags);
  } catch (error) {
    if (error instanceof Untranslatable) return error.message;
    if (error instanceof SyntaxError)
      return error.message.replace(/^Invalid regular expression: \/.*\/\w*: /s, '');
    throw error;
  }
}

class Untranslatable extends Error {}

class Translation {
  readonly #pattern: string;
  #at = 0;
  #inside = false;
  #out = '';

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  run(): string {
    while (this.#at < this.#pattern.length) this.#step();
    return this.#out;
  }

  #step(): void {
    const quoted = this.#take(/\\Q([^]*?)(?:\\E|$)/y);
    if (quoted) this.#out += (quoted[1] ?? '').replace(/[\\^$.*+?()[\]{}|\-/]/g, '\\$&');
    else if (this.#take(/\\E/y)) return;
    else if (this.#take(/\\/y)) this.#escape();
    else if (this.#inside) this.#bracket();
    else this.#outside();
  }

  #outside(): void {
    const open = this.#take(/\[\^?\]?/y);
    if (open) {
      this.#inside = true;
      // A bracket that comes first is one of the set in PCRE; JavaScript would see the end of an empty set.
      this.#out += open[0].replace(']', '\\]');
      return;
    }
    if (this.#take(/\(\?#[^)]*\)/y)) return;
    const name = this.#take(/\(\?P<(\w+)>/y) ?? this.#take(/\(\?'(\w+)'/y);
    if (name) return this.#put(`(?<${name[1]}>`);
    const again = this.#take(/\(\?P=(\w+)\)/y);
    if (again) return this.#put(`\\k<${again[1]}>`);
    const group = this.#take(/\(\?(?:[=!:]|<[=!]|<\w+>|[ims]*(?:-[ims]+)?:)/y);
    if (group) return this.#put(group[0]);
    if (this.#take(/\(\*/y)) throw new Untranslatable('(*VERBS) are not supported');
    const special = this.#take(/\(\?[^]{0,2}/y);
    if (special)
      throw new Untranslatable(
        `${special[0]}…) is not supported (flags stand at the very start or as (?i:…); no atomic groups, conditions, recursion)`,
      );
    const possessive = this.#take(/(?:[*+?]|\{\d+(?:,\d*)?\})\+/y);
    if (possessive) throw new Untranslatable(`the possessive quantifier ${possessive[0]} is not supported`);
    this.#put(this.#take(/[^]/y)?.[0] ?? '');
  }

  #bracket(): void {
    const named = this.#take(/\[:(\^?)(\w+):\]/y);
    if (named) {
      const content = named[1] === '' ? posix.get(named[2] ?? '') : undefined;
      if (content === undefined) throw new Untranslatable(`the class ${named[0]} is not supported`);
      return this.#put(content);
    }
    if (this.#take(/\[[.=]/y)) throw new Untranslatable('collating elements are not supported');
    if (this.#take(/\]/y)) {
      this.#inside = false;
      return this.#put(']');
    }
    this.#put(this.#take(/[^]/y)?.[0] ?? '');
  }

  #escape(): void {
    const hex = this.#take(/x\{([0-9A-Fa-f]{1,2})\}/y) ?? this.#take(/x([0-9A-Fa-f]{0,2})/y);
    if (hex) return this.#put(`\\x${(hex[1] ?? '').padStart(2, '0')}`);
    const octal = this.#take(/(0[0-7]{0,2}|[1-3][0-7]{2})/y);
    if (octal) return this.#put(`\\x${Number.parseInt(octal[0], 8).toString(16).padStart(2, '0')}`);
    const reference = this.#take(/[1-9]/y);
    if (reference && !this.#inside) return this.#put(`(?:\\${reference[0]})`);
    const letter = reference?.[0] ?? this.#take(/[^]/y)?.[0];
    if (letter === undefined) throw new Untranslatable('\\ at the end');
    if (!/[0-9A-Za-z]/.test(letter)) return this.#put(`\\${letter}`);
    const replacement = escapes[letter]?.[this.#inside ? 1 : 0];
    if (replacement !== undefined) return this.#put(replacement);
    if (shared.test(letter) && !(this.#inside && letter === 'B')) return this.#put(`\\${letter}`);
    throw new Untranslatable(`\\${letter} is not supported${this.#inside ? ' in [ ]' : ''}`);
  }

  #put(text: string): void {
    this.#out += text;
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#pattern);
    if (!found) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }
}
