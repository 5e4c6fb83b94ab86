/** The certificates that we show to backends. */
import { keyFromPem, keyType } from '../pki/keys.ts';
import { matchesKey, parseChain } from '../pki/certificate.ts';
import { LatchkeyError } from '../base/errors.ts';
import { pemBlocks } from '../pki/pem.ts';

export interface MachineCertificate {
  /** The certificate, then what stands behind it in its file. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** `rsa`, `ec`, … */
  readonly keyType: string;
}

/**
 * The pairs in two PEM texts (which may be the same), in the order of the keys.
 * @throws LatchkeyError `tls-machine-certificate`: no key, or one without its certificate; PkiError where a text can't
 *   be read
 */
export function machineCertificates(certificates: string, keys: string): MachineCertificate[] {
  const chain = parseChain(certificates, { length: 64 });
  const pems = pemBlocks(keys).filter(({ label }) => label.endsWith('PRIVATE KEY'));
  if (pems.length === 0) throw unusable('There is no private key');
  const parsed = pems.map(({ pem }) => ({ pem, key: keyFromPem(pem) }));
  const isLeaf = (at: number) =>
    parsed.some(({ key }) => chain[at] !== undefined && matchesKey(chain[at], key));
  return parsed.map(({ pem, key }) => {
    const start = chain.findIndex((certificate) => matchesKey(certificate, key));
    if (start < 0) throw unusable('There is no certificate for a private key');
    let end = start + 1;
    while (end < chain.length && !isLeaf(end)) end++;
    const own = chain.slice(start, end).map((certificate) => certificate.pem);
    return { chainPem: own.join(''), keyPem: pem, keyType: keyType(key) };
  });
}

/** A context has room for one of each type of key: the first. */
export function onePerKeyType<One extends MachineCertificate>(all: readonly One[]): One[] {
  return all.filter((one, index) => all.findIndex((other) => other.keyType === one.keyType) === index);
}

function unusable(message: string): LatchkeyError<'tls-machine-certificate'> {
  return new LatchkeyError('tls-machine-certificate', message);
}
