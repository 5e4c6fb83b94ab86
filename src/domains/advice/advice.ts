/** What a CA advises about a certificate in use, and what follows from it for its renewal. Pure. */
import type { CertificateInfo } from '../../pki/certificate.ts';
import type { RenewalInfo } from '../issuer.ts';
import { formatDate } from '../../store/formats.ts';

const HOUR = 60 * 60 * 1000;

/** Successors of certificates that were replaced on advice are replaced on advice no sooner than this, ms. */
const LEAST_LIFE = 6 * HOUR;

/** When the CA wants the certificate renewed, and the moment in that window which was drawn. */
export interface AriAdvice {
  readonly window: Pick<RenewalInfo, 'start' | 'end'>;
  /** ms since the epoch. */
  readonly renewAt: number;
  readonly explanationUrl: string | undefined;
}

export interface Advice {
  readonly ari?: AriAdvice | undefined;
  /** Who says that it is revoked, for people. */
  readonly revoked?: string | undefined;
  /** ms since the epoch: no advice is followed before this. */
  readonly notBefore?: number | undefined;
}

/** Draws a moment of the window; one in the past means now. What was drawn for the same window stays. */
export function drawMoment(
  info: RenewalInfo,
  before: AriAdvice | undefined,
  random: () => number,
): AriAdvice {
  const { start, end, explanationURL: explanationUrl } = info;
  const same = before?.window.start === start && before.window.end === end;
  const renewAt = same ? before.renewAt : Math.floor(start + (end - start) * random());
  return { window: { start, end }, renewAt, explanationUrl };
}

/**
 * When advice is followed for the successor of a certificate that was replaced on advice at `heeded`: a CA that
 * condemns whatever it issues must not be asked in a loop.
 */
export function leastAge(
  { notBefore, notAfter }: Pick<CertificateInfo, 'notBefore' | 'notAfter'>,
  heeded: number,
): number {
  return heeded + Math.min(LEAST_LIFE, (notAfter - notBefore) / 4);
}

/**
 * When advice has a certificate renewed, ms since the epoch; undefined without any. A CA may ask for a time that is
 * too late to be safe: `latest` is as late as it gets.
 */
export function advisedTime(advice: Advice | undefined, latest: number): number | undefined {
  if (!advice) return undefined;
  const { ari, revoked, notBefore = -Infinity } = advice;
  if (revoked !== undefined) return Math.max(notBefore, 0);
  return ari && Math.min(Math.max(ari.renewAt, notBefore), latest);
}

/** Why advice has a certificate renewed, for people. */
export function advisedReason({ ari, revoked }: Advice): string {
  if (revoked !== undefined) return `the certificate has been revoked, as ${revoked}`;
  if (!ari) return '';
  const { window, explanationUrl } = ari;
  const why = explanationUrl === undefined ? '' : `: ${explanationUrl}`;
  return `the CA wants it renewed between ${formatDate(window.start)} and ${formatDate(window.end)}${why}`;
}
