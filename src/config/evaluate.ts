/** The walk through the tree: finds each directive, checks that it may stand there, applies it. */
import { Refusal, sectionArguments } from './directive.ts';
import type { Directive } from './directive.ts';
import { ConfigError } from './errors.ts';
import type { Node } from './reader.ts';
import { find, nearestDirectives } from './registry.ts';
import type { Registered } from './registry.ts';
import type { Scope } from './scope.ts';

/** What one walk has come across. */
interface Met {
  /** Directives that have had their warning. */
  readonly warned: Set<string>;
  /** What is wrong, by message, with the first line of each. */
  readonly wrong: Map<string, ConfigError>;
}

/**
 * Applies all nodes to the scope. Throws ConfigError for the first that is wrong; `further` has all others. A
 * directive that is refused leaves the rest as readable as it was.
 */
export function evaluate(nodes: readonly Node[], scope: Scope): void {
  const met: Met = { warned: new Set(), wrong: new Map() };
  walk(nodes, scope, met);
  const [first, ...further] = met.wrong.values();
  if (!first) return;
  first.further = further;
  throw first;
}

function walk(nodes: readonly Node[], scope: Scope, met: Met): void {
  for (const node of nodes) {
    scope.at = node;
    try {
      step(node, scope, met);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      note(error.message, node, met);
    }
  }
}

function note(message: string, node: Node, { wrong }: Met): void {
  if (!wrong.has(message)) wrong.set(message, new ConfigError(message, node));
}

function step(node: Node, scope: Scope, met: Met): void {
  const name = node.children ? `<${node.name}` : node.name;
  const found = find(name);
  if (!found || found.kind === 'unsupported') {
    note(found ? `${display(found.name)} ${found.reason}` : unknown(name), node, met);
    return;
  }
  if (found.kind === 'ignored') {
    ignore(found, scope, met.warned);
    return;
  }
  const { directive } = found;
  checkContext(directive, found.family.module, scope);
  if (!node.children) {
    directive.apply(scope, node.text);
    return;
  }
  const inner = directive.apply(scope, sectionArguments(node.name, node.text));
  if (!inner) return;
  const before = met.wrong.size;
  walk(node.children, inner, met);
  // What it would find missing may be what was refused.
  if (met.wrong.size === before) directive.close?.(inner);
}

function ignore(
  { name, module, why }: Extract<Registered, { kind: 'ignored' }>,
  scope: Scope,
  warned: Set<string>,
): void {
  if (warned.has(name)) return;
  warned.add(name);
  const reason = why === undefined ? '' : `: ${why}`;
  scope.warn(module, `${name} has no effect in Latchkey and is ignored${reason}`);
}

/** httpd's message, and which names there are that look alike. */
function unknown(name: string): string {
  const near = nearestDirectives(name).map((one) => `'${one}'`);
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
  return `Invalid command '${name}', perhaps misspelled or defined by a module not included in the server configuration${hint}`;
}

function display(name: string): string {
  return name.startsWith('<') ? `${name}>` : name;
}

/** httpd's messages for what stands where it may not. */
function checkContext(directive: Directive<Scope>, module: string, { inside }: Scope): void {
  const { contexts } = directive;
  const name = display(directive.name);
  if (inside.authorization !== undefined) {
    if (contexts.includes('authorization')) return;
    throw new Refusal(`${name} not allowed in <${inside.authorization}> context`);
  }
  if (inside.managedDomain !== undefined) {
    if (contexts.includes('managed domain')) return;
    throw new Refusal(`${name} is not allowed inside an '<MDomainSet' context`);
  }
  if (contexts.length === 1 && contexts[0] === 'managed domain') {
    throw new Refusal(`${name} is only valid inside a '<MDomainSet' context, not here`);
  }
  if (inside.directory !== undefined) {
    if (contexts.includes('directory')) return;
    throw new Refusal(
      module === 'md'
        ? `${name} cannot occur within <${inside.directory}> section`
        : `${name} not allowed in <${inside.directory}> context`,
    );
  }
  if (inside.virtualHost !== undefined) {
    if (contexts.includes('virtual host')) return;
    if (contexts.includes('server config')) {
      throw new Refusal(`${name} cannot occur within <VirtualHost> section`);
    }
  } else if (contexts.includes('server config')) return;
  else if (contexts.includes('virtual host')) throw new Refusal(`${name} only used in <VirtualHost>`);
  throw new Refusal(`${name} not allowed here: it belongs into a section like <Directory> or <Location>`);
}
