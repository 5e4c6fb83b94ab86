/** Certificates that Latchkey signs for itself: stopgaps, and the answers to tls-alpn-01 challenges. */
import { createHash, createPublicKey, randomBytes, type KeyObject } from 'node:crypto';
import { bitString, der, sequence, tagged, time, written } from './der-writer.ts';
import { acmeIdentifier, commonName, serverUsage, subjectAltName } from './extensions-der.ts';
import { generateKey, keyToPem } from './keys.ts';
import type { KeySpec } from './keyspec.ts';
import { toPem } from './pem.ts';
import { signerOf } from './sign.ts';

const DAY = 24 * 60 * 60 * 1000;
const P256: KeySpec = { type: 'EC', name: 'p-256' };

export interface SelfSigned {
  readonly certPem: string;
  /** PKCS#8, plain. */
  readonly keyPem: string;
}

export interface FallbackOptions {
  /** DNS names and IP addresses; at least one. */
  readonly names: readonly string[];
  /** The kind of key to make; default P-256. */
  readonly spec?: KeySpec;
  /** ms since the epoch. */
  readonly now: number;
}

/**
 * The stopgap that a managed domain shows before its first certificate: valid for 14 days, as mod_md's.
 * @throws PkiError `name-invalid`, `key-unknown-curve`, `key-bad-size`
 */
export async function createFallbackCertificate(options: FallbackOptions): Promise<SelfSigned> {
  return selfSign({
    subject: 'Latchkey Managed Domain Fallback',
    key: await generateKey(options.spec ?? P256),
    now: options.now,
    lifetime: 14 * DAY,
    extensions: [subjectAltName(options.names), ...serverUsage()],
  });
}

export interface AlpnOptions {
  /** The one name (or address, RFC 8738) that is validated. */
  readonly name: string;
  /** TOKEN.THUMBPRINT (RFC 8555 section 8.1). */
  readonly keyAuthorization: string;
  /** Default: a new P-256 key. */
  readonly key?: KeyObject;
  /** ms since the epoch. */
  readonly now: number;
}

/**
 * The certificate that answers a tls-alpn-01 challenge (RFC 8737 section 3), valid for 7 days.
 * @throws PkiError `name-invalid`, `key-cannot-sign`
 */
export async function createAlpnCertificate(options: AlpnOptions): Promise<SelfSigned> {
  const digest = createHash('sha256').update(options.keyAuthorization).digest();
  return selfSign({
    subject: 'tls-alpn-01-challenge',
    key: options.key ?? (await generateKey(P256)),
    now: options.now,
    lifetime: 7 * DAY,
    extensions: [subjectAltName([options.name]), acmeIdentifier(digest)],
  });
}

interface SelfSignOptions {
  readonly subject: string;
  readonly key: KeyObject;
  readonly now: number;
  readonly lifetime: number;
  /** DER. */
  readonly extensions: readonly Buffer[];
}

async function selfSign(options: SelfSignOptions): Promise<SelfSigned> {
  const { key, now } = options;
  const signer = signerOf(key);
  const name = commonName(options.subject);
  const body = sequence(
    VERSION_3,
    der(written.integer, serialNumber()),
    signer.algorithmDer,
    name,
    sequence(time(now), time(now + options.lifetime)),
    name,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...options.extensions)),
  );
  const certificate = sequence(body, signer.algorithmDer, bitString(await signer.signDer(body)));
  return { certPem: toPem('CERTIFICATE', certificate), keyPem: keyToPem(key) };
}

const VERSION_3 = tagged(0, der(written.integer, Uint8Array.of(2)));

/** 127 random bits, positive and with no leading zero octet: DER has one spelling for each number. */
function serialNumber(): Uint8Array {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}
