/**
 * Certificate stores: what hosts say of them, who uses which, and what deserves a warning. Hosts that say the
 * same share a store.
 */
import { createHash } from 'node:crypto';
import type { DynamicSettings, DynamicStoreSettings, StoreUrl } from '../certificates/sources/settings.ts';
import { Refusal } from './directive.ts';
import type { HostDraft, ServerDraft } from './draft.ts';
import { ConfigError } from './errors.ts';
import type { Position } from './settings.ts';

type Said = Omit<DynamicStoreSettings, 'id'>;

export type DynamicDraft = { -readonly [Key in keyof Said]?: Said[Key] } & {
  enabled?: { readonly on: boolean; readonly at: Position };
};

const defaults = {
  token: undefined,
  verify: true,
  caFile: undefined,
  timeout: 2000,
  maxAnswer: 65_536,
  breakerFailures: 5,
  breakerReset: 30_000,
  cacheFloor: 300_000,
  renewBefore: 7 * 86_400_000,
} as const satisfies Omit<Said, 'urls'>;

const DEFAULT_CACHE = 512 * 2 ** 20;

export function isDynamic(host: HostDraft, { base }: ServerDraft): boolean {
  return (host.dynamic.enabled ?? base.dynamic.enabled)?.on === true;
}

/** All stores in use, and which is whose. */
export class DynamicStores {
  readonly #server: ServerDraft;
  readonly #stores = new Map<string, DynamicStoreSettings>();

  constructor(server: ServerDraft) {
    this.#server = server;
  }

  /** The id of the store that a host's unknown names are looked for in. Throws ConfigError where it says no URL. */
  of(host: HostDraft): string | undefined {
    const { base } = this.#server;
    if (!isDynamic(host, this.#server)) return undefined;
    const { enabled, urls, ...values } = { ...base.dynamic, ...host.dynamic };
    if (!urls || urls.length === 0) {
      throw new ConfigError(
        'DynSSLEnable on needs to know the store: add DynSSLStoreURL https://localhost:8888/certs',
        enabled?.at,
      );
    }
    const settings = { ...defaults, ...values, urls };
    const key = JSON.stringify(settings);
    const known = this.#stores.get(key);
    if (known) return known.id;
    const id = this.#newId(settings);
    this.#stores.set(key, { ...settings, id });
    return id;
  }

  get settings(): Omit<DynamicSettings, 'onDemand'> {
    return {
      stores: [...this.#stores.values()],
      cacheBytes: this.#server.dynamicCacheBytes ?? DEFAULT_CACHE,
      snapshotFile: this.#server.dynamicSnapshot,
    };
  }

  /** What is cached outlives a change of times and limits. */
  #newId({ urls, token, verify, caFile }: Said): string {
    const asked = JSON.stringify([urls, token, verify, caFile]);
    const base = createHash('sha256').update(asked).digest('base64url').slice(0, 16);
    const same = [...this.#stores.values()].filter(({ id }) => id.startsWith(base)).length;
    return same === 0 ? base : `${base}.${same}`;
  }
}

/** Throws Refusal for what can't stand in a header. */
export function bearerToken(directive: string, token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Refusal(`${directive}: a token is ASCII without blanks`);
}

/** `http(s)://host[:port]/path`, or `unix:/socket|http://host/path`. */
export function storeUrl(text: string, absolute: (path: string) => string): StoreUrl {
  const [, socket, rest = text] = /^unix:([^|]+)\|(.*)$/i.exec(text) ?? [];
  const url = URL.parse(rest);
  const refuse = (why: string) => new Refusal(`DynSSLStoreURL: ${why}; use https://localhost:8888/certs`);
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw refuse('this is no http or https URL');
  }
  // It would be in every message about the store.
  if (url.username !== '' || url.password !== '')
    throw refuse('a URL has no password, a token is DynSSLStoreToken’s');
  if (url.search !== '' || url.hash !== '')
    throw refuse('names are added at its end, so ? and # cannot be in it');
  const clean = url.href.replace(/\/+$/, '');
  const socketPath = socket === undefined ? undefined : absolute(socket);
  return {
    url: clean,
    socketPath,
    display: socketPath === undefined ? clean : `unix:${socketPath}|${clean}`,
  };
}

export function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return /^(?:localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
