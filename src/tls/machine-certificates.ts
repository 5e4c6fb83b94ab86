/** The certificates that we show to backends. */
import { keyFromPem, keyType } from '../pki/keys.ts';
import { matchesKey, parseChain } from '../pki/certificate.ts';
import type { Certificate } from '../pki/certificate.ts';
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
 * The pairs in two PEM texts (which may be the same), in the order of the keys. What `between` has of their issuers
 * but no root (SSLProxyMachineCertificateChainFile) is shown with them.
 * @throws LatchkeyError `tls-machine-certificate`: no key, or one without its certificate; PkiError where a text can't
 *   be read
 */
export function machineCertificates(certificates: string, keys: string, between = ''): MachineCertificate[] {
  const chain = parseChain(certificates, { length: 64 });
  const issuers = between === '' ? [] : parseChain(between, { length: 64 });
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
    const own = withIssuers(chain.slice(start, end), issuers).map((one) => one.pem);
    return { chainPem: own.join(''), keyPem: pem, keyType: keyType(key) };
  });
}

function withIssuers(chain: readonly Certificate[], issuers: readonly Certificate[]): Certificate[] {
  const whole = [...chain];
  const left = new Set(issuers.filter(({ x509 }) => !x509.checkIssued(x509)));
  for (let last = whole.at(-1); last !== undefined; last = issuerOf(last, left)) {
    left.delete(last);
    if (!chain.includes(last)) whole.push(last);
  }
  return whole;
}

function issuerOf({ x509 }: Certificate, among: ReadonlySet<Certificate>): Certificate | undefined {
  return [...among].find((one) => x509.checkIssued(one.x509));
}

/** A context has room for one of each type of key: the first. */
export function onePerKeyType<One extends MachineCertificate>(all: readonly One[]): One[] {
  return all.filter((one, index) => all.findIndex((other) => other.keyType === one.keyType) === index);
}

function unusable(message: string): LatchkeyError<'tls-machine-certificate'> {
  return new LatchkeyError('tls-machine-certificate', message);
}
