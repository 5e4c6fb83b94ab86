/**
 * Header and RequestHeader (mod_headers). As in httpd, `always` rules fill a table of their own, which is laid
 * beside the answer's headers: they reach error pages too, and don't see what a handler or a backend set.
 */
import { evaluateString } from '../config/expression-evaluate.ts';
import { parseStringExpression } from '../config/expression.ts';
import type { StringExpression } from '../config/expression.ts';
import type { HeaderRule } from '../config/settings.ts';
import type { LiveExchange } from './live.ts';
import { bytes, contextOf, environmentOf, holds, requestHeader, variableOf } from './variables.ts';

/** Where rules work: names in any case, each with its lines. */
interface Table {
  get(name: string): readonly string[];
  set(name: string, values: readonly string[]): void;
}

/** Lays the rules over the headers of the answer. Called once, just before the head is written. */
export function applyHeaderRules(exchange: LiveExchange): void {
  const { directory, response } = exchange;
  const { headers: rules } = directory;
  if (!rules) return addStrictTransport(exchange);
  const always = new Map<string, readonly string[]>();
  const alwaysTable: Table = {
    get: (name) => always.get(name.toLowerCase()) ?? [],
    set: (name, values) => always.set(name.toLowerCase(), values),
  };
  for (const rule of rules) if (rule.condition === 'always') applyRule(rule, alwaysTable, exchange);
  const strict = always.get('strict-transport-security') ?? [];
  if (strict.length === 0) addStrictTransport(exchange);
  if (!exchange.isError) {
    for (const rule of rules)
      if (rule.condition === 'onsuccess') applyRule(rule, responseTable(exchange), exchange);
  }
  for (const [name, values] of always) {
    if (values.length > 0) response.setHeader(name, [...responseTable(exchange).get(name), ...values]);
  }
}

/** MDRequireHttps permanent: half a year, unless the configuration has its own. Not before there is a certificate. */
function addStrictTransport(exchange: LiveExchange): void {
  const { connection, directory, forwardTo, host, response, stopgap } = exchange;
  if (stopgap || forwardTo !== undefined) return;
  if ((directory.requireHttps ?? host.requireHttps) !== 'permanent' || !connection.secure) return;
  response.setHeader('Strict-Transport-Security', 'max-age=15768000');
}

function responseTable({ response }: LiveExchange): Table {
  return {
    get: (name) => {
      const value = response.getHeader(name);
      if (value === undefined) return [];
      return Array.isArray(value) ? value : [String(value)];
    },
    set: (name, values) => {
      if (values.length === 0) response.removeHeader(name);
      else response.setHeader(name, values.length === 1 ? `${values[0]}` : [...values]);
    },
  };
}

/** RequestHeader: changes what handlers and backends see. */
export function applyRequestHeaderRules(exchange: LiveExchange): void {
  const { requestHeaders: rules } = exchange.directory;
  if (!rules) return;
  const { headers } = exchange.request;
  const table: Table = {
    get: (name) => {
      const value = headers[name.toLowerCase()];
      return value === undefined ? [] : [value].flat();
    },
    set: (name, values) => {
      const lower = name.toLowerCase();
      if (values.length === 0) delete headers[lower];
      else
        headers[lower] = lower === 'set-cookie' ? [...values] : values.join(lower === 'cookie' ? '; ' : ', ');
    },
  };
  for (const rule of rules) applyRule(rule, table, exchange);
}

function applyRule(rule: HeaderRule, table: Table, exchange: LiveExchange): void {
  if (!isWanted(rule, exchange)) return;
  const { name } = rule;
  const now = table.get(name);
  const value = () => valueOf(rule, exchange);
  switch (rule.action) {
    case 'set':
      return table.set(name, [value()]);
    case 'setifempty':
      return now.length === 0 ? table.set(name, [value()]) : undefined;
    case 'add':
      return table.set(name, [...now, value()]);
    case 'append':
      return table.set(name, [[...now, value()].join(', ')]);
    case 'merge':
      return mergeValue(table, name, value());
    case 'unset':
      return table.set(name, []);
    case 'edit':
    case 'edit*':
      return table.set(
        name,
        now.map((line) => edit(rule, line)),
      );
    case 'note':
      exchange.notes.set(rule.value ?? '', now.join(', '));
      return undefined;
    case 'echo':
      return echo(rule, table, exchange);
    default:
      return rule.action satisfies never;
  }
}

/** Appends unless one of the comma-separated members is the same already. */
function mergeValue(table: Table, name: string, value: string): void {
  const now = table.get(name).join(', ');
  if (now.split(',').some((member) => member.trim() === value.trim())) return;
  table.set(name, [now === '' ? value : `${now}, ${value}`]);
}

function echo(rule: HeaderRule, table: Table, exchange: LiveExchange): void {
  const pattern = patternOf(rule, rule.name, 'i');
  for (const name of Object.keys(exchange.request.headers)) {
    if (!name.startsWith(':') && pattern?.test(name)) table.set(name, [requestHeader(exchange, name)]);
  }
}

function isWanted(rule: HeaderRule, exchange: LiveExchange): boolean {
  if (rule.expr) return holds(rule.expr, exchange);
  if (rule.env === undefined) return true;
  const negated = rule.env.startsWith('!');
  return (environmentOf(exchange, rule.env.slice(negated ? 1 : 0)) !== undefined) !== negated;
}

function edit(rule: HeaderRule, line: string): string {
  const pattern = patternOf(rule, rule.value ?? '', rule.action === 'edit*' ? 'g' : '');
  // httpd's `$0` is JavaScript's `$&`.
  return pattern ? line.replace(pattern, bytes(rule.replacement ?? '').replaceAll('$0', '$$&')) : line;
}

/** What a rule compiles to lives as long as the rule. An `undefined` is a pattern that doesn't compile. */
const patterns = new WeakMap<HeaderRule, RegExp | undefined>();

function patternOf(rule: HeaderRule, source: string, flags: string): RegExp | undefined {
  if (!patterns.has(rule)) patterns.set(rule, tryCompile(source, flags));
  const pattern = patterns.get(rule);
  if (pattern) pattern.lastIndex = 0;
  return pattern;
}

function tryCompile(source: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(source, flags);
  } catch {
    return undefined;
  }
}

const expressions = new WeakMap<HeaderRule, StringExpression>();

function valueOf(rule: HeaderRule, exchange: LiveExchange): string {
  const text = rule.value ?? '';
  if (!text.startsWith('expr=')) return clean(expandFormat(text, exchange));
  const expression = expressions.get(rule) ?? parseStringExpression(text.slice('expr='.length));
  expressions.set(rule, expression);
  return clean(evaluateString(expression, contextOf(exchange)));
}

/** `%t`, `%D`, `%{VAR}e`, `%{VAR}s`, `%%`; anything else stays as it is. */
function expandFormat(format: string, exchange: LiveExchange): string {
  return bytes(format).replaceAll(
    /%(?:\{([^}]*)\})?([a-zA-Z%])/g,
    (whole, name: string | undefined, letter) => {
      if (letter === '%') return '%';
      if (letter === 't') return `t=${exchange.started * 1000}`;
      if (letter === 'D') return `D=${(exchange.clock.now() - exchange.started) * 1000}`;
      if (name === undefined) return whole;
      if (letter === 'e') return environmentOf(exchange, name) ?? '(null)';
      return letter === 's' ? variableOf(exchange, name) || '(null)' : whole;
    },
  );
}

/** No header can be smuggled in through a variable. */
function clean(value: string): string {
  // oxlint-disable-next-line eslint/no-control-regex -- control characters are what is looked for
  return value.replaceAll(/[\0-\x08\x0a-\x1f\x7f]/g, ' ');
}
