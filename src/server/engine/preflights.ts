/**
 * When preflight is done in the server: for a domain without a certificate whose order takes longer than a moment
 * (what succeeds at once needs no advice), and whenever an administrator asks.
 */
import PQueue from 'p-queue';
import type { AcmeClient } from '../../acme/client.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { explain } from '../../base/errors.ts';
import { subscribe } from '../../base/events.ts';
import type { Logger } from '../../base/log.ts';
import type { Settings } from '../../config/settings.ts';
import { undamaged } from '../../domains/stored/held.ts';
import type { ClientSettings } from '../../domains/issuers/acme.ts';
import { accountPrefix } from '../../domains/stored/kept-accounts.ts';
import { dnsBy, systemDns } from '../../domains/preflight/dns.ts';
import type { Finding } from '../../domains/preflight/finding.ts';
import { preflight, type PreflightOptions } from '../../domains/preflight/preflight.ts';
import type { ManagedDomainSettings } from '../../domains/settings.ts';
import { readAccount } from '../../store/documents.ts';
import type { Store } from '../../store/store.ts';

export interface PreflightsParts {
  /** As they are now. */
  readonly settings: () => Settings;
  /** Undefined: no server runs, and nobody is asked whether a name leads to it. */
  readonly store: Store | undefined;
  readonly logger: Logger;
  readonly newClient: (directoryUrl: string, way: ClientSettings) => AcmeClient;
  /** Whether a domain has no certificate yet; default: none is looked at of itself. */
  readonly isNew?: ((name: string) => boolean) | undefined;
  readonly clock?: Clock | undefined;
}

/** ms that a first order has before anybody wonders. */
const PATIENCE = 5000;
/** Domains looked at at once: advice must not compete with orders. */
const PARALLEL = 2;

export class Preflights implements AsyncDisposable {
  readonly #parts: PreflightsParts;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #subscriptions: DisposableStack = new DisposableStack();
  readonly #queue = new PQueue({ concurrency: PARALLEL });
  readonly #found = new Map<string, readonly Finding[]>();
  /** By CA: what it calls itself in CAA records. */
  readonly #identities = new Map<string, Promise<readonly string[] | undefined>>();

  constructor(parts: PreflightsParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#subscriptions.use(subscribe('latchkey:renewal:started', ({ domain }) => this.#consider(domain)));
    this.#subscriptions.use(
      subscribe('latchkey:certificate:installed', ({ domain }) => void this.#found.delete(domain)),
    );
  }

  /** What was found of a domain that still has no certificate. */
  of(name: string): readonly Finding[] {
    return this.#found.get(name) ?? [];
  }

  /** Looks now. Rejects when closed. */
  async look(domain: ManagedDomainSettings): Promise<readonly Finding[]> {
    // Nobody from outside looks at a tailnet.
    if (domain.protocol !== 'acme') return [];
    const { store, settings } = this.#parts;
    const [authority] = domain.authorities;
    const common = { store, signal: this.#stop.signal };
    return preflight(domain, { ...common, ...(await this.#eyesOf(authority, domain, settings())) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.dispose();
    this.#stop.abort(new Error('the engine ends'));
    await this.#queue.onIdle();
  }

  #consider(name: string): void {
    const { settings, isNew } = this.#parts;
    if (!settings().md.preflight.enabled || this.#found.has(name) || isNew?.(name) !== true) return;
    this.#lookLater(name).catch((error: unknown) => {
      if (!this.#stop.signal.aborted)
        this.#parts.logger.warn(`md(${name}): preflight could not be done: ${explain(error)}`);
    });
  }

  async #lookLater(name: string): Promise<void> {
    const { logger, settings, isNew } = this.#parts;
    await this.#clock.sleep(PATIENCE, { signal: this.#stop.signal });
    await this.#queue.add(async () => {
      const domain = settings().domains.find((candidate) => candidate.name === name);
      if (!domain || isNew?.(name) !== true || this.#stop.signal.aborted) return;
      const findings = await this.look(domain);
      if (isNew(name)) this.#found.set(name, findings);
      for (const { detail, remedy } of findings) logger.info(`md(${name}): preflight: ${detail}; ${remedy}`);
    });
  }

  /** How the CA sees it: the embedded one has its own ports and resolver, and knows no CAA. */
  async #eyesOf(
    authority: string | undefined,
    domain: ManagedDomainSettings,
    { localCa, md }: Settings,
  ): Promise<Omit<PreflightOptions, 'store' | 'signal'>> {
    if (authority === 'local' && localCa) {
      const { resolver, httpPort, tlsPort } = localCa;
      const dns = resolver === undefined ? systemDns : dnsBy([resolver]);
      return { dns, ports: { http: httpPort, https: tlsPort } };
    }
    const dns = dnsBy(md.preflight.resolvers);
    if (authority === undefined || authority === 'local') return { dns };
    const [caaIdentities, account] = await Promise.all([
      this.#identitiesOf(authority, domain),
      this.#accountAt(authority, domain.name),
    ]);
    return { dns, caaIdentities, account };
  }

  /** A CA that does not answer now, or does not say, leaves CAA unjudged. */
  #identitiesOf(authority: string, domain: ManagedDomainSettings): Promise<readonly string[] | undefined> {
    const ask = async () => {
      try {
        await using client = this.#parts.newClient(authority, domain);
        const { meta } = await client.directory({ signal: this.#stop.signal });
        return meta.caaIdentities?.map((identity) => identity.toLowerCase());
      } catch {
        this.#identities.delete(authority);
        return undefined;
      }
    };
    const known = this.#identities.get(authority) ?? ask();
    this.#identities.set(authority, known);
    return known;
  }

  /** That of the order under way, else the first one of the CA. */
  async #accountAt(authority: string, name: string): Promise<string | undefined> {
    const { store } = this.#parts;
    if (!store) return undefined;
    const staged = await undamaged(readAccount(store, 'staging', name));
    if (staged?.['ca-url'] === authority) return staged.url;
    const prefix = accountPrefix(authority);
    for (const account of (await store.list('accounts')).filter((known) => known.startsWith(prefix))) {
      const document = await undamaged(readAccount(store, 'accounts', account));
      if (document?.['ca-url'] === authority) return document.url;
    }
    return undefined;
  }
}
