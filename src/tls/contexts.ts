import { createHash } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { LatchkeyError } from '../base/errors.ts';
import type { CertificateSet, CertificateTableReader, TableCertificate } from '../certificates/table.ts';
import { canUse, kindOf } from './choice.ts';
import type { CertificateKind } from './choice.ts';
import type { ClientHello } from './clienthello.ts';
import { contextOptions } from './policy.ts';
import type { TlsPolicy } from './policy.ts';
import { protectTickets, sealTickets } from './server-socket.ts';
import { ticketKeyOf } from './ticket-keys.ts';
import type { TicketKey } from './ticket-keys.ts';

/** A certificate set ready to be served. */
export interface ServingContext {
  /** The set's version that it was made of. */
  readonly version: string;
  /** The set is a stopgap. */
  readonly fallback: boolean;
  /** ms since the epoch: when the first of its certificates ends. */
  readonly notAfter: number;
  /**
   * What a client gets. Of several certificates OpenSSL takes the one that suits it, except where the choice has to
   * be known beforehand: for the staple, which must be that of the certificate, and for `inOrder`, where the first
   * one that the client can use is to be taken (TLSCertificate).
   */
  forClient(hello: ClientHello, inOrder: boolean): Served;
}

export interface Served {
  readonly context: SecureContext;
  /** DER of the OCSP response for the certificate that will be shown. */
  readonly staple: Uint8Array | undefined;
}

export interface ContextsOptions {
  /**
   * Kept at most: a set counts once for each policy that it is served by. A context takes 30 to 40 KB, another one where
   * clients have resumed sessions; a set of several certificates has up to as many more for each. Default 1000.
   */
  readonly max?: number;
  /**
   * Random, 48 bytes each, the same in all processes: a ticket of one is good at every other. The first encrypts
   * tickets, all open them. Default: each context has its own, and no ticket is good beyond it.
   */
  readonly ticketKeys?: readonly Uint8Array[];
}

interface Kept {
  /** The policy's id. */
  readonly policy: string;
  readonly serving: ServingContext;
  /** When its version was last compared: by which table, and after which of its changes. */
  table: CertificateTableReader;
  changes: number;
}

/**
 * Makes contexts when they are first needed (0.3 ms) and keeps those used last. A context never outlives its
 * set's version: the next look-up after a change makes a new one.
 */
export class SecureContexts {
  /** By the set's id: a key of id and policy would have to be made, and hashed, for each handshake. */
  readonly #kept: LRUCache<string, readonly Kept[]>;
  #ticketKeys: readonly TicketKey[] | undefined;

  constructor({ max = 1000, ticketKeys }: ContextsOptions = {}) {
    this.#kept = new LRUCache({ maxSize: max, sizeCalculation: ({ length }) => length });
    this.#ticketKeys = ticketKeys?.map(ticketKeyOf);
  }

  /** Contexts that are in use take other keys from now on. As `ticketKeys` of the constructor. */
  changeTicketKeys(keys: readonly Uint8Array[]): void {
    this.#ticketKeys = keys.map(ticketKeyOf);
  }

  /**
   * The context of a set in the table; undefined where the table doesn't have it. Reads nothing of the table
   * while that hasn't changed, and no more than the version while that is the one kept.
   * @throws LatchkeyError `tls-unusable-certificate`
   */
  get(table: CertificateTableReader, id: string, policy: TlsPolicy): ServingContext | undefined {
    const changes = table.changes();
    const all = this.#kept.get(id);
    const kept = all?.find((one) => one.policy === policy.id);
    // Two tables may be as old as each other.
    if (kept?.table === table && kept.changes === changes) return kept.serving;
    const version = table.version(id);
    if (kept && kept.serving.version === version) {
      kept.table = table;
      kept.changes = changes;
      return kept.serving;
    }
    // What the table no longer has is not kept either: its keys are gone from memory when the last user is.
    const set = version === undefined ? undefined : table.get(id);
    if (!set) {
      this.#kept.delete(id);
      return undefined;
    }
    const others = all?.filter(({ serving }) => serving.version === set.version) ?? [];
    this.#kept.delete(id);
    const serving = { ...this.serving(set, policy, id), version: set.version };
    this.#kept.set(id, [...others, { policy: policy.id, serving, table, changes }]);
    return serving;
  }

  /**
   * As get(), for a set that is in no table: nobody keeps it.
   * @throws LatchkeyError `tls-unusable-certificate`
   */
  serving(
    { certificates, fallback }: Pick<CertificateSet, 'certificates' | 'fallback'>,
    policy: TlsPolicy,
    id: string,
  ): Omit<ServingContext, 'version'> {
    // A context holds one of a key type: with P-256 and P-384, or a pair that was named twice, the first.
    const held = certificates.filter(
      ({ keyType }, index) => certificates.findIndex((one) => one.keyType === keyType) === index,
    );
    const contexts = this.#forBoth(held, policy, id);
    const notAfter = Math.min(...certificates.map((one) => one.notAfter));
    const [first, ...others] = certificates;
    if (!first || others.length === 0) {
      const staple = first?.staple;
      return { fallback, notAfter, forClient: (hello) => ({ context: contexts.for(hello), staple }) };
    }
    const choices = new Choices(certificates, policy, {
      create: (one) => this.#forBoth([one], policy, id),
      isComplete: held.length === certificates.length,
    });
    return {
      fallback,
      notAfter,
      forClient: (hello, inOrder) =>
        choices.choose(hello, inOrder) ?? { context: contexts.for(hello), staple: undefined },
    };
  }

  /** @throws LatchkeyError `tls-unusable-certificate` */
  #forBoth(certificates: readonly TableCertificate[], policy: TlsPolicy, owner: string): ContextOfClient {
    const make = () => this.#make(certificates, policy, owner);
    const keys = this.#keysOf(policy);
    return keys ? new TwoContexts(make, keys) : { for: constant(make()) };
  }

  /**
   * A context that nobody keeps: for what is in no table (a challenge's certificate). Sessions can be resumed
   * between contexts of one policy and one `owner`.
   * @throws LatchkeyError `tls-unusable-certificate`
   */
  create(
    certificates: readonly Pick<TableCertificate, 'chainPem' | 'keyPem'>[],
    policy: TlsPolicy,
    owner: string,
  ): SecureContext {
    const context = this.#make(certificates, policy, owner);
    const keys = this.#keysOf(policy);
    if (keys) protectTickets(context, keys);
    return context;
  }

  #make(
    certificates: readonly Pick<TableCertificate, 'chainPem' | 'keyPem'>[],
    policy: TlsPolicy,
    owner: string,
  ): SecureContext {
    try {
      return createSecureContext({
        ...contextOptions(policy),
        cert: certificates.map(({ chainPem }) => chainPem),
        key: certificates.map(({ keyPem }) => keyPem),
        // Who was let in by one policy, or was shown one owner's certificate, has shown nothing to another.
        // Without it, resuming fails altogether where client certificates are asked for.
        sessionIdContext: createHash('sha256').update(`${policy.id} ${owner}`).digest('hex').slice(0, 32),
      });
    } catch (cause) {
      throw new LatchkeyError('tls-unusable-certificate', `OpenSSL cannot use the certificates of ${owner}`, {
        cause,
      });
    }
  }

  /** Undefined: contexts have keys of their own. */
  #keysOf({ sessions }: TlsPolicy): (() => readonly TicketKey[]) | undefined {
    if (sessions.ticketKey !== undefined) {
      return constant([ticketKeyOf(Buffer.from(sessions.ticketKey, 'base64'))]);
    }
    return this.#ticketKeys && (() => this.#ticketKeys ?? []);
  }
}

interface ContextOfClient {
  for(hello: ClientHello): SecureContext;
}

/** One for clients that begin anew, the cheaper one, and one that opens the tickets of those who want to go on. */
class TwoContexts implements ContextOfClient {
  readonly #make: () => SecureContext;
  readonly #keys: () => readonly TicketKey[];
  readonly #anew: SecureContext;
  #key: TicketKey | undefined;
  #resuming: SecureContext | undefined;

  constructor(make: () => SecureContext, keys: () => readonly TicketKey[]) {
    this.#make = make;
    this.#keys = keys;
    this.#anew = make();
  }

  for({ resumes }: ClientHello): SecureContext {
    if (resumes) return this.#opening();
    const [key] = this.#keys();
    if (key && key !== this.#key) sealTickets(this.#anew, (this.#key = key));
    return this.#anew;
  }

  #opening(): SecureContext {
    if (!this.#resuming) protectTickets((this.#resuming = this.#make()), this.#keys);
    return this.#resuming;
  }
}

function constant<T>(value: T): () => T {
  return () => value;
}

interface Candidate {
  readonly certificate: TableCertificate;
  readonly kind: CertificateKind;
  contexts: ContextOfClient | undefined;
}

interface CommonContext {
  /** Contexts of one certificate alone. */
  create(certificate: TableCertificate): ContextOfClient;
  /** OpenSSL has all certificates to choose from. */
  readonly isComplete: boolean;
}

/** As a server would rather sign; most clients want EC, too. */
const cost: readonly CertificateKind[] = ['prime256v1', 'secp384r1', 'secp521r1', 'rsa'];

/** The certificates of one set, each with a context of its own from when it is first chosen. */
class Choices {
  readonly #inOrder: readonly Candidate[];
  readonly #byCost: readonly Candidate[];
  readonly #policy: TlsPolicy;
  readonly #common: CommonContext;
  readonly #anyStaple: boolean;

  constructor(certificates: readonly TableCertificate[], policy: TlsPolicy, common: CommonContext) {
    this.#inOrder = certificates.flatMap((certificate) => {
      const kind = kindOf(certificate);
      return kind ? [{ certificate, kind, contexts: undefined }] : [];
    });
    this.#byCost = this.#inOrder.toSorted((a, b) => cost.indexOf(a.kind) - cost.indexOf(b.kind));
    this.#policy = policy;
    this.#common = common;
    this.#anyStaple = certificates.some(({ staple }) => staple !== undefined);
  }

  /** undefined where OpenSSL may choose as well, or has to. */
  choose(hello: ClientHello, inOrder: boolean): Served | undefined {
    const staples = hello.statusRequest && this.#anyStaple;
    if (!inOrder && !staples && this.#common.isComplete) return undefined;
    const candidates = inOrder ? this.#inOrder : this.#byCost;
    const chosen = candidates.find(({ kind }) => canUse(hello, kind, this.#policy));
    if (!chosen) return undefined;
    const { certificate } = chosen;
    chosen.contexts ??= this.#common.create(certificate);
    return { context: chosen.contexts.for(hello), staple: certificate.staple };
  }
}
