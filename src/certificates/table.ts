/**
 * The certificate table: what a handshake can be given. Written by the engine only, read by every worker at
 * every handshake, synchronously and without I/O but the memory map.
 *
 * A **set** is what one owner serves: the certificates of a managed domain (one for each key type), a static
 * file pair, an answer of a dynamic store. Its id says whose it is: `md:example.org`, `file:<hash of the
 * paths>`. A **name** points to a set within a scope (for sources that are found by SNI and not by virtual host).
 *
 * Promises of every CertificateTable (conformance.testing.ts):
 * - `get` after a successful `put` gives the new set, in every process, at its next call. Only `changes` may be a
 *   little late with what another process did: a handshake that begins within 5 ms of it may be given what was before.
 * - A set is replaced as a whole; `version` is different after each put of different content, and equal
 *   while nothing changed (contexts are cached by it).
 * - The table is a cache: any entry may be missing at any time, and is then asked of the engine.
 * - Reading never throws: what is corrupt, foreign or absurd is a miss.
 * - Full is a named state: `put` gives `full`, what was there stays readable, nothing crashes.
 */

/** One certificate with its key, ready for a handshake. */
export interface TableCertificate {
  /** `rsa` or `ec` (anything else a key may be has its node:crypto asymmetricKeyType). */
  readonly keyType: string;
  /** PEM of the leaf and then its chain, without root. */
  readonly chainPem: string;
  /** PKCS#8 PEM, plain. */
  readonly keyPem: string;
  /** Upper-case hex, as OpenSSL prints it. */
  readonly serial: string;
  /** ms since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of an OCSP response to staple. */
  readonly staple?: Uint8Array;
}

export interface CertificateSet {
  /** Changes with the content; see above. */
  readonly version: string;
  /** True while the certificates are a stopgap (self-signed fallback): https answers 503. */
  readonly fallback: boolean;
  readonly certificates: readonly TableCertificate[];
}

export interface CertificateTableReader extends Disposable {
  get(id: string): CertificateSet | undefined;
  /** The version that get() would give, without decoding the rest: what a cached context is checked against. */
  version(id: string): string | undefined;
  /**
   * Another number after each change of the table, whoever made it: while it is the same as before a look-up, so is what
   * the look-up gave. NaN where that isn't known. What another process did it may tell 5 ms late: it is asked at each
   * handshake, and may cost a system call.
   */
  changes(): number;
  /** Whatever was done before this call changes() tells: for who has heard that something was. */
  refresh(): void;
  /** The set that `name` (exact, lower case, or `*.rest`) points to within `scope`. */
  find(scope: string, name: string): string | undefined;
}

export interface NamedSet {
  readonly id: string;
  readonly names: Iterable<string>;
}

export interface CertificateTable extends CertificateTableReader {
  /** Throws LatchkeyError `table-bad-set` or PkiError for what isn't a set (no PEM, an encrypted key, beyond 1 MiB). */
  put(id: string, set: Omit<CertificateSet, 'version'>): 'stored' | 'unchanged' | 'full';
  /** Makes names point to a set, which may come later; what they pointed to before is forgotten. */
  point(scope: string, names: readonly string[], id: string): 'stored' | 'full';
  /** Names that point nowhere are no error. */
  unpoint(scope: string, names: readonly string[]): 'removed' | 'full';
  /** Names that point to the set stay and find nothing. `full`: not even a removal could be written. */
  remove(id: string): 'removed' | 'full';
  /**
   * Removes sets, with those of their names in `scope` that still lead to them: of very many at once, far faster than
   * one by one. `full`: some may be left, each of them whole.
   */
  forget(scope: string, sets: Iterable<NamedSet>): 'removed' | 'full';
  /** Ids of all sets (for the engine's housekeeping, not for handshakes). */
  ids(): Iterable<string>;
}
