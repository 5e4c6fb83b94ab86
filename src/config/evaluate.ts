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
  /** Directives that aren't there, which leave the rest as readable as it was; the first line of each. */
  readonly missing: Map<string, ConfigError>;
}

/**
 * Applies all nodes to the scope. Throws ConfigError for the first that is wrong; where directives are missing,
 * `further` has all others of them, up to what else is wrong.
 */
export function evaluate(nodes: readonly Node[], scope: Scope): void {
  const met: Met = { warned: new Set(), missing: new Map() };
  const other = firstError(() => walk(nodes, scope, met));
  const [first, ...further] = [...met.missing.values(), ...other];
  if (!first) return;
  first.further = further;
  throw first;
}

function firstError(work: () => void): ConfigError[] {
  try {
    work();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return [error];
    throw error;
  }
}

function walk(nodes: readonly Node[], scope: Scope, met: Met): void {
  for (const node of nodes) {
    scope.at = node;
    try {
      step(node, scope, met);
    } catch (error) {
      if (error instanceof Refusal) throw new ConfigError(error.message, node);
      throw error;
    }
  }
}

function step(node: Node, scope: Scope, met: Met): void {
  const name = node.children ? `<${node.name}` : node.name;
  const found = find(name);
  if (!found || found.kind === 'unsupported') {
    const message = found ? `${found.name} ${found.reason}` : unknown(name);
    if (!met.missing.has(message)) met.missing.set(message, new ConfigError(message, node));
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
  walk(node.children, inner, met);
  directive.close?.(inner);
}

function ignore(
  { name, module }: Extract<Registered, { kind: 'ignored' }>,
  scope: Scope,
  warned: Set<string>,
): void {
  if (warned.has(name)) return;
  warned.add(name);
  scope.warn(module, `${name} has no effect in Latchkey and is ignored`);
}

/** httpd's message, and which names there are that look alike. */
function unknown(name: string): string {
  const near = nearestDirectives(name).map((one) => `'${one}'`);
  const hint = near.length > 0 ? `; did you mean ${near.join(' or ')}?` : '';
  return `Invalid command '${name}', perhaps misspelled or defined by a module not included in the server configuration${hint}`;
}

/** httpd's messages for what stands where it may not. */
function checkContext(directive: Directive<Scope>, module: string, { inside }: Scope): void {
  const { contexts } = directive;
  const name = directive.name.startsWith('<') ? `${directive.name}>` : directive.name;
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
