/** Keys that a passphrase protects. */
import { keyFromPem, keyToPem } from '../pki/keys.ts';

export function isEncrypted(pem: string): boolean {
  return /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem);
}

/** PEM of the key in the clear. @throws PkiError `key-passphrase` where the passphrase is another key's */
export function openedKey(pem: string, passphrase: Buffer): string {
  return keyToPem(keyFromPem(pem, passphrase));
}
