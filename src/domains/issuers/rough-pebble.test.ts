/** Every kind of key, from a Pebble that refuses a third of all nonces and takes its time. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { startPebble, withoutPebble } from '../../acme/pebble.testing.ts';
import { generateKey, keyFileSuffix } from '../../pki/keys.ts';
import type { KeySpec } from '../../pki/keyspec.ts';
import { loadPrivateKey, savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { impatientClock, settings } from '../domains.testing.ts';
import { AcmeIssuer } from './acme.ts';

const keys: readonly KeySpec[] = [
  { type: 'RSA', bits: 2048 },
  ...['secp256r1', 'p-384', 'secp521r1'].map((name) => ({ type: 'EC', name }) as const),
];

test(
  'certificates for every kind of key come through refused nonces and slow validations',
  { skip: withoutPebble },
  async () => {
    await using pebble = await startPebble({
      env: {
        PEBBLE_VA_ALWAYS_VALID: '1',
        PEBBLE_VA_NOSLEEP: '0',
        // Whole seconds below this: 0, 1 or 2.
        PEBBLE_VA_SLEEPTIME: '3',
        PEBBLE_WFE_NONCEREJECT: '30',
        PEBBLE_AUTHZREUSE: '50',
      },
    });
    const store = new MemoryStore();
    await savePrivateKey(
      store,
      'staging',
      'a.example',
      'account.pem',
      await generateKey({ type: 'RSA', bits: 2048 }),
    );
    await using issuer = new AcmeIssuer({
      store,
      clock: impatientClock,
      newClient: (directoryUrl) => new AcmeClient({ directoryUrl, ca: pebble.ca }),
    });
    const domain = settings('a.example', { domains: ['a.example', 'b.example'], keys });
    // Here nobody waits long: where the CA takes longer, the order goes on at the next try.
    for (let tries = 0; tries < 20; tries += 1) {
      try {
        await issuer.obtain(domain, { authority: pebble.directoryUrl, progress: () => {} });
        break;
      } catch (error) {
        if (tries === 19) throw error;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
    for (const suffix of keys.map(keyFileSuffix)) {
      const pem = await store.load('staging', 'a.example', `pubcert${suffix}.pem`);
      const key = await loadPrivateKey(store, 'staging', 'a.example', `privkey${suffix}.pem`);
      assert.ok(pem && key && new X509Certificate(pem).checkPrivateKey(key), suffix);
    }
  },
);
