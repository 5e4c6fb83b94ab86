/** From a ClientHello to what is served: a challenge's certificate, a managed one by its name, or one on demand. */
import type { SecureContext } from 'node:tls';
import { normalizeAddress } from '../base/addresses.ts';
import { serverNameOf } from '../certificates/source.ts';
import type { Challenges } from '../domains/challenge-answers.ts';
import type { Selection } from '../tls/accept.ts';
import type { Endpoints } from '../tls/incoming.ts';
import type { ClientHello } from '../tls/clienthello.ts';
import { SecureContexts, type ServingContext } from '../tls/contexts.ts';
import { modernPolicy, type TlsPolicy } from '../tls/policy.ts';
import type { Core } from './core.ts';

export interface SelectorParts {
  readonly core: Core;
  readonly challenges: Challenges;
  readonly policy: TlsPolicy;
}

export const ACME_TLS = 'acme-tls/1';

export type Serving = Pick<ServingContext, 'forClient'>;

export class Selector {
  readonly #parts: SelectorParts;
  readonly #contexts = new SecureContexts();

  constructor(parts: SelectorParts) {
    this.#parts = parts;
  }

  /** `alpn`: what is offered, by preference. */
  select(
    hello: ClientHello,
    endpoints: Endpoints,
    alpn: readonly string[],
  ): Selection<undefined> | Promise<Selection<undefined>> {
    if (hello.alpn.includes(ACME_TLS)) return this.#challenge(hello);
    const { policy } = this.#parts;
    const serve = (serving: Serving | undefined): Selection<undefined> =>
      serving
        ? { kind: 'serve', ...serving.forClient(hello, false), policy, alpn, tag: undefined }
        : UNKNOWN_NAME;
    const { sni } = hello;
    const found = this.find(sni ?? normalizeAddress(endpoints.localAddress), sni === undefined);
    if (found || sni === undefined) return serve(found);
    const sought = this.seek(sni, endpoints.remoteAddress);
    return sought ? sought.then(serve) : UNKNOWN_NAME;
  }

  /** What can be served for a name without waiting. `orFirst`: whoever names none gets the first domain's. */
  find(wanted: string, orFirst = false): Serving | undefined {
    const { served, managed } = this.#parts.core;
    const name = serverNameOf(wanted) ?? wanted;
    return this.#serving(served.find(name) ?? (orFirst ? this.#idOf(managed.all[0]?.name) : undefined));
  }

  /** Waits for a certificate on demand; undefined where there is no such thing. */
  seek(sni: string, address: string): Promise<Serving | undefined> | undefined {
    const name = serverNameOf(sni);
    const { core, policy } = this.#parts;
    return name === undefined
      ? undefined
      : core.seek(name, address)?.then((found) => {
          if (!found) return undefined;
          // Not in the table: there is no room for it, and it is served all the same.
          return (
            this.#serving(found.id) ?? (found.set && this.#contexts.serving(found.set, policy, found.id))
          );
        });
  }

  /** For node:tls, which tells of a client only the name it wants; undefined where there is nothing. */
  contextOf(name: string): SecureContext | undefined | Promise<SecureContext | undefined> {
    const context = (serving: Serving | undefined) => serving?.forClient(UNKNOWN_CLIENT, false).context;
    return context(this.find(name)) ?? this.seek(name, '')?.then(context);
  }

  #idOf(name: string | undefined): string | undefined {
    return name === undefined ? undefined : this.#parts.core.served.find(name);
  }

  #serving(id: string | undefined): Serving | undefined {
    const { core, policy } = this.#parts;
    return id === undefined ? undefined : this.#contexts.get(core.table, id, policy);
  }

  async #challenge(hello: ClientHello): Promise<Selection<undefined>> {
    const pair = hello.sni === undefined ? undefined : await this.#parts.challenges.tlsAlpn01(hello.sni);
    if (!pair) return { kind: 'refuse', alert: 'no_application_protocol' };
    const context = this.#contexts.create([pair], modernPolicy, ACME_TLS);
    return { kind: 'serve', context, alpn: [ACME_TLS], policy: modernPolicy, tag: undefined };
  }
}

/** Nothing is known of what it can use: OpenSSL chooses. */
const UNKNOWN_CLIENT: ClientHello = {
  legacyVersion: 0x0303,
  cipherSuites: [],
  supportedVersions: [],
  groups: [],
  signatureAlgorithms: [],
  signatureAlgorithmsCert: undefined,
  alpn: [],
  sni: undefined,
  sniInvalid: false,
  statusRequest: false,
  resumes: false,
  secureRenegotiation: false,
};

const UNKNOWN_NAME = { kind: 'refuse', alert: 'unrecognized_name' } as const;
