/** The signatures of ACME: flattened JWS (RFC 8555 section 6.2), key thumbprints, external account binding. */
import { createHash, createHmac, createPublicKey, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
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

/** RFC 7515 section 7.2.2: base64url all. */
export interface FlattenedJws {
  readonly protected: string;
  readonly payload: string;
  readonly signature: string;
}

const signWith = promisify(sign) as (
  hash: string,
  data: Uint8Array,
  key: KeyObject | { readonly key: KeyObject; readonly dsaEncoding: 'ieee-p1363' },
) => Promise<Buffer>;

/**
 * Signs off the main thread.
 * @throws AcmeError `acme-account-key`
 */
export async function signRequest(options: JwsOptions): Promise<FlattenedJws> {
  const { key, url, nonce, kid, payload } = options;
  const { alg, hash } = algorithm(key);
  const signer = kid === undefined ? { jwk: publicJwk(key) } : { kid };
  const parts = {
    protected: encode({ alg, nonce, url, ...signer }),
    payload: payload === undefined ? '' : encode(payload),
  };
  // Wrapped, a key takes Node several times as long to find: it is looked for by way of an exception.
  const way = key.asymmetricKeyType === 'rsa' ? key : { key, dsaEncoding: 'ieee-p1363' as const };
  const signature = await signWith(hash, signingInput(parts), way);
  return { ...parts, signature: signature.toString('base64url') };
}

function encode(json: unknown): string {
  return Buffer.from(JSON.stringify(json)).toString('base64url');
}

/** RFC 7515 section 5.1. */
function signingInput(parts: Omit<FlattenedJws, 'signature'>): Buffer {
  return Buffer.from(`${parts.protected}.${parts.payload}`);
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
export function bindExternalAccount(external: ExternalAccount, key: KeyObject, url: string): FlattenedJws {
  const secret = Buffer.from(external.hmac, 'base64url');
  if (secret.length === 0) {
    throw new AcmeError('acme-account-key', 'The HMAC key of the external account is not base64url');
  }
  const parts = {
    protected: encode({ alg: 'HS256', kid: external.kid, url }),
    payload: encode(publicJwk(key)),
  };
  return {
    ...parts,
    signature: createHmac('sha256', secret).update(signingInput(parts)).digest('base64url'),
  };
}

/** RFC 7638, SHA-256, base64url. */
export function thumbprint(key: KeyObject): string {
  const { kty, crv, x, y, e, n } = publicJwk(key);
  // The order of members is part of the definition.
  const members = kty === 'RSA' ? { e, kty, n } : { crv, kty, x, y };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}

function publicJwk(key: KeyObject): JsonWebKey {
  return createPublicKey(key).export({ format: 'jwk' });
}

interface Algorithm {
  readonly alg: string;
  readonly hash: string;
}

function algorithm(key: KeyObject): Algorithm {
  if (key.asymmetricKeyType === 'rsa') return { alg: 'RS256', hash: 'sha256' };
  const known = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (known) return known;
  throw new AcmeError('acme-account-key', 'An account key must be RSA, P-256, P-384 or P-521');
}

const CURVES: Readonly<Record<string, Algorithm>> = {
  prime256v1: { alg: 'ES256', hash: 'sha256' },
  secp384r1: { alg: 'ES384', hash: 'sha384' },
  secp521r1: { alg: 'ES512', hash: 'sha512' },
};
