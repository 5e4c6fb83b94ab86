/**
 * The JSON of the handlers md-status and certificate-status, field for field as mod_md has it, so that scripts
 * which read the one can read the other. Types are exact: `renew` is a boolean, `state` a number, dates are RFC 822.
 */
import type { CertificateStatus } from '../domains/status.ts';
import type { SignedTimestamp } from '../pki/transparency.ts';
import type { StaplingJob, StaplingStatus } from '../ocsp/status.ts';
import type { DomainInService } from './document.ts';
import { ocspStatus } from './stapling.ts';
import { validFrom, validUntil } from './words.ts';

type Json = Readonly<Record<string, unknown>>;

/** md.json, and what is known of its certificates and their renewal. */
export function mdStatus(
  domain: DomainInService,
  stapling: readonly StaplingStatus[] = [],
  staplingJob?: StaplingJob,
): Json {
  const ocsp = new Map(
    stapling
      .filter(({ domain: owner, impossible }) => owner === domain.name && impossible === '')
      .map((one) => [one.serial, ocspJson(one, staplingJob)]),
  );
  const renew = domain.reasons.length > 0;
  return {
    ...domain.md,
    cert: certificateSet(domain.certificates, ocsp),
    'renew-at': dateOf(domain.renewAt),
    watched: domain.watched,
    renew,
    renewal: renew || isAtWork(domain) ? renewal(domain) : undefined,
  };
}

/** What anybody may know, as it is in every handshake: the certificates in use, and those about to be. */
export function certificateStatus(domain: DomainInService): Json {
  const { certificates, staged } = domain;
  const renews = domain.reasons.length > 0 || isAtWork(domain);
  return {
    ...Object.fromEntries(certificates.map((one) => [specOf(one), briefly(one)])),
    valid: validity(domain),
    renewal: renews ? { cert: certificateSet(staged?.certificates ?? []) } : undefined,
  };
}

function isAtWork({ running, staged, problem, hold }: DomainInService): boolean {
  return running || (staged ?? problem ?? hold) !== undefined;
}

function renewal({ job, log, staged, hold }: DomainInService): Json {
  const entries = log.map(({ when, ...entry }) => ({ when: dateOf(when), ...entry }));
  return {
    ...job,
    hold: hold && { until: dateOf(hold.until), reason: hold.reason },
    log: entries.length > 0 ? { entries } : undefined,
    cert: certificateSet(staged?.certificates ?? []),
  };
}

/** By key spec, as file names have it, but `rsa` for RSA; `valid` is what all of them share. */
function certificateSet(certificates: readonly CertificateStatus[], ocsp?: ReadonlyMap<string, Json>): Json {
  return {
    ...Object.fromEntries(certificates.map((one) => [specOf(one), fully(one, ocsp?.get(one.serial))])),
    valid: validity({ certificates }),
  };
}

function specOf({ key }: CertificateStatus): string {
  return key.toLowerCase();
}

function fully(certificate: CertificateStatus, ocsp: Json | undefined): Json {
  return {
    'issuer-name': certificate.issuerName,
    ...briefly(certificate),
    'ari-cert-id': certificate.ariCertId,
    ocsp,
  };
}

function ocspJson(staple: StaplingStatus, renewal: StaplingJob | undefined): Json {
  const { valid } = staple;
  return { status: ocspStatus(staple), valid: valid && period(valid.from, valid.until), renewal };
}

function briefly({ notBefore, notAfter, serial, sha256, signedTimestamps }: CertificateStatus): Json {
  return {
    valid: period(notBefore, notAfter),
    serial,
    'sha256-fingerprint': sha256,
    scts: signedTimestamps && signedTimestamps.length > 0 ? signedTimestamps.map(sct) : undefined,
  };
}

function sct({ logId, timestamp, signature, signatureType }: SignedTimestamp): Json {
  return { logid: logId, signed: dateOf(timestamp), signature, 'signature-type': signatureType };
}

function validity(held: Pick<DomainInService, 'certificates'>): Json | undefined {
  const [from, until] = [validFrom(held), validUntil(held)];
  return from === undefined || until === undefined ? undefined : period(from, until);
}

function period(from: number, until: number): Json {
  return { from: dateOf(from), until: dateOf(until) };
}

function dateOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toUTCString();
}
