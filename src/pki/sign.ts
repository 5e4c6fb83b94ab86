/** X.509 signatures: which algorithm goes with which key, and how it is named. */
import { sign as nodeSign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { AlgorithmIdentifier } from '@peculiar/asn1-x509';
import { objectIdentifier, sequence } from './der-writer.ts';
import { PkiError } from './errors.ts';
import { keyType } from './keys.ts';

const signWith = promisify(nodeSign) as (
  hash: string | undefined,
  data: Uint8Array,
  key: KeyObject,
) => Promise<Buffer>;

/** DER NULL: RSA's parameters must be present (RFC 4055), ECDSA's and EdDSA's must not. */
const NULL = new Uint8Array([5, 0]);

export interface Signer {
  readonly algorithm: AlgorithmIdentifier;
  /** The same as DER. */
  readonly algorithmDer: Buffer;
  /** Signs DER, off the main thread. */
  sign(data: ArrayBuffer): Promise<ArrayBuffer>;
  signDer(data: Uint8Array): Promise<Buffer>;
}

/**
 * Signs with the hash that suits the key: SHA-256, or the curve's own size.
 * @throws PkiError `key-cannot-sign`
 */
export function signerOf(key: KeyObject): Signer {
  const { oid, hash, parameters } = scheme(key);
  return {
    algorithm: new AlgorithmIdentifier({
      algorithm: oid,
      ...(parameters && { parameters: parameters.buffer }),
    }),
    algorithmDer: sequence(objectIdentifier(oid), ...(parameters ? [parameters] : [])),
    sign: async (data) => toArrayBuffer(await signWith(hash, new Uint8Array(data), key)),
    signDer: (data) => signWith(hash, data, key),
  };
}

function scheme(key: KeyObject): { oid: string; hash?: string; parameters?: Uint8Array<ArrayBuffer> } {
  const type = keyType(key);
  if (type === 'rsa') return { oid: '1.2.840.113549.1.1.11', hash: 'sha256', parameters: NULL };
  if (type === 'ec') return ecdsa(key.asymmetricKeyDetails?.namedCurve ?? '');
  if (type === 'ed25519') return { oid: '1.3.101.112' };
  throw new PkiError('key-cannot-sign', `A key of type ${type} can't sign a certificate`);
}

function ecdsa(curve: string): { oid: string; hash: string } {
  const bits = Number(/\d{3}/.exec(curve)?.[0] ?? 256);
  if (bits > 384) return { oid: '1.2.840.10045.4.3.4', hash: 'sha512' };
  if (bits > 256) return { oid: '1.2.840.10045.4.3.3', hash: 'sha384' };
  return { oid: '1.2.840.10045.4.3.2', hash: 'sha256' };
}

/** The bytes alone: a Buffer's own ArrayBuffer is often a slice of a larger one. */
export function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
