/** What DNS says, as a CA would ask it. */
import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { explain, systemCode } from '../../base/errors.ts';
import type { Abortable } from '../../store/store.ts';

/** A CAA record (RFC 8659 section 4): `issue`, `issuewild`, or any other tag. */
export interface CaaRecord {
  readonly critical: boolean;
  readonly tag: string;
  readonly value: string;
}

/** Records, none where there are none; or why nobody can tell. */
export type Answer<Item> = { readonly records: readonly Item[] } | { readonly failure: string };

export interface Dns {
  readonly addresses: (name: string, family: 4 | 6, options: Abortable) => Promise<Answer<string>>;
  readonly caa: (name: string, options: Abortable) => Promise<Answer<CaaRecord>>;
}

/** One query is asked twice, 2 s each. */
const QUERY = { timeout: 2000, tries: 2 };
/** More of them are not looked at. */
const MOST_RECORDS = 16;

const NONE = new Set(['ENODATA', 'ENOTFOUND']);

/**
 * @param servers `ADDRESS` or `ADDRESS:PORT`; none: those of the system
 * @throws TypeError for what is no such thing
 */
export function dnsBy(servers: readonly string[]): Dns {
  const make = () => {
    const resolver = new Resolver(QUERY);
    if (servers.length > 0) resolver.setServers(servers);
    return resolver;
  };
  make();
  return {
    addresses: (name, family, options) => {
      if (isLocalhost(name)) return Promise.resolve(loopback(family));
      return ask(make(), options, (by) => (family === 4 ? by.resolve4(name) : by.resolve6(name)));
    },
    caa: async (name, options) => {
      const answer = await ask(make(), options, (by) => by.resolveCaa(name));
      return 'failure' in answer ? answer : { records: answer.records.flatMap(caaRecord) };
    },
  };
}

/** By the system's resolver, hosts file and all, and without CAA: how an internal CA sees it. */
export const systemDns: Dns = {
  addresses: async (name, family) => {
    if (isLocalhost(name)) return loopback(family);
    try {
      const found = await lookup(name, { all: true, family });
      return { records: found.map(({ address }) => address) };
    } catch (error) {
      return NONE.has(systemCode(error) ?? '') ? { records: [] } : { failure: explain(error) };
    }
  },
  caa: () => Promise.resolve({ records: [] }),
};

/** No DNS server knows them, and not every system's resolver (RFC 6761 section 6.3). */
function isLocalhost(name: string): boolean {
  return /(?:^|\.)localhost$/.test(name);
}

function loopback(family: 4 | 6): Answer<string> {
  return { records: family === 4 ? ['127.0.0.1'] : [] };
}

async function ask<Item>(
  resolver: Resolver,
  { signal }: Abortable,
  query: (resolver: Resolver) => Promise<Item[]>,
): Promise<Answer<Item>> {
  const cancel = () => resolver.cancel();
  signal?.throwIfAborted();
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return { records: (await query(resolver)).slice(0, MOST_RECORDS) };
  } catch (error) {
    signal?.throwIfAborted();
    const code = systemCode(error) ?? '';
    return NONE.has(code) ? { records: [] } : { failure: code || explain(error) };
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** Node has a record as `{ critical, TAG: value }`. */
function caaRecord({ critical, ...tags }: { critical: number }): CaaRecord[] {
  return Object.entries(tags)
    .filter(([tag]) => tag !== 'type')
    .map(([tag, value]) => ({
      critical: (critical & 128) !== 0,
      tag: tag.toLowerCase(),
      value: String(value),
    }));
}

/** Whether DNS has anything to say of a name. */
export function isInDns(name: string): boolean {
  return isIP(name) === 0;
}
