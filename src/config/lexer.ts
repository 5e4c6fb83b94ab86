/**
 * httpd's lexical rules: logical lines and words (ap_cfg_getline, ap_getword_conf).
 *
 * A line that ends in a backslash goes on in the next one, a comment too. White space around a line does not
 * count. Words are separated by white space; a word that begins with a quote ends at the same quote, and in it
 * a backslash escapes that quote and itself. Elsewhere only `\\` is an escape.
 */

const RETURN = 13;
const SPACE = 32;
const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;

/** C's isspace(): no Unicode spaces. NaN, what charCodeAt() gives past the end, is none. */
function isSpace(code: number): boolean {
  return code === SPACE || (code >= 9 && code <= 13);
}

/** The logical lines of one file, one after the other. */
export class Lines {
  readonly #text: string;
  #offset = 0;
  /** Physical number, from 1, of the line that next() gave last; of a continued one, its last. */
  number = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The next logical line without white space at its ends, or undefined at the end of the file. */
  next(): string | undefined {
    if (this.#offset >= this.#text.length) return undefined;
    let line = '';
    while (this.#offset < this.#text.length) {
      const text = this.#text;
      const found = text.indexOf('\n', this.#offset);
      let end = found < 0 ? text.length : found;
      const start = this.#offset;
      this.#offset = end + 1;
      this.number++;
      if (found >= 0 && end > start && text.charCodeAt(end - 1) === RETURN) end--;
      const continues = found >= 0 && end > start && text.charCodeAt(end - 1) === BACKSLASH;
      line += text.slice(start, continues ? end - 1 : end);
      if (!continues) break;
    }
    return strip(line);
  }
}

function strip(line: string): string {
  let start = 0;
  let end = line.length;
  while (start < end && isSpace(line.charCodeAt(start))) start++;
  while (end > start && isSpace(line.charCodeAt(end - 1))) end--;
  return start === 0 && end === line.length ? line : line.slice(start, end);
}

export interface Word {
  readonly word: string;
  /** What follows, without white space before it. */
  readonly rest: string;
}

/** Takes the first word off. An empty `word` with an empty `rest`: there was none. */
export function takeWord(text: string): Word {
  const start = skipSpaces(text, 0);
  const [word, end] = wordAt(text, start);
  return { word, rest: text.slice(skipSpaces(text, end)) };
}

/** All words. Quoted empty ones count. */
export function words(text: string): string[] {
  const found: string[] = [];
  let offset = skipSpaces(text, 0);
  while (offset < text.length) {
    const [word, end] = wordAt(text, offset);
    found.push(word);
    offset = skipSpaces(text, end);
  }
  return found;
}

function wordAt(text: string, start: number): readonly [word: string, end: number] {
  const first = text.charCodeAt(start);
  if (first === DOUBLE_QUOTE || first === SINGLE_QUOTE) return quotedAt(text, start, first);
  let end = start;
  while (end < text.length && !isSpace(text.charCodeAt(end))) end++;
  return [unescape(text.slice(start, end), undefined), end];
}

function quotedAt(text: string, start: number, quote: number): readonly [word: string, end: number] {
  let end = start + 1;
  while (end < text.length && text.charCodeAt(end) !== quote) {
    const next = text.charCodeAt(end + 1);
    const escaped = text.charCodeAt(end) === BACKSLASH && (next === quote || next === BACKSLASH);
    end += escaped ? 2 : 1;
  }
  const word = unescape(text.slice(start + 1, end), quote);
  return [word, Math.min(end + 1, text.length)];
}

function unescape(text: string, quote: number | undefined): string {
  let backslash = text.indexOf('\\');
  if (backslash < 0) return text;
  let result = '';
  let from = 0;
  while (backslash >= 0) {
    const next = text.charCodeAt(backslash + 1);
    if (next === BACKSLASH || next === quote) {
      result += text.slice(from, backslash) + text.charAt(backslash + 1);
      from = backslash + 2;
    }
    backslash = text.indexOf('\\', Math.max(from, backslash + 1));
  }
  return result + text.slice(from);
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** Whether a line is nothing to read: empty, or a comment. */
export function isBlank(line: string): boolean {
  return line === '' || line.startsWith('#');
}
