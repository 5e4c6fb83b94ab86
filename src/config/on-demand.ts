/** Names that are ordered when a client calls for them: what hosts say of it. Hosts that say the same share it. */
import type { OnDemandSource } from '../certificates/sources/settings.ts';
import type { OnDemandSettings } from '../domains/settings.ts';
import { configuredDomain, domainValues } from './domains.ts';
import type { DomainDraft, HostDraft, ServerDraft } from './draft.ts';
import { isDynamic } from './dynamic.ts';
import { ConfigError } from './errors.ts';
import type { ConfiguredDomain, Position, Settings, VirtualHostSettings } from './settings.ts';

type Said = Pick<OnDemandSettings, 'ask' | 'wait' | 'keep' | 'addresses'>;

export type OnDemandDraft = { -readonly [Key in keyof Said]?: Said[Key] } & {
  enabled?: { readonly on: boolean; readonly at: Position };
};

const HOUR = 3_600_000;
const defaults = { wait: 20_000, keep: 30 * 24 * HOUR, addresses: [] } as const;

/** What is cached is compared with the store that often; a renewal is told at once. */
const LOOK_INTERVAL = HOUR;
const CENTURY = 876_000 * HOUR;

interface Group extends Said {
  readonly id: string;
  readonly at: Position;
  /** The first of the hosts: its directives count. */
  readonly host: HostDraft;
  readonly hosts: HostDraft[];
}

export function isOnDemand(host: HostDraft, { base }: ServerDraft): boolean {
  return (host.onDemand.enabled ?? base.onDemand.enabled)?.on === true;
}

export class OnDemandNames {
  readonly #server: ServerDraft;
  readonly #groups = new Map<string, Group>();

  constructor(server: ServerDraft) {
    this.#server = server;
  }

  /** The id by which a host's unknown names are ordered. Throws ConfigError where that must not be. */
  of(host: HostDraft): string | undefined {
    const { base } = this.#server;
    if (!isOnDemand(host, this.#server)) return undefined;
    const { enabled, ask, ...values } = { ...defaults, ...base.onDemand, ...host.onDemand };
    const at = enabled?.at ?? { file: '', line: 0 };
    if (ask === undefined) {
      throw new ConfigError(
        'MDOnDemand on needs to know who may have a certificate, or anybody could have any: add MDOnDemandAsk http://localhost:9000/may-have, which answers 200 to ?domain=NAME if it may',
        at,
      );
    }
    if (isDynamic(host, this.#server)) {
      throw new ConfigError(
        'MDOnDemand and DynSSLEnable are both on for this host: a name is either ordered or looked for in a store. Turn one of them off.',
        at,
      );
    }
    const key = JSON.stringify([ask, values, domainValues(assignmentOf(host, at), this.#server)]);
    const known = this.#groups.get(key);
    if (known) known.hosts.push(host);
    const id = known?.id ?? (this.#groups.size === 0 ? 'on-demand' : `on-demand.${this.#groups.size}`);
    if (!known) this.#groups.set(key, { ...values, id, ask, at, host, hosts: [host] });
    return id;
  }

  get sources(): OnDemandSource[] {
    return [...this.#groups.values()].map(({ id, wait }) => ({
      id,
      wait,
      cacheFloor: LOOK_INTERVAL,
      renewBefore: CENTURY,
    }));
  }

  /** `hosts`: those of the configuration, complete. */
  settings(
    hosts: readonly VirtualHostSettings[],
    around: Pick<Settings, 'listens' | 'md'>,
  ): (OnDemandSettings & { readonly template: ConfiguredDomain })[] {
    return [...this.#groups.values()].map(({ id, ask, wait, keep, addresses, at, host, hosts: drafts }) => {
      const assignment = { ...assignmentOf(host, at), hosts: drafts };
      const values = { ...domainValues(assignment, this.#server), renewMode: 'auto' as const };
      const own = hosts.filter(({ dynamicStore }) => dynamicStore === id);
      const template = configuredDomain(assignment, values, own, this.#server, around);
      return { id, ask, wait, keep, addresses, template };
    });
  }
}

/** As if there were an `MDomain` in the host. */
function assignmentOf(host: HostDraft, at: Position) {
  const draft: DomainDraft = { at, names: [], values: {}, certificateFiles: [], keyFiles: [], host };
  return { draft, name: 'MDOnDemand', transitive: false, domains: [], hosts: [host] };
}
