/**
 * Where certificates come from that are known by name only, at the handshake: a certificate store asked by HTTP,
 * or whatever else can answer for a name. What came of it is kept by sources/dynamic.ts, so a source is asked
 * once for each name however many clients wait, and need not remember anything.
 */
import { isIP } from 'node:net';
import { certificateName } from '../pki/names.ts';
import type { CertificateSet } from './table.ts';

export interface FoundCertificates {
  readonly kind: 'found';
  readonly set: Omit<CertificateSet, 'version'>;
  /** What the certificate is good for, in lower case, `*.rest` too; the name that was asked for is covered. */
  readonly names: readonly string[];
  /** To be given as `known` the next time; undefined where the source has no such thing. */
  readonly tag: string | undefined;
}

export type Found =
  | FoundCertificates
  /** What `known` stands for still holds. */
  | { readonly kind: 'unchanged' }
  /** The source answers, and has no certificate for this name. `reason` for the log; default: it doesn't know it. */
  | { readonly kind: 'none'; readonly reason?: string | undefined }
  /** What is wrong, with the remedy where there is one. No key, no token. */
  | { readonly kind: 'failed'; readonly problem: string };

export interface CertificateSource extends AsyncDisposable {
  /**
   * Looks for the certificate of `name` (of serverNameOf()), within a time of its own. Never rejects, and gives
   * nothing that is expired, not valid yet, for other names or without its key. `client`: the address of who calls.
   */
  find(name: string, known?: string, client?: string): Promise<Found>;
  /** The certificate of a name that was found is in use. */
  seen?(name: string): void;
  /** Of its parts, for the status page. */
  status(): readonly SourceStatus[];
}

export interface SourceStatus {
  readonly url: string;
  readonly breaker: {
    readonly state: 'closed' | 'open' | 'half-open';
    readonly failures: number;
    readonly limit: number;
    /** ms */
    readonly reset: number;
  };
}

/** An SNI as certificates and stores have it: lower case, no dot at the end. Undefined for what is no DNS name. */
export function serverNameOf(sni: string): string | undefined {
  const name = sni.endsWith('.') ? sni.slice(0, -1) : sni;
  if (isIP(name) || name.startsWith('*')) return undefined;
  try {
    return certificateName(name);
  } catch {
    return undefined;
  }
}

/** The wildcard that covers a name: `*.rest`. Undefined for a single label. */
export function wildcardOf(name: string): string | undefined {
  const dot = name.indexOf('.');
  return dot <= 0 ? undefined : `*${name.slice(dot)}`;
}
