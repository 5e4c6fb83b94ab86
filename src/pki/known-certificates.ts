import { LRUCache } from 'lru-cache';
import { Certificate } from './certificate.ts';

/**
 * Certificates that were read lately, for whoever reads the same again and again: a renewal its own, and all the same
 * issuer's. To read one takes 0.05 ms and some kilobytes.
 */
export class KnownCertificates {
  /** By their PEM. */
  readonly #known = new LRUCache<string, Certificate>({ max: 64 });

  /** @throws PkiError `certificate-unreadable` */
  read(pem: string): Certificate {
    const known = this.#known.get(pem) ?? new Certificate(pem);
    this.#known.set(pem, known);
    return known;
  }
}
