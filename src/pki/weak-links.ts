/** Certificates of a chain that nobody takes: old CAs have some, and what is served with them is no use to clients. */
import type { Certificate } from './certificate.ts';

/** Of signatures; OpenSSL's names have them in many ways: `sha1WithRSAEncryption`, `ecdsa-with-SHA1`. */
const BROKEN_HASH = /(?:md[245]|sha1)(?!\d)/i;
/** OpenSSL makes no context of a chain with less in it at its security level 2, which is its default. */
const SHORTEST_RSA = 2048;

/** What is too weak in a chain, in words: hashes that clients refuse, keys that OpenSSL refuses; undefined: nothing. */
export function weakLinkOf(chain: readonly Certificate[]): string | undefined {
  for (const { x509 } of chain) {
    // Node has an empty subject, which some CAs give, as undefined.
    const who = x509.subject?.replaceAll('\n', ', ') ?? `the certificate ${x509.serialNumber}`;
    const hash = x509.signatureAlgorithm ?? '';
    // Nobody looks at the signature of a root.
    if (BROKEN_HASH.test(hash) && x509.subject !== x509.issuer) return `${who} is signed by ${hash}`;
    const { modulusLength = SHORTEST_RSA } = x509.publicKey.asymmetricKeyDetails ?? {};
    if (modulusLength < SHORTEST_RSA) return `${who} has an RSA key of ${modulusLength} bits`;
  }
  return undefined;
}
