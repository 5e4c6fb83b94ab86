/** Signatures on what node:crypto has no class for: OCSP responses, revocation lists, requests for certificates. */
import { constants, type KeyObject, verify } from 'node:crypto';
import type { AlgorithmIdentifier } from '@peculiar/asn1-x509';
import { derInside, tags } from './der.ts';
import { PkiError } from './errors.ts';

export interface Signed {
  /** DER of what is signed. */
  readonly signed: Buffer;
  readonly algorithm: AlgorithmIdentifier;
  readonly signature: Buffer;
}

/** Signature algorithms to node:crypto's hashes. SHA-1 is what clients refuse. */
const SIGNATURES: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
  '1.3.101.113': null,
};

/** DER of the object identifiers. */
const PSS_HASHES = [
  [Buffer.from('0609608648016503040201', 'hex'), 'sha256'],
  [Buffer.from('0609608648016503040202', 'hex'), 'sha384'],
  [Buffer.from('0609608648016503040203', 'hex'), 'sha512'],
] as const;

const RSA_PSS = '1.2.840.113549.1.1.10';

/** Why it can't be believed that `key` has signed this, for people; undefined where it has. */
export function signatureProblem(
  { signed, algorithm: { algorithm, parameters }, signature }: Signed,
  key: KeyObject,
): string | undefined {
  const pss = algorithm === RSA_PSS;
  const hash = pss ? pssHash(Buffer.from(parameters ?? new ArrayBuffer(0))) : SIGNATURES[algorithm];
  if (hash === undefined) return `it is signed by an algorithm that clients refuse (${algorithm})`;
  const padding = pss && {
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_AUTO,
  };
  try {
    if (verify(hash, signed, { key, ...padding }, signature)) return undefined;
  } catch {
    // The algorithm is one for another kind of key.
  }
  return 'its signature is wrong';
}

/**
 * RSASSA-PSS-params (RFC 4055 section 3.1) name the hash first, the mask's second: node:crypto takes both to be the
 * same, as they are wherever clients look. None named is SHA-1.
 */
function pssHash(parameters: Buffer): string | undefined {
  try {
    const [named] = derInside(parameters).filter(({ tag }) => tag === tags.optional);
    const oid = named && derInside(named.content)[0];
    return PSS_HASHES.find(([der]) => oid?.raw.equals(der))?.[1];
  } catch (error) {
    if (error instanceof PkiError) return undefined;
    throw error;
  }
}
