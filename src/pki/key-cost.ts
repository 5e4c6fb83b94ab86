/** What it takes to open an encrypted key: the file itself says how often its passphrase is to be hashed. */
import { derElements, derInside, tags } from './der.ts';
import { pemBlocks } from './pem.ts';

/** Deeper than the parameters of PBES2 (RFC 8018 appendix A) is nothing. */
const DEEPEST = 6;

/**
 * Rounds of the key derivation of the PKCS#8 keys in a PEM text: PBKDF2's iterations, or scrypt's N, r and p
 * multiplied; 1 where nothing is encrypted. A length of the key, where it is said, counts as a factor too.
 * @throws PkiError `pem-unreadable`, `der-unreadable`
 */
export function derivationCost(pem: string): number {
  const encrypted = pemBlocks(pem).filter(({ label }) => label === 'ENCRYPTED PRIVATE KEY');
  return Math.max(1, ...encrypted.map((block) => costOf(block.pem)));
}

function costOf(pem: string): number {
  const [algorithm] = derInside(Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ''), 'base64'));
  return algorithm ? numbersIn(algorithm.content, DEEPEST).reduce((product, one) => product * one, 1) : 1;
}

function numbersIn(bytes: Buffer, depth: number): number[] {
  if (depth === 0) return [Infinity];
  return derElements(bytes).flatMap(({ tag, content }) => {
    if (tag === tags.sequence) return numbersIn(content, depth - 1);
    return tag === tags.integer ? [numberOf(content)] : [];
  });
}

function numberOf(content: Buffer): number {
  return content.length > 0 && content.length <= 6
    ? Math.max(1, content.readUIntBE(0, content.length))
    : Infinity;
}
