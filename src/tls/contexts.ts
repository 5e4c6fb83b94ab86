import { createHash } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { LatchkeyError } from '../base/errors.ts';
import type { CertificateTableReader, TableCertificate } from '../certificates/table.ts';
import { contextOptions } from './policy.ts';
import type { TlsPolicy } from './policy.ts';

/** A certificate set ready to be served. */
export interface ServingContext {
  /** The set's version that it was made of. */
  readonly version: string;
  /** Holds all keys of the set: OpenSSL takes the one that suits the client. */
  readonly context: SecureContext;
  /** The set is a stopgap. */
  readonly fallback: boolean;
  /**
   * DER of the OCSP response. Only of a set with one certificate: with several, which of them OpenSSL will take is
   * not known when the response must be given.
   */
  readonly staple: Uint8Array | undefined;
  /** ms since the epoch: when the first of its certificates ends. */
  readonly notAfter: number;
}

export interface ContextsOptions {
  /** Contexts kept at most; one takes 30 to 40 KB. Default 1000. */
  readonly max?: number;
  /**
   * 48 random bytes that all processes share: a ticket of one is good at every other. Default: each context has its
   * own, and no ticket is good beyond it.
   */
  readonly ticketKeys?: Uint8Array;
}

/**
 * Makes contexts when they are first needed (0.3 ms) and keeps those used last. A context never outlives its
 * set's version: the next look-up after a change makes a new one.
 */
export class SecureContexts {
  readonly #kept: LRUCache<string, ServingContext>;
  readonly #ticketKeys: Buffer | undefined;

  constructor({ max = 1000, ticketKeys }: ContextsOptions = {}) {
    if (ticketKeys && ticketKeys.length !== 48) {
      throw new LatchkeyError('tls-bad-ticket-keys', 'Ticket keys are 48 bytes');
    }
    this.#kept = new LRUCache({ max });
    this.#ticketKeys = ticketKeys && Buffer.from(ticketKeys);
  }

  /**
   * The context of a set in the table; undefined where the table doesn't have it. Reads no more of the table than
   * the version while that is the one kept.
   * @throws LatchkeyError `tls-unusable-certificate`
   */
  get(table: CertificateTableReader, id: string, policy: TlsPolicy): ServingContext | undefined {
    const key = `${policy.id} ${id}`;
    const version = table.version(id);
    const kept = this.#kept.get(key);
    if (kept && kept.version === version) return kept;
    // What the table no longer has is not kept either: its keys are gone from memory when the last user is.
    this.#kept.delete(key);
    const set = version === undefined ? undefined : table.get(id);
    if (!set) return undefined;
    const made: ServingContext = {
      version: set.version,
      context: this.create(set.certificates, policy, id),
      fallback: set.fallback,
      staple: set.certificates.length === 1 ? set.certificates[0]?.staple : undefined,
      notAfter: Math.min(...set.certificates.map(({ notAfter }) => notAfter)),
    };
    this.#kept.set(key, made);
    return made;
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
    try {
      return createSecureContext({
        ...contextOptions(policy),
        cert: certificates.map(({ chainPem }) => chainPem),
        key: certificates.map(({ keyPem }) => keyPem),
        // Who was let in by one policy, or was shown one owner's certificate, has shown nothing to another.
        // Without it, resuming fails altogether where client certificates are asked for.
        sessionIdContext: createHash('sha256').update(`${policy.id} ${owner}`).digest('hex').slice(0, 32),
        ...(this.#ticketKeys ? { ticketKeys: this.#ticketKeys } : {}),
      });
    } catch (cause) {
      throw new LatchkeyError('tls-unusable-certificate', `OpenSSL cannot use the certificates of ${owner}`, {
        cause,
      });
    }
  }
}
