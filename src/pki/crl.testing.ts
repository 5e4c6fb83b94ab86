/** Lists of revoked certificates of any kind, good and bad, by the CA of ocsp.testing.ts. */
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  CertificateList,
  DistributionPointName,
  Extension,
  GeneralName,
  id_ce_issuingDistributionPoint,
  IssuingDistributionPoint,
  Name,
  RevokedCertificate,
  TBSCertList,
  Time,
  Version,
} from '@peculiar/asn1-x509';
import type { Certificate } from './certificate.ts';
import { partsOf } from './der.ts';
import type { OcspTestCa } from './ocsp.testing.ts';
import { signerOf, toArrayBuffer } from './sign.ts';

export interface MadeList {
  readonly issuer: OcspTestCa;
  /** Who signs; default: the issuer. */
  readonly signer?: OcspTestCa;
  readonly revoked?: readonly (Certificate | Buffer)[];
  /** ms since the epoch. */
  readonly thisUpdate: number;
  readonly nextUpdate?: number | undefined;
  /** Its issuingDistributionPoint. */
  readonly point?: { readonly url?: string; readonly onlyCas?: boolean };
  /** OID of one more extension, a critical one. */
  readonly critical?: string;
}

/** DER. */
export async function makeCrl(made: MadeList): Promise<Buffer> {
  const { issuer, signer = issuer, revoked = [], point, critical } = made;
  const own = signerOf(signer.key);
  const extensions: Extension[] = [];
  if (point) extensions.push(issuingPoint(point));
  if (critical !== undefined) {
    extensions.push(
      new Extension({ extnID: critical, critical: true, extnValue: new OctetString([2, 1, 1]) }),
    );
  }
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: own.algorithm,
    issuer: AsnConvert.parse(partsOf(issuer.certificate.x509).subject, Name),
    thisUpdate: time(made.thisUpdate),
    ...(made.nextUpdate !== undefined && { nextUpdate: time(made.nextUpdate) }),
    ...(revoked.length > 0 && { revokedCertificates: revoked.map((one) => entry(one, made.thisUpdate)) }),
    ...(extensions.length > 0 && { crlExtensions: extensions }),
  });
  const signature = await own.sign(AsnConvert.serialize(tbsCertList));
  const list = new CertificateList({ tbsCertList, signatureAlgorithm: own.algorithm, signature });
  return Buffer.from(AsnConvert.serialize(list));
}

function issuingPoint({ url, onlyCas }: NonNullable<MadeList['point']>): Extension {
  const value = new IssuingDistributionPoint({
    ...(url !== undefined && {
      distributionPoint: new DistributionPointName({
        fullName: [new GeneralName({ uniformResourceIdentifier: url })],
      }),
    }),
    ...(onlyCas && { onlyContainsCACerts: true }),
  });
  return new Extension({
    extnID: id_ce_issuingDistributionPoint,
    critical: true,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  });
}

function entry(revoked: Certificate | Buffer, at: number): RevokedCertificate {
  const serial = Buffer.isBuffer(revoked) ? revoked : partsOf(revoked.x509).serial;
  return new RevokedCertificate({ userCertificate: toArrayBuffer(serial), revocationDate: time(at) });
}

function time(ms: number): Time {
  return new Time(new Date(Math.floor(ms / 1000) * 1000));
}
