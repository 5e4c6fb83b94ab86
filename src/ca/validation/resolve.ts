/** Names to addresses and TXT records, by the configured DNS server or the system's. */
import { lookup, Resolver } from 'node:dns/promises';
import { explain, systemCode } from '../../base/errors.ts';
import { AcmeProblem } from '../acme/problem.ts';
import { CaError } from '../errors.ts';
import { isLocalhost } from '../identifiers.ts';

export interface NameResolver {
  /** Addresses of a host name, at least one, IPv4 first. Rejects with AcmeProblem `dns`. */
  addresses(name: string, signal: AbortSignal): Promise<readonly string[]>;
  /** TXT records, their parts joined; none gives an empty list. Rejects with AcmeProblem `dns`. */
  texts(name: string, signal: AbortSignal): Promise<readonly string[]>;
}

/** One query is asked twice, 3 s each. */
const QUERY = { timeout: 3000, tries: 2 };
/** More addresses than this are not tried. */
const MOST_ADDRESSES = 8;
/** Answers that say: there is no such record. */
const none = new Set(['ENODATA', 'ENOTFOUND']);

/** `server` is `ADDRESS:PORT`, or undefined for the system's resolver (and its hosts file). Throws CaError. */
export function nameResolver(server: string | undefined): NameResolver {
  if (server !== undefined) query(server);
  return {
    async addresses(name, signal) {
      if (isLocalhost(name)) return ['127.0.0.1', '::1'];
      const found =
        server === undefined ? await bySystem(name, signal) : await byServer(server, name, signal);
      if (found.length > 0) return found.slice(0, MOST_ADDRESSES);
      throw new AcmeProblem('dns', `no address found for ${name}`);
    },
    async texts(name, signal) {
      const records = await ask(server, signal, name, 'TXT', (resolver) => resolver.resolveTxt(name));
      return records.map((parts) => parts.join(''));
    },
  };
}

async function byServer(server: string, name: string, signal: AbortSignal): Promise<string[]> {
  const families = await Promise.all([
    ask(server, signal, name, 'A', (resolver) => resolver.resolve4(name)),
    ask(server, signal, name, 'AAAA', (resolver) => resolver.resolve6(name)),
  ]);
  return families.flat();
}

async function bySystem(name: string, signal: AbortSignal): Promise<string[]> {
  try {
    const found = await abortable(lookup(name, { all: true, order: 'ipv4first' }), signal);
    return found.map(({ address }) => address);
  } catch (error) {
    if (none.has(systemCode(error) ?? '')) return [];
    throw failed(name, 'addresses', error);
  }
}

async function ask<T>(
  server: string | undefined,
  signal: AbortSignal,
  name: string,
  type: string,
  run: (resolver: Resolver) => Promise<T[]>,
): Promise<T[]> {
  const resolver = query(server);
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await run(resolver);
  } catch (error) {
    if (none.has(systemCode(error) ?? '')) return [];
    throw failed(name, type, error);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** One resolver for each query: cancel() stops all of a resolver's. */
function query(server: string | undefined): Resolver {
  const resolver = new Resolver(QUERY);
  if (server === undefined) return resolver;
  try {
    resolver.setServers([server]);
  } catch (cause) {
    throw new CaError('ca-listen', `the resolver ${server} is not ADDRESS:PORT`, { cause });
  }
  return resolver;
}

function failed(name: string, what: string, cause: unknown): AcmeProblem {
  return new AcmeProblem('dns', `looking up ${what} of ${name} failed: ${explain(cause)}`, { cause });
}

/** For what can't be stopped: waits no longer than the signal says. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort));
}
