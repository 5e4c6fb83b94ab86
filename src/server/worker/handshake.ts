/**
 * From a ClientHello to what is served: the challenge certificate for `acme-tls/1`, else the virtual host by
 * address and SNI, its certificate set from the table (asked of the engine where the table has none), and a
 * context from the cache. The common way is synchronous and does no I/O but the table's memory map.
 */
import type { Clock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { serverNameOf } from '../../certificates/source.ts';
import type { Names } from '../../certificates/sources/names.ts';
import type { SourceSettings } from '../../certificates/sources/settings.ts';
import type { CertificateSet, CertificateTableReader } from '../../certificates/table.ts';
import { ConfigError } from '../../config/errors.ts';
import type { HostSettings, HostTls, Listen, Settings, VirtualHostSettings } from '../../config/settings.ts';
import { HostIndex } from '../../http/hosts.ts';
import type { HandshakeTime, Selection } from '../../tls/accept.ts';
import type { ClientHello } from '../../tls/clienthello.ts';
import type { SecureContexts, ServingContext } from '../../tls/contexts.ts';
import {
  createPolicy,
  modernPolicy,
  type SessionRules,
  type TlsPolicy,
  type TlsPolicySettings,
} from '../../tls/policy.ts';
import { ADDED_SCOPE, type Plan, type Wanted } from '../calls.ts';
import type { Challenges } from '../../domains/challenge-answers.ts';
import { Wishes } from './wishes.ts';

const ACME_TLS = 'acme-tls/1';
/** With `Timeout 0`: nobody else would ever end a handshake (ms). */
const NO_TIMEOUT = 60_000;

/** What the rest of the connection needs to know of its handshake. */
export interface HandshakeTag {
  readonly host: HostSettings;
  readonly policy: TlsPolicy;
  /** The certificate is a stopgap. */
  readonly fallback: boolean;
  /** A CA's validation: there is nothing to say after the handshake. */
  readonly challenge: boolean;
}

export interface HandshakeParts {
  /** The table may be opened anew when an engine had to make another. */
  readonly table: () => CertificateTableReader;
  readonly contexts: SecureContexts;
  readonly challenges: Challenges;
  /** Asks the engine for a set that the table lacks. */
  readonly want: (setId: string) => Promise<Wanted>;
  /** Certificates by name. */
  readonly names: Names;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Serving = Omit<ServingContext, 'version'>;

interface HostTlsState {
  readonly setId: string | undefined;
  /** Where names are looked for that no other certificate is for. */
  readonly store: SourceSettings | undefined;
  readonly policy: TlsPolicy;
  readonly alpn: readonly string[];
}

/** A handshake whose host is known. */
interface Asking {
  readonly host: HostSettings;
  readonly state: HostTlsState;
  readonly hello: ClientHello;
  /** Shown is what was added at run time: whether it is stapled is no matter of the host's. */
  readonly added?: true;
}

/** What hosts and policies a plan makes; replaced as a whole at a reload. */
export class HandshakePlan {
  readonly hosts: HostIndex;
  readonly settings: Settings;
  readonly #clientCas: Plan['clientCas'];
  readonly #ticketKeyFiles: Plan['ticketKeyFiles'];
  readonly #states = new Map<HostSettings, HostTlsState>();
  readonly #bySet = new Map<string, VirtualHostSettings[]>();
  /** Hosts of one policy share it: trying one costs as much as a handshake. */
  readonly #policies = new Map<string, TlsPolicy>();

  /** Throws ConfigError where OpenSSL can't do what a host asks for. */
  constructor(plan: Pick<Plan, 'settings' | 'setIds' | 'clientCas' | 'ticketKeyFiles'>) {
    const { settings, setIds, clientCas, ticketKeyFiles } = plan;
    this.settings = settings;
    this.hosts = new HostIndex(settings);
    this.#clientCas = clientCas;
    this.#ticketKeyFiles = ticketKeyFiles;
    const { stores: asked, onDemand } = settings.dynamic;
    const stores = new Map([...asked, ...onDemand].map((store) => [store.id, store]));
    for (const [index, host] of [settings.base, ...settings.hosts].entries()) {
      const alpn = host.protocols.filter((protocol) => protocol !== ACME_TLS);
      const store = host.dynamicStore === undefined ? undefined : stores.get(host.dynamicStore);
      this.#states.set(host, { setId: setIds[index], store, policy: this.#policy(host), alpn });
    }
    for (const [index, host] of settings.hosts.entries()) this.#noteSet(setIds[index + 1], host);
  }

  /** Undefined for a host of another configuration. */
  state(host: HostSettings): HostTlsState | undefined {
    return this.#states.get(host);
  }

  /** An address and a name by which a client reaches the host that serves `setId`. */
  addressOf(setId: string): Target | undefined {
    for (const host of this.#bySet.get(setId) ?? []) {
      const listen = this.settings.listens.find((candidate) => candidate.tls && isAt(host, candidate));
      if (!listen) continue;
      const specific = host.addresses.find(
        (at) => at.address !== '*' && (at.port === '*' || at.port === listen.port),
      );
      const name = [host.serverName, ...host.aliases].find(
        (candidate) => candidate && /^[a-z0-9.-]+$/.test(candidate),
      );
      return {
        localAddress: listen.address ?? specific?.address ?? '127.0.0.1',
        localPort: listen.port,
        name,
        groups: this.#states.get(host)?.policy.groups,
      };
    }
    return undefined;
  }

  /** An address where `name` is looked for in a scope of the table: no host there has it, and a certificate for it. */
  addressFor(name: string, scope: string): Target | undefined {
    for (const listen of this.settings.listens.filter(({ tls }) => tls)) {
      for (const localAddress of this.#localAddresses(listen)) {
        const { host, known } = this.hosts.forHandshake(localAddress, listen.port, name);
        const { setId, store, policy } = this.#states.get(host) ?? {};
        const isFree = !known || setId === undefined;
        if (isFree && (scope === ADDED_SCOPE || scope === store?.id))
          return { localAddress, localPort: listen.port, name, groups: policy?.groups };
      }
    }
    return undefined;
  }

  #noteSet(setId: string | undefined, host: VirtualHostSettings): void {
    if (setId === undefined) return;
    const hosts = this.#bySet.get(setId);
    if (hosts) hosts.push(host);
    else this.#bySet.set(setId, [host]);
  }

  #localAddresses({ address }: Listen): readonly string[] {
    if (address !== undefined) return [address];
    const specific = this.settings.hosts.flatMap(({ addresses }) => addresses.map((at) => at.address));
    return ['127.0.0.1', ...specific.filter((one) => one !== '*')];
  }

  /** With the contents of the files. */
  #clientRules({ clientCa, clientCaPath, clientDepth, clientRevocation }: HostTls): TlsPolicySettings {
    const pem = (paths: readonly (string | undefined)[]) =>
      paths.map((path) => (path === undefined ? '' : (this.#clientCas[path] ?? ''))).join('\n');
    const revocation = clientRevocation && {
      check: clientRevocation.check,
      optional: clientRevocation.optional,
      crls: pem(clientRevocation.paths),
    };
    return { clientCa: pem([clientCa, clientCaPath]), clientRules: { depth: clientDepth, revocation } };
  }

  #sessions({ sessions: { tickets, timeout, ticketKeyFile } }: HostTls): SessionRules {
    const ticketKey = ticketKeyFile === undefined ? undefined : this.#ticketKeyFiles[ticketKeyFile];
    return { tickets, timeout, ticketKey };
  }

  #policy(host: HostSettings | VirtualHostSettings): TlsPolicy {
    const { tls } = host;
    if (!tls.engine) return modernPolicy;
    const { minVersion, maxVersion, ciphers, ciphersuites, cipherOrder, groups } = tls;
    const { signatureAlgorithms, clientAuth, clientCa, clientCaPath, clientDepth, clientRevocation } = tls;
    const server = { minVersion, maxVersion, ciphers, ciphersuites, cipherOrder };
    const sessions = this.#sessions(tls);
    const settings = { ...server, groups, signatureAlgorithms, clientAuth, sessions };
    const ofClients = { clientCa, clientCaPath, clientDepth, clientRevocation };
    const key = JSON.stringify([settings, clientAuth === 'none' ? {} : ofClients]);
    const known = this.#policies.get(key);
    if (known) return known;
    try {
      const policy = createPolicy({ ...settings, ...(clientAuth === 'none' ? {} : this.#clientRules(tls)) });
      this.#policies.set(key, policy);
      return policy;
    } catch (error) {
      throw new ConfigError(explain(error), 'at' in host ? host.at : undefined);
    }
  }
}

export class Handshakes {
  readonly #parts: HandshakeParts;
  readonly #wishes: Wishes;
  /** Contexts of sets that the table has no room for, by policy; kept as long as the set is. */
  readonly #outside = new WeakMap<object, Map<string, Serving>>();
  /** Why a host has no certificate, as last said in the log. */
  readonly #troubles = new WeakMap<HostSettings, string>();
  plan: HandshakePlan;

  constructor(parts: HandshakeParts, plan: HandshakePlan) {
    this.#parts = parts;
    this.#wishes = new Wishes(parts.want, parts.clock);
    this.plan = plan;
  }

  /** Without `remoteAddress` the server looks at itself: nothing is asked of anybody, and nothing counts as used. */
  select(
    hello: ClientHello,
    at: LocalAddress & { readonly remoteAddress?: string },
  ): Selection<HandshakeTag> | Promise<Selection<HandshakeTag>> {
    // Who looks wants to know whether it is served what was written just now.
    if (at.remoteAddress === undefined) this.#parts.table().refresh();
    const { host, known } = this.plan.hosts.forHandshake(at.localAddress, at.localPort, hello.sni);
    if (hello.alpn.includes(ACME_TLS)) return this.#challenge(hello, host);
    const state = this.plan.state(host);
    if (!state) return UNKNOWN_NAME;
    try {
      // A host that has the name and a certificate serves that; where it only stands in for the name, its
      // certificate is the fallback, whatever strict SNI says.
      if (!(known && state.setId !== undefined)) {
        const asking = { host, state, hello };
        const added = this.#addedSet(hello);
        if (added !== undefined) return this.#ofSet({ ...asking, added: true }, added);
        if (state.store) return this.#byName(asking, state.store, at.remoteAddress);
      }
      return !known && isStrict(host.tls, hello) ? UNKNOWN_NAME : this.#ofHost({ host, state, hello });
    } catch (error) {
      return this.#cannot(host, explain(error));
    }
  }

  #ofHost(asking: Asking): Selection<HandshakeTag> | Promise<Selection<HandshakeTag>> {
    const { setId } = asking.state;
    return setId === undefined ? UNKNOWN_NAME : this.#ofSet(asking, setId);
  }

  /** The set of a managed domain that was added at run time, and is nobody's by the configuration. */
  #addedSet({ sni }: ClientHello): string | undefined {
    const name = sni === undefined ? undefined : serverNameOf(sni);
    return name === undefined ? undefined : this.#parts.names.find(ADDED_SCOPE, name);
  }

  #ofSet(asking: Asking, setId: string): Selection<HandshakeTag> | Promise<Selection<HandshakeTag>> {
    const { policy } = asking.state;
    const serving = this.#parts.contexts.get(this.#parts.table(), setId, policy);
    return serving ? this.#serve(asking, serving) : this.#fetch(asking, setId);
  }

  #byName(
    asking: Asking,
    store: SourceSettings,
    client: string | undefined,
  ): Selection<HandshakeTag> | Promise<Selection<HandshakeTag>> {
    const { sni } = asking.hello;
    const name = sni === undefined ? undefined : serverNameOf(sni);
    if (name === undefined) return this.#ofHost(asking);
    const id = this.#parts.names.find(store.id, name);
    const serving = id === undefined ? undefined : this.#current(id, asking.state);
    if (!serving || id === undefined) {
      return client === undefined ? this.#ofHost(asking) : this.#seek(asking, store, name, client);
    }
    if (client !== undefined) this.#parts.names.note(id);
    return this.#serve(asking, serving);
  }

  /** Of a set that is found by name; it is not served beyond its end. */
  #current(id: string, { policy }: HostTlsState): ServingContext | undefined {
    const serving = this.#parts.contexts.get(this.#parts.table(), id, policy);
    return serving && serving.notAfter > this.#parts.clock.now() ? serving : undefined;
  }

  async #seek(
    asking: Asking,
    store: SourceSettings,
    name: string,
    client: string,
  ): Promise<Selection<HandshakeTag>> {
    const sought = await this.#parts.names.ask(store, name, client);
    this.#parts.table().refresh();
    try {
      const serving = sought.kind === 'stored' ? this.#current(sought.id, asking.state) : undefined;
      if (serving) return this.#serve(asking, serving);
      if (sought.kind !== 'set') return await this.#ofHost(asking);
      return this.#serve(asking, this.#servingOutside(sought.set, asking.state.policy, sought.id));
    } catch (error) {
      return this.#cannot(asking.host, explain(error));
    }
  }

  /** Whether a managed host has only a stopgap to show by now. Of a host that a reload has replaced it isn't known. */
  isFallback(host: HostSettings): boolean {
    const { setId, policy } = this.plan.state(host) ?? {};
    if (setId === undefined || policy === undefined) return false;
    return this.#parts.contexts.get(this.#parts.table(), setId, policy)?.fallback === true;
  }

  /** How long a handshake may take at an address: its default host's `RequestReadTimeout handshake=`, or Timeout. */
  timeout(localAddress: string, localPort: number): HandshakeTime {
    const { limits } = this.plan.hosts.forHandshake(localAddress, localPort, undefined).host;
    const { handshakeTimeout: time, timeout } = limits;
    return time.initial > 0 ? time : { initial: timeout || NO_TIMEOUT, max: 0, minRate: 0 };
  }

  async #fetch(asking: Asking, setId: string): Promise<Selection<HandshakeTag>> {
    const { host, state } = asking;
    try {
      const wanted = await this.#wishes.ask(setId);
      if ('problem' in wanted) return this.#cannot(host, wanted.problem);
      const { contexts, table } = this.#parts;
      // Not in the table after all: there is no room for it. It is served all the same.
      const serving =
        contexts.get(table(), setId, state.policy) ?? this.#servingOutside(wanted.set, state.policy, setId);
      return this.#serve(asking, serving);
    } catch (error) {
      return this.#cannot(host, explain(error));
    }
  }

  #servingOutside(
    set: Pick<CertificateSet, 'certificates' | 'fallback'>,
    policy: TlsPolicy,
    setId: string,
  ): Serving {
    let made = this.#outside.get(set);
    if (!made) this.#outside.set(set, (made = new Map<string, Serving>()));
    let serving = made.get(policy.id);
    if (!serving) made.set(policy.id, (serving = this.#parts.contexts.serving(set, policy, setId)));
    return serving;
  }

  /** What is fetched anew for the set's next client: it has changed. */
  forget(setId: string): void {
    this.#wishes.forget(setId);
  }

  #serve(asking: Asking, serving: Serving): Selection<HandshakeTag> {
    this.#troubles.delete(asking.host);
    return serve(asking, serving);
  }

  /** Said once for each change: everybody can bring about any number of handshakes. */
  #cannot(host: HostSettings, reason: string): Selection<HandshakeTag> {
    if (this.#troubles.get(host) !== reason) {
      this.#troubles.set(host, reason);
      this.#parts.logger.warn(
        `AH02639: no certificate to serve for ${host.serverName ?? 'the base server'}: ${reason}`,
      );
    }
    return { kind: 'refuse', alert: 'internal_error' };
  }

  async #challenge(hello: ClientHello, host: HostSettings): Promise<Selection<HandshakeTag>> {
    const pair = hello.sni === undefined ? undefined : await this.#parts.challenges.tlsAlpn01(hello.sni);
    if (!pair) return { kind: 'refuse', alert: 'no_application_protocol' };
    const context = this.#parts.contexts.create([pair], modernPolicy, ACME_TLS);
    const tag = { host, policy: modernPolicy, fallback: false, challenge: true };
    return { kind: 'serve', context, alpn: [ACME_TLS], policy: modernPolicy, tag };
  }
}

/** TLSStrictSNI minds wrong names only; SSLStrictSNIVHostCheck also refuses those who name none. */
function isStrict({ strictSni, family }: HostTls, { sni }: ClientHello): boolean {
  return strictSni && (sni !== undefined || family === 'ssl');
}

/** Whether connections that come in by `listen` can be for `host`. */
function isAt(host: VirtualHostSettings, listen: Listen): boolean {
  return host.addresses.some(
    ({ address, port }) =>
      (port === '*' || port === listen.port) &&
      (address === '*' || listen.address === undefined || address === listen.address),
  );
}

const UNKNOWN_NAME = { kind: 'refuse', alert: 'unrecognized_name' } as const;

/** Where a client reaches a set, by which name, and what it has to be capable of. */
interface Target extends LocalAddress {
  readonly name: string | undefined;
  /** Of the key exchange, in OpenSSL's notation; undefined: OpenSSL's own. */
  readonly groups: string | undefined;
}

export interface LocalAddress {
  readonly localAddress: string;
  readonly localPort: number;
}

function serve({ host, state, hello, added }: Asking, serving: Serving): Selection<HandshakeTag> {
  const { policy, alpn } = state;
  const tag = { host, policy, fallback: serving.fallback, challenge: false };
  const { context, staple } = serving.forClient(hello, host.tls.family === 'tls');
  return { kind: 'serve', context, alpn, policy, tag, staple: (added ?? host.stapling) && staple };
}
