/** Header fields of answers and of requests. */
import { translateRegex } from '../expression-regex.ts';
import { Refusal, anywhere, declaring } from '../directive.ts';
import type { Family } from '../directive.ts';
import { words } from '../lexer.ts';
import type { Scope } from '../scope.ts';
import type { HeaderRule } from '../settings.ts';
import { parseCondition } from './sections.ts';

const directive = declaring<Scope>();

/** How many arguments follow the header's name. */
const actions: Readonly<Record<HeaderRule['action'], 0 | 1 | 2>> = {
  add: 1,
  set: 1,
  setifempty: 1,
  append: 1,
  merge: 1,
  unset: 0,
  echo: 0,
  note: 1,
  edit: 2,
  'edit*': 2,
};

const isAction = (word: string): word is HeaderRule['action'] => word in actions;

export const headers: Family<Scope> = {
  module: 'headers',
  title: 'Headers',
  directives: [
    directive({
      name: 'Header',
      syntax: '[always|onsuccess] action name [value [replacement]] [env=[!]variable|expr=expression]',
      contexts: anywhere,
      doc: 'Changes header fields of answers: set, append, merge, add, unset, setifempty, edit, echo, note.',
      args: 'RAW_ARGS',
      apply(scope, text) {
        const args = words(text);
        const first = args[0]?.toLowerCase();
        const condition = first === 'always' || first === 'onsuccess' ? first : undefined;
        const rule = headerRule('Header', condition ? args.slice(1) : args, condition ?? 'onsuccess');
        scope.directory.headers = [...(scope.directory.headers ?? []), rule];
      },
    }),
    directive({
      name: 'RequestHeader',
      syntax: 'action name [value [replacement]] [env=[!]variable|expr=expression]',
      contexts: anywhere,
      doc: 'Changes header fields of requests before they are proxied.',
      args: 'RAW_ARGS',
      apply(scope, text) {
        const rule = headerRule('RequestHeader', words(text), 'onsuccess');
        if (rule.action === 'echo' || rule.action === 'note') {
          throw new Refusal(`Header ${rule.action} only valid on Header directives`);
        }
        scope.directory.requestHeaders = [...(scope.directory.requestHeaders ?? []), rule];
      },
    }),
  ],
};

function headerRule(name: string, args: readonly string[], condition: HeaderRule['condition']): HeaderRule {
  const action = args[0]?.toLowerCase() ?? '';
  const field = args[1]?.replace(/:$/, '');
  if (!isAction(action)) {
    throw new Refusal(
      "first argument must be 'add', 'set', 'setifempty', 'append', 'merge', 'unset', 'echo', 'note', 'edit', or 'edit*'.",
    );
  }
  const count = actions[action];
  if (!field || args.length < 2 + count) throw tooFew(name, action);
  if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(field) && action !== 'echo') {
    throw new Refusal(`${name}: '${field}' is no name of a header field`);
  }
  const [value, replacement] = args.slice(2, 2 + count);
  checkValue(name, action, value, replacement);
  return { condition, action, name: field, value, replacement, ...clause(args.slice(2 + count)) };
}

function tooFew(name: string, action: HeaderRule['action']): Refusal {
  if (actions[action] === 2) return new Refusal(`${name} ${action} requires a match and a substitution`);
  return new Refusal(
    actions[action] === 1 ? `${name} requires three arguments` : `${name} requires two arguments`,
  );
}

function clause(rest: readonly string[]): Pick<HeaderRule, 'env' | 'expr'> {
  // `early` is for testing httpd itself; header changes always come before the handler here.
  const [first, ...more] = rest.filter((word) => word.toLowerCase() !== 'early');
  if (more[0] !== undefined) throw new Refusal(`Unknown parameter: ${more[0]}`);
  if (first === undefined) return { env: undefined, expr: undefined };
  if (/^env=./i.test(first)) return { env: first.slice('env='.length), expr: undefined };
  if (/^expr=./i.test(first)) return { env: undefined, expr: parseCondition(first.slice('expr='.length)) };
  throw new Refusal(`Unknown parameter: ${first}`);
}

function checkValue(
  name: string,
  action: HeaderRule['action'],
  value: string | undefined,
  replacement: string | undefined,
): void {
  if (value === undefined) return;
  if (/^expr=/i.test(value)) {
    throw new Refusal(`${name}: a value by expr= is not supported yet by this version of Latchkey`);
  }
  if (actions[action] === 2) {
    const regex = translateRegex(value, false);
    if (typeof regex === 'string')
      throw new Refusal(`${name} ${action} regex could not be compiled: ${regex}`);
  }
  const format = actions[action] === 2 ? (replacement ?? '') : value;
  for (const [, letter = ''] of format.matchAll(/%(?:\{[^}]*\})?(.?)/gs)) {
    if (!/^[%tDlibes]$/.test(letter)) throw new Refusal(`Unrecognized header format %${letter}`);
  }
}
