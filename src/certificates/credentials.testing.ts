/** Certificates for tests, made anew at each run: a root, an intermediate, leaves of any kind. */
import { randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  id_ce_basicConstraints,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { commonName, subjectAltName } from '../pki/extensions.ts';
import { generateKey } from '../pki/keys.ts';
import type { KeySpec } from '../pki/keyspec.ts';
import { toPem } from '../pki/pem.ts';
import { publicKeyInfo } from '../pki/asn1.testing.ts';
import { signerOf, toArrayBuffer } from '../pki/sign.ts';
import { createCredential } from './credential.ts';
import type { TableCertificate } from './table.ts';

export type TestKeyType = 'ec' | 'ec384' | 'rsa';

const keys: Readonly<Record<TestKeyType, KeySpec>> = {
  ec: { type: 'EC', name: 'p-256' },
  ec384: { type: 'EC', name: 'p-384' },
  rsa: { type: 'RSA', bits: 2048 },
};

export interface TestAuthority {
  /** PEM of the root: what a client trusts. */
  readonly rootPem: string;
  /** PEM of root and intermediate. */
  readonly chainPem: string;
  issue(names: readonly string[], keyType?: TestKeyType): Promise<TableCertificate>;
}

interface Issuer {
  readonly name: string;
  readonly key: KeyObject;
}

/** A root with one intermediate. */
export async function createAuthority(name = 'Latchkey test'): Promise<TestAuthority> {
  const root = { name: `${name} root`, key: await generateKey(keys.ec) };
  const intermediate = { name: `${name} intermediate`, key: await generateKey(keys.ec) };
  const rootPem = await certify(root, root, [authority()]);
  const intermediatePem = await certify(intermediate, root, [authority()]);
  return {
    rootPem,
    chainPem: rootPem + intermediatePem,
    async issue(names, keyType = 'ec') {
      const leaf = { name: names[0] ?? 'nobody', key: await generateKey(keys[keyType]) };
      const pem = await certify(leaf, intermediate, [subjectAltName(names)]);
      return createCredential({ chain: pem + intermediatePem + rootPem, key: leaf.key });
    },
  };
}

async function certify(subject: Issuer, issuer: Issuer, extensions: Extension[]): Promise<string> {
  const signer = signerOf(issuer.key);
  const now = Date.now();
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: toArrayBuffer(Buffer.concat([Buffer.of(0x4c), randomBytes(15)])),
    signature: signer.algorithm,
    issuer: commonName(issuer.name),
    validity: new Validity({ notBefore: new Date(now - 3_600_000), notAfter: new Date(now + 86_400_000) }),
    subject: commonName(subject.name),
    subjectPublicKeyInfo: publicKeyInfo(subject.key),
    extensions: new Extensions(extensions),
  });
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: signer.algorithm,
    signatureValue: await signer.sign(AsnConvert.serialize(tbsCertificate)),
  });
  return toPem('CERTIFICATE', Buffer.from(AsnConvert.serialize(certificate)));
}

function authority(): Extension {
  const value = AsnConvert.serialize(new BasicConstraints({ cA: true }));
  return new Extension({
    extnID: id_ce_basicConstraints,
    critical: true,
    extnValue: new OctetString(value),
  });
}
