/** The Issuer that speaks ACME (RFC 8555): one order for each key, one after the other, as mod_md does. */
import type { KeyObject } from 'node:crypto';
import type { AcmeClient, Order } from '../../acme/client.ts';
import { AcmeError } from '../../acme/errors.ts';
import { pollOrder } from '../../acme/poll.ts';
import type { Clock } from '../../base/clock.ts';
import { generateKey, keyFileSuffix } from '../../pki/keys.ts';
import type { KeySpec } from '../../pki/keyspec.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import type { Store } from '../../store/store.ts';
import { chainFile, chainIn, keyFile, readPair } from '../stored/held.ts';
import {
  type Issuer,
  type ObtainOptions,
  ownProblem,
  type Problem,
  RenewalError,
  type RenewalInfo,
  type RenewalQuestion,
} from '../issuer.ts';
import { fromCa, problemOf } from '../renewal/problems.ts';
import type { ManagedDomainSettings } from '../settings.ts';
import { keyName } from '../state.ts';
import { Accounts } from './accounts.ts';
import { authorize } from './authorize.ts';
import { challengeProblem } from './challenges.ts';
import { chainProblem, fits, isAsWanted } from './check.ts';
import { bindingProblem } from './external-account.ts';
import { finalize } from './finalize.ts';
import { lackingProfile, placeOrder } from './place-order.ts';
import type { Run } from './run.ts';
import {
  abandonOrder,
  DeadOrderError,
  dropOrder,
  isRefusal,
  resumeOrder,
  ValidationError,
} from './staged-order.ts';

export interface AcmeIssuerOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Makes the client for a CA. It is shared by all domains (its nonces, its connections) until forgetClients(). */
  readonly newClient: (authority: string, way: ClientSettings) => AcmeClient;
}

/** How a CA is reached. */
export type ClientSettings = Pick<ManagedDomainSettings, 'caCertificateFile' | 'proxy'>;

export class AcmeIssuer implements Issuer, AsyncDisposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #newClient: AcmeIssuerOptions['newClient'];
  readonly #clients = new Map<string, AcmeClient>();
  readonly #accounts: Accounts;

  constructor({ store, clock, newClient }: AcmeIssuerOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#newClient = newClient;
    this.#accounts = new Accounts(store, clock);
  }

  check(domain: ManagedDomainSettings): readonly Problem[] {
    return [challengeProblem(domain), bindingProblem(domain)].filter((problem) => problem !== undefined);
  }

  notes(domain: ManagedDomainSettings, authority: string): readonly string[] {
    const { profiles } = this.#clients.get(clientId(authority, domain)) ?? {};
    const { profile, profileMandatory } = domain;
    if (!profiles || profile === undefined || profileMandatory || profiles.includes(profile)) return [];
    return [`${lackingProfile(profile, profiles)}. Certificates are ordered without`];
  }

  account(domain: ManagedDomainSettings, authority: string): string | undefined {
    return this.#accounts.keptAs(domain, authority);
  }

  async obtain(domain: ManagedDomainSettings, options: ObtainOptions): Promise<void> {
    try {
      await this.#obtain(domain, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof AcmeError) throw new RenewalError(problemOf(error), { cause: error });
      throw error;
    }
  }

  async #obtain(domain: ManagedDomainSettings, options: ObtainOptions): Promise<void> {
    const { authority, progress } = options;
    const open = await this.#openKeys(domain, options);
    if (open.length > 0) {
      const [problem] = this.check(domain);
      if (problem) throw new RenewalError(problem);
      const client = this.#client(authority, domain);
      progress({ step: 'directory', detail: `Contacting ACME server for ${domain.name} at ${authority}` });
      const account = await this.#accounts.use(domain, client, options);
      const { mustStaple } = domain;
      const run: Run = {
        store: this.#store,
        clock: this.#clock,
        domain,
        client,
        account,
        options,
        mustStaple,
      };
      // Each forgets its order when it has its certificate.
      for (const spec of open) await this.#obtainFor(run, spec);
      return;
    }
    await dropOrder({ store: this.#store, clock: this.#clock, domain, options });
  }

  async renewalInfo(
    domain: ManagedDomainSettings,
    { authority, certificate, signal }: RenewalQuestion,
  ): Promise<RenewalInfo | undefined> {
    const { renewalId } = certificate;
    if (renewalId === undefined) return undefined;
    return this.#client(authority, domain).renewalInfo(renewalId, { signal });
  }

  /** The keys for which no good certificate is staged; a staged one that is no good is removed. */
  async #openKeys(domain: ManagedDomainSettings, { signal }: ObtainOptions): Promise<KeySpec[]> {
    const open: KeySpec[] = [];
    for (const spec of domain.keys) {
      const suffix = keyFileSuffix(spec);
      const pair = await readPair(this.#store, 'staging', domain.name, suffix, { signal });
      if (isAsWanted(pair, spec, domain.domains, this.#clock.now())) continue;
      open.push(spec);
      if (pair) await this.#store.remove('staging', domain.name, chainFile(suffix), { signal });
    }
    return open;
  }

  /** Goes on with the order there is, once; with a new one if it turns out to be dead. */
  async #obtainFor(run: Run, spec: KeySpec): Promise<void> {
    const resumed = await resumeOrder(run);
    if (resumed) {
      const detail = `Going on with the order ${resumed.url}`;
      run.options.progress({ step: 'order', detail });
      try {
        return await this.#complete(run, spec, resumed);
      } catch (error) {
        if (!(error instanceof DeadOrderError) && !isRefusal(error) && !isBroken(resumed, error)) throw error;
        await abandonOrder(run);
        if (error instanceof ValidationError) throw error;
        run.options.progress({ step: 'order', detail: `That order came to nothing: ${error.message}` });
      }
    }
    const { mustStaple } = run;
    try {
      await this.#complete(run, spec, await placeOrder(run, spec, this.#accounts));
    } catch (error) {
      if (error instanceof DeadOrderError) await abandonOrder(run);
      // The refusal of must-staple may have cost the order: without, another one may do.
      if (mustStaple === run.mustStaple || !(error instanceof DeadOrderError || isRefusal(error)))
        throw error;
      await abandonOrder(run);
      await this.#complete(run, spec, await placeOrder(run, spec, this.#accounts));
    }
  }

  async #complete(run: Run, spec: KeySpec, begun: Order): Promise<void> {
    const { client, account, clock, options } = run;
    const { signal, progress } = options;
    let order = begun;
    const waitWhile = async (...states: readonly string[]) => {
      const until = ({ status }: Order) => !states.includes(status);
      order = until(order) ? order : await pollOrder(client, account, order.url, { until, clock, signal });
    };
    if (order.status === 'pending') {
      await authorize(run, order);
      // With all names validated it is (RFC 8555 section 7.1.6): a question would only confirm it.
      order = { ...order, status: 'ready' };
    }
    if (order.status === 'ready') {
      progress({ step: 'finalize', detail: `Submitting the ${keyName(spec)} certificate request` });
      order = await finalize(run, order, await this.#key(run, spec));
    }
    await waitWhile('processing');
    if (order.status !== 'valid') throw new DeadOrderError(failureOf(order));
    progress({ step: 'certificate', detail: `Retrieving the ${keyName(spec)} certificate` });
    await this.#take(run, spec, await client.certificate(account, order, { signal }));
  }

  /** The staged private key, made when there is none: it is on disk before the CA hears of it. */
  async #key(run: Run, spec: KeySpec): Promise<KeyObject> {
    const { domain, options } = run;
    const file = keyFile(keyFileSuffix(spec));
    const staged = await loadPrivateKey(this.#store, 'staging', domain.name, file, options);
    if (staged && fits(staged, spec)) return staged;
    options.progress({ step: 'key', detail: `Generating the ${keyName(spec)} private key` });
    const key = await generateKey(spec);
    await savePrivateKey(this.#store, 'staging', domain.name, file, key, options);
    return key;
  }

  /** Checks what the CA gave, then stages it and forgets the order. */
  async #take(run: Run, spec: KeySpec, pem: string): Promise<void> {
    const { domain, options, clock } = run;
    const suffix = keyFileSuffix(spec);
    const key = await loadPrivateKey(this.#store, 'staging', domain.name, keyFile(suffix), options);
    const read = () => chainIn(this.#store, pem);
    const problem = chainProblem(read, key, domain.domains, clock.now());
    if (problem) throw new DeadOrderError(problem);
    await this.#store.save('staging', domain.name, chainFile(suffix), pem, options);
    await dropOrder(run);
  }

  /**
   * What CAs are trusted by may have changed (MDCACertificateFile, the embedded CA's root): who begins from now on
   * has a new client. Jobs under way go on with theirs, whose connections end by themselves once idle.
   */
  forgetClients(): void {
    this.#clients.clear();
  }

  #client(authority: string, { caCertificateFile, proxy }: ClientSettings): AcmeClient {
    const id = clientId(authority, { caCertificateFile, proxy });
    const known = this.#clients.get(id);
    if (known) return known;
    const client = this.#newClient(authority, { caCertificateFile, proxy });
    this.#clients.set(id, client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client[Symbol.asyncDispose]()));
  }
}

function clientId(authority: string, { caCertificateFile, proxy }: ClientSettings): string {
  return JSON.stringify([authority, caCertificateFile, proxy]);
}

function failureOf(order: Order): Problem {
  if (order.error) return fromCa(order.error);
  return ownProblem('order', `The order ${order.url} is ${order.status}, and the CA does not say why`);
}

/** A valid order never ends by itself: one whose certificate is garbage again would be gone on with for ever. */
function isBroken({ status }: Order, error: unknown): error is AcmeError {
  return status === 'valid' && error instanceof AcmeError && error.code === 'acme-invalid-response';
}
