/** What SetEnv and SetEnvIf say of a request, put into its environment (mod_env, mod_setenvif). */
import type { DirectorySettings, EnvironmentRule } from '../config/settings.ts';
import type { LiveExchange } from './live.ts';
import { bytes, protocolOf, requestHeader } from './variables.ts';

/** SetEnvIf of the server itself: before anything is looked at, so that sections and redirects see it. */
export function applyHostRules(exchange: LiveExchange): void {
  for (const rule of exchange.host.directory.environmentRules ?? []) applyRule(rule, exchange);
}

/** SetEnvIf of the place: before access is decided. The server's own come first in it, and have been applied. */
export function applyPlaceRules(exchange: LiveExchange): void {
  const rules = exchange.directory.environmentRules;
  if (!rules) return;
  const applied = exchange.host.directory.environmentRules?.length ?? 0;
  for (const rule of rules.slice(applied)) applyRule(rule, exchange);
}

/** SetEnv, PassEnv: after access is decided, as in httpd. */
export function applySetEnv(exchange: {
  readonly directory: DirectorySettings;
  readonly env: Map<string, string>;
}): void {
  const { environment } = exchange.directory;
  if (!environment) return;
  for (const [name, value] of Object.entries(environment)) {
    if (value !== null) exchange.env.set(name, bytes(value));
  }
}

function applyRule({ attribute, pattern, changes }: EnvironmentRule, exchange: LiveExchange): void {
  const found = execute(pattern, attributeOf(exchange, attribute));
  if (!found) return;
  for (const { name, value } of changes) {
    if (value === null) exchange.env.delete(name);
    else
      exchange.env.set(
        name,
        bytes(value).replaceAll(/\$(\d)/g, (_, digit) => found[Number(digit)] ?? ''),
      );
  }
}

/** JavaScript's engine throws where it gives up. */
function execute(pattern: RegExp, text: string): RegExpExecArray | null {
  try {
    return pattern.exec(text);
  } catch {
    return null;
  }
}

/** What is absent is empty, so that `^$` matches it. */
function attributeOf(exchange: LiveExchange, attribute: EnvironmentRule['attribute']): string {
  if (attribute.kind === 'property') return properties[attribute.name]?.(exchange) ?? '';
  if (attribute.kind === 'named') {
    return requestHeader(exchange, attribute.name) || (exchange.env.get(attribute.name) ?? '');
  }
  const { headers } = exchange.request;
  const name = Object.keys(headers).find((one) => !one.startsWith(':') && attribute.names.test(one));
  return name === undefined ? '' : requestHeader(exchange, name);
}

const properties: Readonly<Record<string, (exchange: LiveExchange) => string>> = {
  REMOTE_ADDR: ({ connection }) => connection.remoteAddress,
  REMOTE_HOST: ({ connection }) => connection.remoteAddress,
  SERVER_ADDR: ({ connection }) => connection.localAddress,
  REQUEST_METHOD: ({ method }) => method,
  REQUEST_PROTOCOL: protocolOf,
  REQUEST_URI: ({ path }) => bytes(path),
};
