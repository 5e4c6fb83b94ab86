/** What a managed domain is to be, held against what the store has for it. */
import type { KeyObject } from 'node:crypto';
import { type Certificate, coversName, type CertificateInfo } from '../pki/certificate.ts';
import { keyFileSuffix } from '../pki/keys.ts';
import type { KeySpec } from '../pki/keyspec.ts';
import { formatDate } from '../store/formats.ts';
import { type Advice, advisedReason, advisedTime } from './advice/advice.ts';
import type { ManagedDomainSettings, Window } from './settings.ts';

/** A certificate with its private key, known to belong together. */
export interface Held {
  readonly info: CertificateInfo;
  readonly key: KeyObject;
  /** The certificate and what follows it in its file. */
  readonly chain: readonly Certificate[];
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
  /** The CA has said so: `renewAt` is a moment that was drawn already. */
  readonly advised: boolean;
  /** Why a renewal is due now, for people; empty when none is. */
  readonly reasons: readonly string[];
}

/** What the CA advises about a certificate, if anything. */
export type AdviceOn = (info: CertificateInfo) => Advice | undefined;

/**
 * Judges what is held. All keys are renewed when the first of them is due; a certificate that covers more than
 * is configured is as good as one that covers just that.
 */
export function assess(
  domain: ManagedDomainSettings,
  held: HeldSet,
  now: number,
  adviceOn: AdviceOn = () => undefined,
): DomainState {
  const lacking: string[] = [];
  const dues: Due[] = [];
  const certificates: StateCertificate[] = [];
  for (const spec of domain.keys) {
    const pair = held.get(keyFileSuffix(spec));
    if (!pair || 'damage' in pair) {
      lacking.push(pair?.damage ?? `there is no certificate for the ${keyName(spec)} key`);
      continue;
    }
    certificates.push({ spec, info: pair.info });
    lacking.push(...shortcomings(domain, spec, pair));
    dues.push(due(domain, pair.info, adviceOn(pair.info)));
  }
  const dating = dues.filter(({ at }) => at <= now).map(({ reason }) => reason(now));
  const reasons = [...new Set([...lacking, ...dating])];
  const first = dues.toSorted((a, b) => a.at - b.at)[0] ?? { at: Infinity, advised: false };
  return {
    state: lacking.length > 0 ? 'incomplete' : 'complete',
    description: lacking.join('; '),
    certificates,
    expired: certificates.some(({ info }) => info.notAfter <= now),
    renewAt: reasons.length > 0 ? Math.min(now, first.at) : first.at,
    advised: first.advised,
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

export interface Due {
  /** ms since the epoch. */
  readonly at: number;
  readonly reason: (now: number) => string;
  readonly advised: boolean;
}

/** When one certificate is to be renewed: when the CA advises it, by MDRenewWindow otherwise. */
export function due(domain: ManagedDomainSettings, info: CertificateInfo, advice: Advice | undefined): Due {
  const { renewWindow, warnWindow } = domain;
  const start = windowStart(info, renewWindow);
  const at = advisedTime(advice, Math.max(start, windowStart(info, warnWindow)));
  if (!advice || at === undefined) {
    return { at: start, reason: (now) => expiry(info, now), advised: false };
  }
  const reason = (now: number) => (info.notAfter <= now ? expiry(info, now) : advisedReason(advice));
  return { at, reason, advised: true };
}

function expiry({ notAfter }: CertificateInfo, now: number): string {
  return `the certificate ${notAfter <= now ? 'has expired' : 'expires'} on ${formatDate(notAfter)}`;
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
