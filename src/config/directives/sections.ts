/** Sections: where per-directory settings hold. */
import { ExpressionSyntaxError, parseExpression } from '../expression.ts';
import type { Expression } from '../expression.ts';
import { translateRegex } from '../expression-regex.ts';
import { Refusal, anywhere, declaring, servers } from '../directive.ts';
import type { Context, Directive, Family } from '../directive.ts';
import { hasWildcard } from '../glob.ts';
import { words } from '../lexer.ts';
import { here, pathOf, within } from '../scope.ts';
import type { Scope } from '../scope.ts';
import type { Section } from '../settings.ts';

const directive = declaring<Scope>();

/** A Section without its body. */
type Head = Section extends infer One
  ? One extends Section
    ? Omit<One, 'settings' | 'sections' | 'at'>
    : never
  : never;

function open(scope: Scope, name: string, head: Head): Scope {
  const settings = {};
  const sections: Section[] = [];
  scope.sections.push({ ...head, settings, sections, at: here(scope) });
  return within(scope, {
    directory: settings,
    sections,
    rules: { kind: 'any', rules: [] },
    location: head.kind === 'location' ? head.path : undefined,
    proxyUrl: head.kind === 'proxy' ? head.url : undefined,
    inside: { ...scope.inside, directory: name },
  });
}

/** The section's Require lines, if it has any, become its authorization. */
function close(inner: Scope): void {
  const { rules } = inner.rules;
  const [only] = rules;
  if (!only) return;
  inner.directory.require = { rule: rules.length === 1 ? only : { kind: 'any', rules } };
}

function section(
  name: string,
  syntax: string,
  contexts: readonly Context[],
  doc: string,
  head: (scope: Scope, argument: string) => Head,
): Directive<Scope> {
  return directive({
    name: `<${name}`,
    syntax,
    contexts,
    doc,
    args: 'RAW_ARGS',
    apply(scope, text) {
      const [first, second, ...more] = words(text);
      if (!first) throw new Refusal(`<${name}> directive requires additional arguments`);
      if (first === '~' && second !== undefined && more.length === 0) {
        return open(scope, name, matching(name, second));
      }
      if (second !== undefined) throw new Refusal(`Multiple <${name}> arguments not (yet) supported.`);
      return open(scope, name, head(scope, first));
    },
    close,
  });
}

function matching(name: string, pattern: string): Head {
  const regex = compile(pattern);
  if (name.startsWith('Directory')) return { kind: 'directory-match', pattern: regex };
  if (name.startsWith('Files')) return { kind: 'files-match', pattern: regex };
  if (name.startsWith('Location')) return { kind: 'location-match', pattern: regex };
  throw new Refusal(`<${name} ~ …> is not supported yet by this version of Latchkey; name one URL`);
}

export function compile(pattern: string): RegExp {
  const regex = translateRegex(pattern, false);
  if (typeof regex === 'string') throw new Refusal(`Regex could not be compiled: ${regex}`);
  return regex;
}

/** fnmatch with FNM_PATHNAME: no wildcard matches a slash. */
function wildcards(pattern: string, end: string): RegExp {
  const body = pattern
    .replace(/[\\^$.+(){}|/]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]')
    .replaceAll('[!', '[^');
  return compile(`^${body}${end}`);
}

const condition = {
  syntax: '"expression"',
  contexts: anywhere,
  args: 'RAW_ARGS',
  close,
} as const;

export const sections: Family<Scope> = {
  module: 'core',
  title: 'Sections',
  directives: [
    section('Directory', 'folder | ~ regex', servers, 'Files below a folder.', (scope, path) =>
      hasWildcard(path)
        ? { kind: 'directory-match', pattern: wildcards(pathOf(scope, path), '(/|$)') }
        : { kind: 'directory', path: pathOf(scope, path) },
    ),
    section('DirectoryMatch', 'regex', servers, 'Files in folders that match.', (_scope, pattern) =>
      matching('Directory', pattern),
    ),
    section('Files', 'name | ~ regex', anywhere, 'Files of a name, `*` and `?` allowed.', (_scope, name) =>
      hasWildcard(name) ? { kind: 'files-match', pattern: wildcards(name, '$') } : { kind: 'files', name },
    ),
    section('FilesMatch', 'regex', anywhere, 'Files whose names match.', (_scope, pattern) =>
      matching('Files', pattern),
    ),
    section('Location', 'path | ~ regex', servers, 'URLs below a path.', (_scope, path) =>
      hasWildcard(path)
        ? { kind: 'location-match', pattern: wildcards(path, '$') }
        : { kind: 'location', path },
    ),
    section('LocationMatch', 'regex', servers, 'URLs whose paths match.', (_scope, pattern) =>
      matching('Location', pattern),
    ),
    section('Proxy', 'URL | *', servers, 'Requests that go to a proxied URL.', (_scope, url) => ({
      kind: 'proxy',
      url,
    })),
    directive({
      ...condition,
      name: '<If',
      doc: 'Requests for which the expression holds.',
      apply: (scope, text) => open(scope, 'If', { kind: 'if', condition: expression('If', text) }),
    }),
    directive({
      ...condition,
      name: '<ElseIf',
      doc: 'Requests for which this expression holds and those before did not.',
      apply(scope, text) {
        requirePrevious(scope);
        return open(scope, 'ElseIf', { kind: 'else-if', condition: expression('ElseIf', text) });
      },
    }),
    directive({
      ...condition,
      name: '<Else',
      syntax: '',
      doc: 'Requests for which no expression before held.',
      apply(scope, text) {
        if (text !== '') throw new Refusal('<Else> does not take an argument');
        requirePrevious(scope);
        return open(scope, 'Else', { kind: 'else' });
      },
    }),
  ],
};

function requirePrevious(scope: Scope): void {
  const previous = scope.sections.at(-1)?.kind;
  if (previous === 'if' || previous === 'else-if') return;
  throw new Refusal('<Else> or <ElseIf> section without previous <If> or <ElseIf> section in same scope');
}

function expression(name: string, text: string): Expression {
  const [source, ...more] = words(text);
  if (!source) throw new Refusal(`<${name}> directive requires additional arguments`);
  if (more.length > 0) {
    throw new Refusal(`Cannot parse condition clause: put the whole expression in quotes, <${name} "…">`);
  }
  return parseCondition(source);
}

export function parseCondition(source: string): Expression {
  try {
    return parseExpression(source);
  } catch (error) {
    if (error instanceof ExpressionSyntaxError) {
      throw new Refusal(`Cannot parse condition clause: ${error.message}`);
    }
    throw error;
  }
}
