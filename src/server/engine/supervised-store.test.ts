import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemoryStore } from '../../store/memory.ts';
import { groups } from '../../store/store.ts';
import type { SupervisorCalls } from '../calls.ts';
import type { Peer } from '../peer.ts';
import { SupervisedStore } from './supervised-store.ts';

const NAME = 'a.example.org';
const OWN = ['challenges', 'staging', 'ocsp', 'limits', 'crl', 'tmp'] as const;
const OTHERS = groups.filter((group) => !OWN.some((own) => own === group));

/** A store before a supervisor that has `value` everywhere; what the supervisor was asked for is in `asked`. */
function supervised(value: string) {
  const asked: string[] = [];
  const answers: Record<string, unknown> = {
    storeLoad: new TextEncoder().encode(value),
    storeList: [NAME],
    storeAspects: ['md.json'],
    storeModified: 17,
  };
  const call = async (name: string) => {
    asked.push(name);
    return answers[name];
  };
  const own = new MemoryStore();
  return { asked, own, store: new SupervisedStore(own, { call } as unknown as Peer<SupervisorCalls>) };
}

suite('the store as the engine has it', () => {
  test('is its own where User writes: nobody is asked', async () => {
    const { store, own, asked } = supervised('theirs');
    for (const group of OWN) {
      await store.save(group, NAME, 'md.json', 'ours');
      assert.equal((await store.load(group, NAME, 'md.json'))?.toString(), 'ours');
      assert.equal((await own.load(group, NAME, 'md.json'))?.toString(), 'ours');
      assert.deepEqual(await store.aspects(group, NAME), ['md.json']);
      assert.deepEqual(await store.list(group), [NAME]);
      assert.ok(await store.modified(group, NAME, 'md.json'));
      await store.remove(group, NAME, 'md.json');
      await store.purge(group, NAME);
      assert.equal(await own.load(group, NAME, 'md.json'), undefined);
    }
    assert.deepEqual(asked, []);
  });

  test('is read by the supervisor elsewhere, and written by no engine', async () => {
    const { store, own, asked } = supervised('theirs');
    for (const group of OTHERS) {
      const bytes = await store.load(group, NAME, 'md.json');
      assert.ok(Buffer.isBuffer(bytes) && bytes.toString() === 'theirs');
      assert.deepEqual(await store.list(group), [NAME]);
      assert.deepEqual(await store.aspects(group, NAME), ['md.json']);
      assert.equal(await store.modified(group, NAME, 'md.json'), 17);
      for (const write of [
        () => store.save(group, NAME, 'md.json', 'ours'),
        () => store.remove(group, NAME, 'md.json'),
        () => store.purge(group, NAME),
      ]) {
        await assert.rejects(write, { code: 'store-denied', message: new RegExp(`${group}/${NAME}`) });
      }
      assert.deepEqual(await own.list(group), []);
    }
    await assert.rejects(store.activate(NAME), { code: 'store-denied' });
    assert.equal(asked.length, OTHERS.length * 4);
  });
});
