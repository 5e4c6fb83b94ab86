/**
 * From text to a tree of directives. Includes, variables and conditional sections act here, while reading, as
 * in httpd: the tree that comes out holds only what counts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemCode } from '../base/errors.ts';
import { Refusal, sectionArguments } from './directive.ts';
import type { Directive } from './directive.ts';
import { ConfigError } from './errors.ts';
import { expandPattern, hasWildcard, isFolder } from './glob.ts';
import { Lines, isBlank, takeWord } from './lexer.ts';
import type { Reading } from './reading.ts';
import type { Position, Warning } from './settings.ts';
import type { Variables } from './variables.ts';

/** One directive as it stands, or a section with what is in it. */
export interface Node extends Position {
  /** As written; of a section without `<`. */
  readonly name: string;
  /** What follows the name; of a section, its `>` too. */
  readonly text: string;
  /** Of sections only. */
  readonly children: Node[] | undefined;
}

export interface ReaderOptions {
  readonly serverRoot: string;
  readonly variables: Variables;
  /** Those that act while reading, by lower-case name. */
  readonly directives: ReadonlyMap<string, Directive<Reading>>;
  readonly knows: (name: string) => boolean;
  /** False: Include lines are passed over. */
  readonly includes?: boolean;
}

/** Files within files; more is a file that includes itself. */
const DEEPEST = 128;

export class Reader implements Reading {
  readonly tree: Node[] = [];
  readonly warnings: Warning[] = [];
  readonly variables: Variables;
  readonly knows: (name: string) => boolean;
  serverRoot: string;
  holds = false;
  readonly #directives: ReadonlyMap<string, Directive<Reading>>;
  readonly #includes: boolean;
  /** Sections that are open, outermost first. */
  readonly #open: Node[] = [];
  #depth = 0;
  #at: Position = { file: '', line: 0 };

  constructor(options: ReaderOptions) {
    this.serverRoot = options.serverRoot;
    this.variables = options.variables;
    this.knows = options.knows;
    this.#directives = options.directives;
    this.#includes = options.includes ?? true;
  }

  /** Reads a file, or throws ConfigError. */
  file(path: string): void {
    const from = this.#depth === 0 ? undefined : this.#at;
    this.text(readConfiguration(path, from), path);
  }

  /** Reads `source` as if it were the file `name`. */
  text(source: string, name: string): void {
    const before = this.#at;
    this.#depth++;
    this.#lines(new Lines(source), name, undefined);
    this.#depth--;
    this.#at = before;
  }

  path(name: string): string {
    return resolve(this.serverRoot, name);
  }

  warn(module: string, message: string): void {
    this.warnings.push({ ...this.#at, module, message });
  }

  get enclosing(): string | undefined {
    return this.#open.at(-1)?.name;
  }

  include(pattern: string, optional: boolean): void {
    if (!this.#includes) return;
    if (this.#depth > DEEPEST) {
      throw new Refusal(
        `Exceeded the maximum include depth of ${DEEPEST}: there appears to be a recursion. Remove the Include that leads back here.`,
      );
    }
    for (const file of this.#included(this.path(pattern), pattern, optional)) this.file(file);
  }

  #included(path: string, pattern: string, optional: boolean): string[] {
    if (!optional && !hasWildcard(pattern) && !isFolder(path)) return [path];
    const found = listed(path);
    if (found.length > 0 || optional) return found;
    throw new Refusal(
      `Include: No matches for '${path}', failing. Use IncludeOptional where there may be none.`,
    );
  }

  /** Up to the end of the file, or up to the end of the conditional section `container`. */
  #lines(lines: Lines, file: string, container: string | undefined): void {
    const outside = this.#open.length;
    for (let raw = lines.next(); raw !== undefined; raw = lines.next()) {
      if (isBlank(raw)) continue;
      const at = (this.#at = { file, line: lines.number });
      const line = this.variables.expand(raw, (name) => this.#undefinedVariable(name));
      const { word, rest } = takeWord(line);
      if (word.startsWith('</')) {
        if (this.#open.length === outside && container && isEndOf(word, container)) return;
        this.#close(word, outside, at);
      } else if (word.startsWith('<')) {
        this.#section(word, rest, lines, at);
      } else {
        this.#directive(word, rest, at);
      }
    }
    this.#refuseOpen(outside);
  }

  /** Debian's apache2ctl takes variables from a file for shells beside the configuration: who comes from there has forgotten it. */
  #undefinedVariable(name: string): void {
    const envvars = this.path('envvars');
    const remedy = existsSync(envvars)
      ? `: start with the variables of ${envvars} (set -a; . ${envvars})`
      : '';
    this.warn('core', `Config variable \${${name}} is not defined${remedy}`);
  }

  #directive(name: string, text: string, at: Position): void {
    const now = this.#directives.get(name.toLowerCase());
    if (now) this.#run(now, text, at);
    else this.#add({ name, text, children: undefined, ...at });
  }

  #section(word: string, rest: string, lines: Lines, at: Position): void {
    const closed = word.endsWith('>');
    const name = word.slice(1, closed ? -1 : undefined);
    const text = closed ? '>' : rest;
    const now = this.#directives.get(`<${name.toLowerCase()}`);
    if (!now) {
      const node = { name, text, children: [], ...at };
      this.#add(node);
      this.#open.push(node);
      return;
    }
    this.#run(now, text, at, name);
    if (this.holds) this.#lines(lines, at.file, name);
    else skip(lines, name, at);
  }

  #run(directive: Directive<Reading>, text: string, at: Position, section?: string): void {
    try {
      directive.apply(this, section === undefined ? text : sectionArguments(section, text));
    } catch (error) {
      if (error instanceof Refusal) throw new ConfigError(error.message, at);
      throw error;
    }
    this.#at = at;
  }

  #add(node: Node): void {
    (this.#open.at(-1)?.children ?? this.tree).push(node);
  }

  #close(word: string, outside: number, at: Position): void {
    const name = word.slice(2).replace(/>$/, '');
    const open = this.#open.length > outside ? this.#open.at(-1) : undefined;
    if (!open) throw new ConfigError(`${word} without matching <${name}> section`, at);
    if (!word.endsWith('>')) throw new ConfigError(`${word}> directive missing closing '>'`, at);
    if (name.toLowerCase() !== open.name.toLowerCase()) {
      throw new ConfigError(`Expected </${open.name}> but saw ${word}`, at);
    }
    this.#open.pop();
  }

  #refuseOpen(outside: number): void {
    const open = this.#open.at(-1);
    if (this.#open.length > outside && open) {
      throw new ConfigError(`<${open.name}> was not closed. Add </${open.name}> where it ends.`, open);
    }
  }
}

function isEndOf(word: string, container: string): boolean {
  return word.toLowerCase() === `</${container.toLowerCase()}>`;
}

/** Passes over a conditional section that does not hold. Sections in it must be closed in order all the same. */
function skip(lines: Lines, container: string, at: Position): void {
  const open = [container];
  for (let line = lines.next(); line !== undefined; line = lines.next()) {
    if (!line.startsWith('<')) continue;
    const { word } = takeWord(line);
    if (!word.startsWith('</')) {
      open.push(word.slice(1).replace(/>$/, ''));
      continue;
    }
    const expected = open.pop();
    if (expected === undefined || !isEndOf(word, expected)) {
      throw new ConfigError(`Expected </${expected}> but saw ${word}`, at);
    }
    if (open.length === 0) return;
  }
  throw new ConfigError(`Expected </${open.at(-1)}> before end of configuration`, at);
}

function listed(path: string): string[] {
  try {
    return expandPattern(path);
  } catch (error) {
    if (error instanceof RangeError) throw new Refusal(error.message);
    throw new Refusal(`Include: Could not read ${path}: ${reason(error)}`);
  }
}

function readConfiguration(path: string, from: Position | undefined): string {
  if (isFolder(path)) throw new ConfigError(`Configuration file ${path} is a folder, not a file`, from);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`Could not open configuration file ${path}: ${reason(error)}`, from, {
      cause: error,
    });
  }
}

function reason(error: unknown): string {
  const code = systemCode(error);
  if (code === 'ENOENT') return 'No such file or directory';
  if (code === 'EACCES') return 'Permission denied';
  if (code === 'ENOTDIR') return 'a part of the path is not a folder (-d and -f say where it is)';
  return code ?? String(error);
}
