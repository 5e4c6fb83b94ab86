/** Private keys under a secret: PKCS#8 with PBES2 and AES-256-CBC (RFC 8018), which OpenSSL and mod_md open. */
import { createCipheriv, type KeyObject, pbkdf2Sync, randomBytes } from 'node:crypto';
import { der, objectIdentifier, sequence, written } from './der-writer.ts';
import { toPem } from './pem.ts';

const PBES2 = objectIdentifier('1.2.840.113549.1.5.13');
const PBKDF2 = objectIdentifier('1.2.840.113549.1.5.12');
const AES_256_CBC = objectIdentifier('2.16.840.1.101.3.4.1.42');
const HMAC_SHA_256 = sequence(objectIdentifier('1.2.840.113549.2.9'), der(written.null));

/** Stretching makes up for secrets that people can remember. Who seals and who opens would pay for it each time. */
const ITERATIONS = 1;

/** Octets that cannot be guessed, as no stretching helps against trying them all. */
const LEAST_SECRET = 32;

/**
 * PKCS#8 PEM, encrypted. `secret`: random octets, no passphrase.
 * @throws RangeError for less than 32 of them
 */
export function sealKey(key: KeyObject, secret: Uint8Array): string {
  if (secret.length < LEAST_SECRET) throw new RangeError(`a secret has at least ${LEAST_SECRET} octets`);
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-cbc', pbkdf2Sync(secret, salt, ITERATIONS, 32, 'sha256'), iv);
  const sealed = Buffer.concat([cipher.update(key.export({ type: 'pkcs8', format: 'der' })), cipher.final()]);
  const derivation = sequence(
    PBKDF2,
    sequence(der(written.octets, salt), der(written.integer, Uint8Array.of(ITERATIONS)), HMAC_SHA_256),
  );
  const encryption = sequence(AES_256_CBC, der(written.octets, iv));
  const algorithm = sequence(PBES2, sequence(derivation, encryption));
  return toPem('ENCRYPTED PRIVATE KEY', sequence(algorithm, der(written.octets, sealed)));
}
