/** Plain PEM: one file of a certificate with its key (or the key in another), or a folder of such files. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { matchesKey, parseChain } from '../../pki/certificate.ts';
import { keyFromPem } from '../../pki/keys.ts';
import { pemBlocks } from '../../pki/pem.ts';
import { nothing, type Reader } from './found.ts';
import { files, telling, text } from './files.ts';

interface Key {
  readonly file: string;
  readonly pem: string;
}

interface Chain {
  readonly file: string;
  readonly pem: string;
  readonly length: number;
}

/** Which key belongs to which certificate is found by trying; of several chains for one leaf the longest counts. */
export const readPem: Reader = async (path, { authority }) => {
  const found = nothing();
  const isFolder = (await stat(path)).isDirectory();
  const names = isFolder ? (await files(path)).map((name) => join(path, name)) : [path];
  const [keys, chains]: [Key[], Map<string, Chain>] = [[], new Map()];
  for (const file of names) {
    await telling(found, file, async () => {
      const content = (await text(file)) ?? '';
      if (!content.includes('-----BEGIN ')) return;
      for (const { label, pem } of pemBlocks(content)) {
        if (label.endsWith('PRIVATE KEY')) keys.push({ file, pem });
      }
      if (!content.includes('CERTIFICATE-----')) return;
      const chain = parseChain(content);
      const [leaf] = chain;
      if (!leaf || leaf.x509.ca) return;
      const before = chains.get(leaf.sha256);
      if (before && before.length >= chain.length) return;
      const pem = chain.map((certificate) => certificate.pem).join('');
      chains.set(leaf.sha256, { file, pem, length: chain.length });
    });
  }
  for (const { file, pem } of chains.values()) {
    await telling(found, file, async () => {
      const [leaf] = parseChain(pem);
      const key = keys.find((candidate) => leaf && matchesKey(leaf, keyFromPem(candidate.pem)));
      if (!key) throw new Error(`its private key is not in ${path}`);
      found.certificates.push({ file, chain: pem, key: key.pem, authority });
    });
  }
  return found;
};
