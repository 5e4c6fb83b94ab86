/** The list of what was revoked (RFC 5280 section 5): complete, by the intermediate itself. */
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  CRLNumber,
  CRLReason,
  CertificateList,
  RevokedCertificate,
  TBSCertList,
  Time,
  Version,
  id_ce_cRLNumber,
  id_ce_cRLReasons,
} from '@peculiar/asn1-x509';
import type { Clock } from '../base/clock.ts';
import { signerOf, toArrayBuffer } from '../pki/sign.ts';
import type { Authority } from './authority.ts';
import { STATEMENT_LIFETIME } from './revocations.ts';
import type { Revocation, Revocations } from './revocations.ts';
import { authorityKeyId, extension, subjectKeyId, subjectOf } from './x509.ts';
import type { Signer } from './x509.ts';

export interface PublishedList {
  readonly der: Buffer;
  /** ms since the epoch. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

export interface RevocationListOptions {
  readonly authority: Authority;
  readonly revocations: Revocations;
  readonly clock: Clock;
}

export class RevocationList {
  readonly #options: RevocationListOptions;
  #published: { readonly names: string; readonly list: PublishedList } | undefined;

  constructor(options: RevocationListOptions) {
    this.#options = options;
  }

  /** Made anew when something was revoked since, or half of its time is over. */
  async current(): Promise<PublishedList> {
    const { authority, revocations, clock } = this.#options;
    const serials = await revocations.serials();
    const names = serials.join(' ');
    const now = clock.now();
    const known = this.#published;
    if (known?.names === names && isFresh(known.list, now)) return known.list;
    const entries: Revocation[] = [];
    for (const serial of serials) {
      const entry = await revocations.get(serial);
      if (entry) entries.push(entry);
    }
    const issuer = await authority.issuer();
    const limit = issuer.certificate.validToDate.getTime();
    const period = { thisUpdate: now, nextUpdate: Math.min(now + STATEMENT_LIFETIME, limit) };
    const list = { der: await build(entries, issuer, period), ...period };
    this.#published = { names, list };
    return list;
  }
}

function isFresh({ thisUpdate, nextUpdate }: PublishedList, now: number): boolean {
  return thisUpdate <= now && now < (thisUpdate + nextUpdate) / 2;
}

async function build(
  entries: readonly Revocation[],
  { certificate, key }: Signer,
  { thisUpdate, nextUpdate }: Omit<PublishedList, 'der'>,
): Promise<Buffer> {
  const signer = signerOf(key);
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: signer.algorithm,
    issuer: subjectOf(certificate),
    thisUpdate: time(thisUpdate),
    nextUpdate: time(nextUpdate),
    // An empty list must be left out.
    ...(entries.length > 0 && { revokedCertificates: entries.map(revoked) }),
    // Greater with every list, also one of another run: the time it was made.
    crlExtensions: [
      authorityKeyId(subjectKeyId(certificate)),
      extension(id_ce_cRLNumber, new CRLNumber(thisUpdate)),
    ],
  });
  const list = new CertificateList({
    tbsCertList,
    signatureAlgorithm: signer.algorithm,
    signature: await signer.sign(AsnConvert.serialize(tbsCertList)),
  });
  return Buffer.from(AsnConvert.serialize(list));
}

function revoked({ serial, at, reason }: Revocation): RevokedCertificate {
  return new RevokedCertificate({
    userCertificate: toArrayBuffer(Buffer.from(serial, 'hex')),
    revocationDate: time(at),
    // RFC 5280, 5.3.1: "unspecified" is said by silence.
    ...(reason !== 0 && { crlEntryExtensions: [extension(id_ce_cRLReasons, new CRLReason(reason))] }),
  });
}

function time(ms: number): Time {
  return new Time(new Date(Math.floor(ms / 1000) * 1000));
}
