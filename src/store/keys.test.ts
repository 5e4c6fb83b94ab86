import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { suite, test } from 'node:test';
import { keyToPem } from '../pki/keys.ts';
import { derivationCost } from '../pki/key-cost.ts';
import { openssl, withoutOpenssl } from '../pki/openssl.testing.ts';
import { loadPrivateKey, savePrivateKey } from './keys.ts';
import { MemoryStore } from './memory.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** Encrypted with the store's key, by OpenSSL's own options. */
function encrypted(store: MemoryStore, ...options: string[]): string {
  const passphrase = `pass:${store.key.passphrase().toString('hex')}`;
  return openssl(['pkcs8', '-topk8', '-passout', passphrase, ...options], keyToPem(privateKey));
}

suite('keys in a store', () => {
  test('are encrypted where others may read them, and read again', async () => {
    const store = new MemoryStore();
    for (const group of ['staging', 'domains'] as const) {
      await savePrivateKey(store, group, 'a.example', 'privkey.pem', privateKey);
      const pem = (await store.load(group, 'a.example', 'privkey.pem'))?.toString() ?? '';
      assert.equal(pem.includes('ENCRYPTED'), group === 'staging');
      assert.ok((await loadPrivateKey(store, group, 'a.example', 'privkey.pem'))?.equals(privateKey));
    }
  });

  // Else who may write there could keep root's process busy for as long as it likes.
  test('that would take long to decrypt are not tried', { skip: withoutOpenssl }, async () => {
    const store = new MemoryStore();
    const costly = {
      'many iterations': ['-v2', 'aes-256-cbc', '-iter', '1100000'],
      scrypt: ['-scrypt', '-scrypt_N', '16384', '-scrypt_r', '8', '-scrypt_p', '8'],
    };
    for (const [what, options] of Object.entries(costly)) {
      const pem = encrypted(store, ...options);
      assert.ok(derivationCost(pem) > 1_000_000, what);
      await store.save('staging', 'a.example', 'privkey.pem', pem);
      const loading = loadPrivateKey(store, 'staging', 'a.example', 'privkey.pem');
      await assert.rejects(loading, (error: Error & { code: string; cause: { message: string } }) => {
        assert.equal(error.code, 'store-garbage');
        assert.match(error.cause.message, /would take too long to decrypt/);
        return true;
      });
    }
  });
});
