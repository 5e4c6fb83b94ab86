/** The signatures of ACME: flattened JWS (RFC 8555 section 6.2), key thumbprints, external account binding. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { FlattenedSign, type FlattenedJWS, type JWK } from 'jose';
import { AcmeError } from './errors.ts';

export interface JwsOptions {
  readonly key: KeyObject;
  readonly url: string;
  readonly nonce: string;
  /** The account's URL; without, the public key itself is sent (newAccount). */
  readonly kid?: string | undefined;
  /** Undefined is POST-as-GET: an empty payload, other than `{}`. */
  readonly payload: unknown;
}

/** @throws AcmeError `acme-account-key` */
export async function signRequest(options: JwsOptions): Promise<FlattenedJWS> {
  const { key, url, nonce, kid, payload } = options;
  const bytes = Buffer.from(payload === undefined ? '' : JSON.stringify(payload));
  const signer = kid === undefined ? { jwk: publicJwk(key) } : { kid };
  return new FlattenedSign(bytes)
    .setProtectedHeader({ alg: algorithm(key), nonce, url, ...signer })
    .sign(key);
}

export interface ExternalAccount {
  readonly kid: string;
  /** base64url, as CAs hand it out. */
  readonly hmac: string;
}

/**
 * Binds an account key to an account elsewhere (section 7.3.4).
 * @throws AcmeError `acme-account-key`: an HMAC key that is none.
 */
export async function bindExternalAccount(
  external: ExternalAccount,
  key: KeyObject,
  url: string,
): Promise<FlattenedJWS> {
  const secret = Buffer.from(external.hmac, 'base64url');
  if (secret.length === 0) {
    throw new AcmeError('acme-account-key', 'The HMAC key of the external account is not base64url');
  }
  return new FlattenedSign(Buffer.from(JSON.stringify(publicJwk(key))))
    .setProtectedHeader({ alg: 'HS256', kid: external.kid, url })
    .sign(secret);
}

/** RFC 7638, SHA-256, base64url. */
export function thumbprint(key: KeyObject): string {
  const { kty, crv, x, y, e, n } = publicJwk(key);
  // The order of members is part of the definition.
  const members = kty === 'RSA' ? { e, kty, n } : { crv, kty, x, y };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}

function publicJwk(key: KeyObject): JWK {
  return createPublicKey(key).export({ format: 'jwk' });
}

function algorithm(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  const name = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (name) return name;
  throw new AcmeError('acme-account-key', 'An account key must be RSA, P-256, P-384 or P-521');
}

const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
