/** The CA's OCSP responder: signs by a delegated certificate, ahead of time where nobody asks for a fresh answer. */
import { generateKeyPairSync } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../base/clock.ts';
import type { Authority } from './authority.ts';
import type { Certificates } from './certificates.ts';
import {
  IssuerIdentity,
  certIdBytes,
  readStatusRequest,
  serialOf,
  writeError,
  writeStatement,
} from './ocsp.ts';
import type { CertID, Standing } from './ocsp.ts';
import { STATEMENT_LIFETIME } from './revocations.ts';
import type { Revocations } from './revocations.ts';
import type { Signer } from './x509.ts';

/** Of a delegated certificate; the next one is made when half is left, so that it outlives what it signs. */
const DELEGATE_LIFETIME = 4 * STATEMENT_LIFETIME;
/** Answers kept at most: 1 KB each, or little more where several certificates were asked for. */
const MOST_KEPT = 5000;

export interface StatusAnswer {
  readonly der: Buffer;
  /** When it was made and until when it holds, ms; undefined: it is for this question alone. */
  readonly period: { readonly thisUpdate: number; readonly nextUpdate: number } | undefined;
}

export interface ResponderOptions {
  readonly authority: Authority;
  readonly certificates: Certificates;
  readonly revocations: Revocations;
  readonly clock: Clock;
}

export class Responder {
  readonly #options: ResponderOptions;
  /** Never written anywhere: another is certified at the next start. */
  readonly #key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  #delegate: X509Certificate | undefined;
  #identity: { readonly issuer: X509Certificate; readonly value: IssuerIdentity } | undefined;
  readonly #kept = new LRUCache<string, Required<StatusAnswer>>({ max: MOST_KEPT });

  constructor(options: ResponderOptions) {
    this.#options = options;
  }

  /** `der` may be anything. */
  async answer(der: Uint8Array): Promise<StatusAnswer> {
    const request = readStatusRequest(der);
    if (!request) return failed('malformedRequest');
    const issuer = await this.#options.authority.issuer();
    const identity = this.#identityOf(issuer.certificate);
    if (!request.certIds.every((certId) => identity.issued(certId))) return failed('unauthorized');
    const standings: [CertID, Standing][] = [];
    for (const certId of request.certIds) standings.push([certId, await this.#standing(serialOf(certId))]);
    const now = this.#options.clock.now();
    const key = keyOf(standings);
    const kept = request.nonce ? undefined : this.#kept.get(key);
    if (kept && isFresh(kept, now)) return kept;
    const delegate = await this.#certified(issuer);
    const nextUpdate = Math.min(now + STATEMENT_LIFETIME, delegate.certificate.validToDate.getTime());
    const period = { thisUpdate: now, nextUpdate };
    const statement = { standings, ...period, nonce: request.nonce };
    const answer = { der: await writeStatement(statement, delegate), period };
    if (request.nonce) return { ...answer, period: undefined };
    this.#kept.set(key, answer);
    return answer;
  }

  async #standing(serial: string): Promise<Standing> {
    const { certificates, revocations } = this.#options;
    const revoked = await revocations.get(serial);
    return revoked ?? ((await certificates.get(serial)) ? 'good' : 'unknown');
  }

  #identityOf(issuer: X509Certificate): IssuerIdentity {
    if (this.#identity?.issuer !== issuer) this.#identity = { issuer, value: new IssuerIdentity(issuer) };
    return this.#identity.value;
  }

  async #certified(issuer: Signer): Promise<Signer> {
    const now = this.#options.clock.now();
    const current = this.#delegate;
    // One that ends with its issuer can't be had longer.
    const isLast = current && current.validToDate >= issuer.certificate.validToDate;
    const lasts = current && current.validToDate.getTime() - now >= DELEGATE_LIFETIME / 2;
    if (isLast || lasts) return { key: this.#key, certificate: current };
    const certificate = await this.#options.authority.delegate(this.#key, DELEGATE_LIFETIME);
    this.#delegate = certificate;
    return { key: this.#key, certificate };
  }
}

function failed(error: Parameters<typeof writeError>[0]): StatusAnswer {
  return { der: writeError(error), period: undefined };
}

/** A revocation changes the key: what was said before is not said again. */
function keyOf(standings: readonly (readonly [CertID, Standing])[]): string {
  return standings
    .map(([certId, standing]) => {
      const word = typeof standing === 'string' ? standing : `revoked ${standing.at}`;
      return `${certIdBytes(certId).toString('latin1')} ${word}`;
    })
    .join('\n');
}

function isFresh({ period }: Required<StatusAnswer>, now: number): boolean {
  if (!period) return false;
  const { thisUpdate, nextUpdate } = period;
  return thisUpdate <= now && now < (thisUpdate + nextUpdate) / 2;
}
