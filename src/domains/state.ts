/** What a managed domain is to be, held against what the store has for it. */
import type { KeyObject } from 'node:crypto';
import { coversName, type CertificateInfo } from '../pki/certificate.ts';
import { keyFileSuffix } from '../pki/keys.ts';
import type { KeySpec } from '../pki/keyspec.ts';
import type { ManagedDomainSettings, Window } from './settings.ts';

/** A certificate with its private key, known to belong together. */
export interface Held {
  readonly info: CertificateInfo;
  readonly key: KeyObject;
}

/** What a group of the store holds for a domain: by key spec's file suffix, a pair or why there is none. */
export type HeldSet = ReadonlyMap<string, Held | { readonly damage: string }>;

export interface StateCertificate {
  readonly spec: KeySpec;
  readonly info: CertificateInfo;
}

export interface DomainState {
  /** `complete`: there is a usable certificate for every key, and they cover all names (if expired, even). */
  readonly state: 'incomplete' | 'complete';
  /** What makes it incomplete, for people; empty when complete. */
  readonly description: string;
  /** In the order of the configured keys; missing ones left out. */
  readonly certificates: readonly StateCertificate[];
  /** True when a certificate has expired. */
  readonly expired: boolean;
  /** ms since the epoch; in the past when due. */
  readonly renewAt: number;
  /** Why a renewal is due now, for people; empty when none is. */
  readonly reasons: readonly string[];
}

/**
 * Judges what is held. All keys are renewed when the first of them is due; a certificate that covers more than
 * is configured is as good as one that covers just that.
 */
export function assess(domain: ManagedDomainSettings, held: HeldSet, now: number): DomainState {
  const lacking: string[] = [];
  const dating: string[] = [];
  const certificates: StateCertificate[] = [];
  for (const spec of domain.keys) {
    const pair = held.get(keyFileSuffix(spec));
    if (!pair || 'damage' in pair) {
      lacking.push(pair?.damage ?? `there is no certificate for the ${keyName(spec)} key`);
      continue;
    }
    certificates.push({ spec, info: pair.info });
    lacking.push(...shortcomings(domain, spec, pair));
    dating.push(...ageing(domain.renewWindow, pair.info, now));
  }
  const reasons = [...new Set([...lacking, ...dating])];
  const starts = certificates.map(({ info }) => windowStart(info, domain.renewWindow));
  return {
    state: lacking.length > 0 ? 'incomplete' : 'complete',
    description: lacking.join('; '),
    certificates,
    expired: certificates.some(({ info }) => info.notAfter <= now),
    renewAt: reasons.length > 0 ? Math.min(now, ...starts) : Math.min(...starts),
    reasons,
  };
}

function shortcomings(domain: ManagedDomainSettings, spec: KeySpec, { info, key }: Held): string[] {
  const uncovered = domain.domains.filter((name) => !coversName(info, name));
  const found = uncovered.length > 0 ? [`the certificate does not cover ${uncovered.join(', ')}`] : [];
  // The key's details cost more than all the rest, over ten thousand domains.
  if (spec.type !== 'RSA') return found;
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < spec.bits) found.push(`the RSA key has ${bits} bits, not ${spec.bits}`);
  return found;
}

function ageing(window: Window, info: CertificateInfo, now: number): string[] {
  const until = new Date(info.notAfter).toUTCString();
  if (info.notAfter <= now) return [`the certificate has expired on ${until}`];
  return windowStart(info, window) <= now ? [`the certificate expires on ${until}`] : [];
}

/**
 * When a window at the end of a certificate's life begins, ms since the epoch. A length of time is cut to half
 * of the life: a fresh certificate of a short-lived kind is never due at once, whatever MDRenewWindow says.
 */
export function windowStart(info: Pick<CertificateInfo, 'notBefore' | 'notAfter'>, window: Window): number {
  const life = info.notAfter - info.notBefore;
  const length = 'ms' in window ? Math.min(window.ms, life / 2) : (life * window.percent) / 100;
  return Math.floor(info.notAfter - length);
}

/** `RSA`, `P-256`: a key spec's name for people. */
export function keyName(spec: KeySpec): string {
  return spec.type === 'RSA' ? 'RSA' : spec.name.toUpperCase();
}
