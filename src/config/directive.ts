/**
 * What a directive is: data. Name, arguments, where it may stand, default and one line of documentation, and
 * the function that takes its arguments. The reading of arguments, the checks and the reference page
 * (docs/directives.md) all come from the declaration.
 */
import { words } from './lexer.ts';

/** httpd's kinds of arguments, and what `apply` gets for each. TAKE12 means one or two. */
interface Arguments {
  NO_ARGS: [];
  /** Everything after the name, as written. */
  RAW_ARGS: [text: string];
  /** `On` or `Off`. */
  FLAG: [on: boolean];
  TAKE1: [string];
  TAKE2: [string, string];
  TAKE3: [string, string, string];
  TAKE12: [string, string?];
  TAKE23: [string, string, string?];
  TAKE123: [string, string?, string?];
  /** One or more. */
  ITERATE: string[];
  /** One and then one or more. */
  ITERATE2: [string, ...string[]];
  /** Any number, none too. */
  TAKE_ARGV: string[];
}
export type Arity = keyof Arguments;

/** Where a directive may stand. `directory` is any of Directory, Location, Files, If, Proxy and their like. */
export type Context = 'server config' | 'virtual host' | 'directory' | 'managed domain' | 'authorization';

/** Everywhere that is not special. */
export const anywhere: readonly Context[] = ['server config', 'virtual host', 'directory'];
export const servers: readonly Context[] = ['server config', 'virtual host'];
export const serverOnly: readonly Context[] = ['server config'];

interface About {
  /** With `<` before it for a section. */
  readonly name: string;
  readonly aliases?: readonly string[];
  /** Arguments as the reference page shows them. */
  readonly syntax: string;
  readonly contexts: readonly Context[];
  /** As one would write it; absent where there is none. */
  readonly default?: string;
  /** One line, what it sets. Also ends the message about a wrong number of arguments. */
  readonly doc: string;
}

interface Declaration<Target, Kind extends Arity> extends About {
  readonly args: Kind;
  /** Refuses by throwing Refusal. For a section, opens it and gives what its content is applied to. */
  readonly apply: (target: Target, ...args: Arguments[Kind]) => Target | void;
  /** Of a section: after its content. Gets what `apply` gave. */
  readonly close?: (inner: Target) => void;
}

export interface Directive<Target> extends About {
  readonly apply: (target: Target, text: string) => Target | void;
  readonly close: ((inner: Target) => void) | undefined;
}

export interface Family<Target> {
  /** The module whose log the family's warnings go to. */
  readonly module: string;
  readonly title: string;
  readonly directives: readonly Directive<Target>[];
}

/** A directive cannot be taken as it stands; whoever applies it knows where that is. */
export class Refusal extends Error {}

/** The `declare` of one kind of target, so that a family need not say it each time. */
export function declaring<Target>() {
  return <Kind extends Arity>(declaration: Declaration<Target, Kind>): Directive<Target> => {
    const { args, apply, close, ...about } = declaration;
    const read = readers[args];
    const display = about.name.startsWith('<') ? `${about.name}>` : about.name;
    return {
      ...about,
      close,
      apply: (target, text) => apply(target, ...read(text, display, about.doc)),
    };
  };
}

type ReaderOf<Kind extends Arity> = (text: string, name: string, doc: string) => Arguments[Kind];

const readers: { readonly [Kind in Arity]: ReaderOf<Kind> } = {
  NO_ARGS(text, name) {
    if (text !== '') throw new Refusal(`${name} takes no arguments`);
    return [];
  },
  RAW_ARGS: (text) => [text],
  FLAG(text, name) {
    const value = words(text)[0]?.toLowerCase();
    if (value !== 'on' && value !== 'off') throw new Refusal(`${name} must be On or Off`);
    return [value === 'on'];
  },
  TAKE1(text, name, doc) {
    const [a, ...more] = words(text);
    if (!a || more.length > 0) throw count(name, 'one argument', doc, text);
    return [a];
  },
  TAKE2(text, name, doc) {
    const [a, b, ...more] = words(text);
    if (!a || !b || more.length > 0) throw count(name, 'two arguments', doc, text);
    return [a, b];
  },
  TAKE3(text, name, doc) {
    const [a, b, c, ...more] = words(text);
    if (!a || !b || !c || more.length > 0) throw count(name, 'three arguments', doc, text);
    return [a, b, c];
  },
  TAKE12(text, name, doc) {
    const [a, b, ...more] = words(text);
    if (!a || more.length > 0) throw count(name, '1-2 arguments', doc, text);
    return b === undefined ? [a] : [a, b];
  },
  TAKE23(text, name, doc) {
    const [a, b, c, ...more] = words(text);
    if (!a || !b || more.length > 0) throw count(name, 'two or three arguments', doc, text);
    return c === undefined ? [a, b] : [a, b, c];
  },
  TAKE123(text, name, doc) {
    const [a, b, c, ...more] = words(text);
    if (!a || more.length > 0) throw count(name, 'one, two or three arguments', doc, text);
    if (b === undefined) return [a];
    return c === undefined ? [a, b] : [a, b, c];
  },
  ITERATE(text, name, doc) {
    const all = words(text);
    if (!all[0]) throw new Refusal(`${name} requires at least one argument, ${doc}`);
    return all;
  },
  ITERATE2(text, name, doc) {
    const [a, ...more] = words(text);
    if (!a || more.length === 0) throw new Refusal(`${name} requires at least two arguments, ${doc}`);
    return [a, ...more];
  },
  TAKE_ARGV: (text) => words(text),
};

function count(name: string, number: string, doc: string, text: string): Refusal {
  const comment = /(?:^|\s)#/.test(text) ? ' (a comment needs a line of its own)' : '';
  return new Refusal(`${name} takes ${number}${comment}, ${doc}`);
}

/** The text between a section's name and its last `>`. */
export function sectionArguments(name: string, text: string): string {
  const end = text.lastIndexOf('>');
  if (end < 0) throw new Refusal(`<${name}> directive missing closing '>'`);
  return text.slice(0, end).trimEnd();
}
