/** Private keys: making, writing and reading them. Written encrypted: sealed-key.ts. */
import { createPrivateKey, generateKeyPair, getCurves, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { PkiError } from './errors.ts';
import type { KeySpec } from './keyspec.ts';

const generate = promisify(generateKeyPair);

/** Names that OpenSSL's own list doesn't have: NIST's, and SECG's where X9.62's is the one listed. */
const CURVE_ALIASES: Readonly<Record<string, string>> = {
  'p-192': 'prime192v1',
  'p-224': 'secp224r1',
  'p-256': 'prime256v1',
  'p-384': 'secp384r1',
  'p-521': 'secp521r1',
  secp192r1: 'prime192v1',
  secp256r1: 'prime256v1',
};

/**
 * Makes a private key, off the main thread.
 * @throws PkiError `key-unknown-curve`, `key-bad-size`
 */
export async function generateKey(spec: KeySpec): Promise<KeyObject> {
  if (spec.type === 'EC') {
    const { privateKey } = await generate('ec', { namedCurve: curveNamed(spec.name) });
    return privateKey;
  }
  if (!Number.isInteger(spec.bits) || spec.bits < 2048 || spec.bits > 16_384) {
    throw new PkiError('key-bad-size', `An RSA key of ${spec.bits} bits: 2048 to 16384 are possible`);
  }
  const { privateKey } = await generate('rsa', { modulusLength: spec.bits });
  return privateKey;
}

/**
 * OpenSSL's name of a curve as users write it (`P-256`, `secp256r1`, `prime256v1`, `brainpoolp256r1`), case
 * ignored.
 * @throws PkiError `key-unknown-curve`
 */
export function curveNamed(name: string): string {
  const lower = name.toLowerCase();
  const wanted = CURVE_ALIASES[lower] ?? lower;
  const curve = getCurves().find((known) => known.toLowerCase() === wanted);
  if (curve) return curve;
  throw new PkiError(
    'key-unknown-curve',
    `The elliptic curve '${name}' is not known; widely accepted ones are P-256 and P-384`,
  );
}

/** What stands between `privkey` and `.pem` in file names: nothing for RSA, else `.secp384r1`, `.p-256`, … */
export function keyFileSuffix(spec: KeySpec): string {
  return spec.type === 'RSA' ? '' : `.${spec.name.toLowerCase()}`;
}

/** `rsa`, `ec`, or whatever else node:crypto calls its asymmetricKeyType. */
export function keyType(key: KeyObject): string {
  return key.asymmetricKeyType ?? key.type;
}

/** PKCS#8 PEM, plain. */
export function keyToPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/**
 * Reads a private key: PKCS#1, SEC1 or PKCS#8; the passphrase is used only where it is encrypted.
 * @throws PkiError `key-unreadable`, `key-passphrase` (needed, or wrong)
 */
export function keyFromPem(pem: string | Buffer, passphrase?: Buffer): KeyObject {
  try {
    // An object takes Node a third of the time more.
    return createPrivateKey(passphrase ? { key: pem, format: 'pem', passphrase } : pem);
  } catch (cause) {
    // A wrong passphrase shows as bad padding or as garbage of any kind after decryption, so errors don't tell.
    if (pem.includes('ENCRYPTED')) {
      const message = passphrase
        ? 'The private key could not be decrypted: the passphrase is wrong or the key damaged'
        : 'The private key is encrypted and no passphrase was given';
      throw new PkiError('key-passphrase', message, { cause });
    }
    throw new PkiError('key-unreadable', 'This is not a private key in PEM format', { cause });
  }
}
