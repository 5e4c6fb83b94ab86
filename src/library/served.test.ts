import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { silent } from '../base/log.ts';
import { MemoryTable } from '../certificates/memory-table.ts';
import { eventually, P256 } from '../domains/domains.testing.ts';
import { chainFile, keyFile } from '../domains/stored/held.ts';
import { HostileResponder } from '../ocsp/hostile-responder.testing.ts';
import { generateKey, keyFileSuffix } from '../pki/keys.ts';
import { OcspTestCa } from '../pki/ocsp.testing.ts';
import { savePrivateKey } from '../store/keys.ts';
import { MemoryStore } from '../store/memory.ts';
import { Served } from './served.ts';

const domain = (name: string) => ({ name, domains: [name], keys: [P256], stapling: true });

/** Gives what it has only after a while. */
class SlowStore extends MemoryStore {
  pause: Promise<void> | undefined;

  override async load(...question: Parameters<MemoryStore['load']>): ReturnType<MemoryStore['load']> {
    const { pause } = this;
    const value = await super.load(...question);
    await pause;
    return value;
  }
}

async function setting() {
  const clock = new TestClock();
  const ca = await OcspTestCa.create(clock.now());
  const key = await generateKey(P256);
  const responder = await HostileResponder.start(ca, clock);
  const store = new SlowStore({ clock });
  const parts = { store, table: new MemoryTable(), clock, loggers: silent, onRevoked: () => {} };
  const served = new Served(parts);
  return {
    clock,
    served,
    responder,
    /** A certificate more, in the place of the one before; gives its serial. */
    async put(name: string): Promise<string> {
      const { certificate, chainPem } = await ca.issue({ names: [name], ocsp: responder.url, key });
      const suffix = keyFileSuffix(P256);
      await savePrivateKey(store, 'domains', name, keyFile(suffix), key);
      await store.save('domains', name, chainFile(suffix), chainPem);
      return certificate.serial;
    },
    /** Begins to load what is there now; gives what lets that go on to its end. */
    begin(name: string): () => Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      store.pause = promise;
      const loading = served.load(domain(name));
      store.pause = undefined;
      return () => {
        resolve();
        return loading;
      };
    },
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      await responder[Symbol.asyncDispose]();
    },
  };
}

async function stapled({ clock, served }: Awaited<ReturnType<typeof setting>>, name: string): Promise<void> {
  await eventually(async () => {
    await clock.advance(1000);
    return served.certificates(name)[0]?.staple !== undefined;
  });
}

test('what was read before what is in use now is neither served nor asked about', async () => {
  await using at = await setting();
  await at.put('a.test');
  const finish = at.begin('a.test');
  const serial = await at.put('a.test');
  await at.served.load(domain('a.test'));
  await finish();
  at.served.start();
  const [shown] = at.served.certificates('a.test');
  assert.equal(shown?.serial, serial);
  await stapled(at, 'a.test');
  assert.deepEqual(
    at.responder.seen.map((one) => one.serial),
    [serial],
  );
});

test('what is forgotten while it is read is not served, and nobody is asked about it', async () => {
  await using at = await setting();
  await at.put('a.test');
  const finish = at.begin('a.test');
  at.served.forget(domain('a.test'));
  await finish();
  assert.deepEqual(at.served.certificates('a.test'), []);
  const serial = await at.put('b.test');
  await at.served.load(domain('b.test'));
  at.served.start();
  await stapled(at, 'b.test');
  assert.deepEqual(
    at.responder.seen.map((one) => one.serial),
    [serial],
  );
});
