/** The environment of requests: what logs, header rules, conditions and scripts see. */
import { translateRegex } from '../expression-regex.ts';
import { Refusal, anywhere, declaring } from '../directive.ts';
import type { Directive, Family } from '../directive.ts';
import { takeWord, words } from '../lexer.ts';
import type { Scope } from '../scope.ts';
import type { EnvironmentRule } from '../settings.ts';

const directive = declaring<Scope>();

export const environment: Family<Scope> = {
  module: 'env',
  title: 'Environment of requests',
  directives: [
    directive({
      name: 'SetEnv',
      syntax: 'variable [value]',
      contexts: anywhere,
      doc: 'Sets a variable.',
      args: 'TAKE12',
      apply(scope, name, value) {
        change(scope, variableName('SetEnv', name), value ?? '');
      },
    }),
    directive({
      name: 'PassEnv',
      syntax: 'variable …',
      contexts: anywhere,
      doc: 'Passes variables on that the server was started with.',
      args: 'ITERATE',
      apply(scope, ...names) {
        for (const name of names) {
          const value = process.env[variableName('PassEnv', name)];
          if (value === undefined) scope.warn('env', `AH01506: PassEnv variable ${name} was undefined`);
          else change(scope, name, value);
        }
      },
    }),
    directive({
      name: 'UnsetEnv',
      syntax: 'variable …',
      contexts: anywhere,
      doc: 'Takes back what SetEnv or PassEnv said further out.',
      args: 'ITERATE',
      apply(scope, ...names) {
        for (const name of names) change(scope, variableName('UnsetEnv', name), null);
      },
    }),
    conditional('SetEnvIf', undefined, false),
    conditional('SetEnvIfNoCase', undefined, true),
    conditional('BrowserMatch', 'User-Agent', false),
    conditional('BrowserMatchNoCase', 'User-Agent', true),
  ],
};

function change(scope: Scope, name: string, value: string | null): void {
  scope.directory.environment = { ...scope.directory.environment, [name]: value };
}

/** A `=` in it would make another variable of it, for a script. */
function variableName(directiveName: string, name: string): string {
  if (name === '' || name.includes('='))
    throw new Refusal(`${directiveName}: '${name}' is no variable's name`);
  return name;
}

function conditional(name: string, fixed: string | undefined, ignoreCase: boolean): Directive<Scope> {
  const what = fixed ?? 'a header or property of the request';
  return directive({
    name,
    syntax: `${fixed === undefined ? 'attribute ' : ''}regex [!]variable[=value] …`,
    contexts: anywhere,
    doc: `Sets variables where ${what} matches${ignoreCase ? ', in any case' : ''}.`,
    args: 'RAW_ARGS',
    apply(scope, text) {
      const first = fixed === undefined ? takeWord(text) : { word: fixed, rest: text };
      const { word: pattern, rest } = takeWord(first.rest);
      const changes = words(rest);
      if (pattern === '') throw new Refusal(`Missing regular expression for ${name}`);
      if (changes.length === 0) throw new Refusal(`Missing envariable expression for ${name}`);
      const rule = {
        attribute: attribute(name, first.word),
        pattern: regex(pattern, ignoreCase),
        changes: changes.map((one) => assignment(name, one)),
      };
      scope.directory.environmentRules = [...(scope.directory.environmentRules ?? []), rule];
    },
  });
}

const properties: readonly string[] = [
  'remote_addr',
  'remote_host',
  'server_addr',
  'request_method',
  'request_protocol',
  'request_uri',
];

function attribute(name: string, text: string): EnvironmentRule['attribute'] {
  const lower = text.toLowerCase();
  if (properties.includes(lower)) return { kind: 'property', name: lower.toUpperCase() };
  if (lower.startsWith('oid(')) {
    throw new Refusal(
      `${name}: ${text} is not supported; ask for a variable like SSL_CLIENT_S_DN_CN in <If>`,
    );
  }
  return /^[\w-]+$/.test(text)
    ? { kind: 'named', name: text }
    : { kind: 'headers', names: regex(text, true) };
}

function regex(pattern: string, ignoreCase: boolean): RegExp {
  const compiled = translateRegex(pattern, ignoreCase);
  if (typeof compiled === 'string') throw new Refusal(`Regex could not be compiled: ${compiled}`);
  return compiled;
}

function assignment(name: string, text: string): EnvironmentRule['changes'][number] {
  if (text.startsWith('!')) return { name: variableName(name, text.slice(1)), value: null };
  const equals = text.indexOf('=');
  if (equals === -1) return { name: variableName(name, text), value: '1' };
  return { name: variableName(name, text.slice(0, equals)), value: text.slice(equals + 1) };
}
