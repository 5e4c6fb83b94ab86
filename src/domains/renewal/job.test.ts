import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { MemoryStore } from '../../store/memory.ts';
import { DAY } from '../domains.testing.ts';
import type { Problem } from '../issuer.ts';
import { authorityAfter, Job, LONGEST_WAIT, retryAt } from './job.ts';

const now = Date.parse('2026-11-22T06:00:00Z');

suite('a job', () => {
  test('comes back from the store as it was', async () => {
    const store = new MemoryStore();
    const problem: Problem = {
      type: 'urn:ietf:params:acme:error:compound',
      detail: 'two names',
      remedy: 'set this record',
      subproblems: [
        {
          type: 'urn:ietf:params:acme:error:dns',
          detail: 'no such name',
          status: 400,
          identifier: 'a.example',
        },
        { type: 'urn:ietf:params:acme:error:caa', detail: 'forbidden', status: 403, identifier: undefined },
      ],
    };
    const job = new Job('a.example');
    job.begin(now, 'it is due');
    job.progress(now + 1000, 'Creating new order', store);
    job.fail(now + 2000, problem, now + 60_000);
    await job.save(store);
    const again = await Job.load(store, 'a.example');
    assert.deepEqual(again.problem, problem);
    assert.equal(again.errors, 1);
    assert.equal(again.lastRun, now);
    assert.equal(again.nextRun, now + 60_000);
    assert.deepEqual(
      again.log.map(({ type, when }) => [type, when - now]),
      [
        ['renewal-error', 2000],
        ['progress', 1000],
        ['starting', 0],
      ],
    );
  });

  test('keeps what another program has written into its document', async () => {
    const store = new MemoryStore();
    const document = { name: 'a.example', notified: true, 'notified-renewed': true, errors: 2, other: [1] };
    await store.save('staging', 'a.example', 'job.json', JSON.stringify(document));
    const job = await Job.load(store, 'a.example');
    await job.save(store);
    const bytes = await store.load('staging', 'a.example', 'job.json');
    assert.partialDeepStrictEqual(JSON.parse(bytes?.toString() ?? ''), document);
  });

  test('forgets the oldest of a long story', () => {
    const job = new Job('a.example');
    for (let n = 0; n < 1000; n += 1) job.append(now + n, 'progress', `${n}`);
    assert.equal(job.log.length, 128);
    assert.equal(job.log[0]?.detail, '999');
  });

  test('reaches the disk while it works, but not at each step', async () => {
    const store = new MemoryStore();
    const job = new Job('a.example');
    let saves = 0;
    const save = store.save.bind(store);
    store.save = (...args) => {
      saves += 1;
      return save(...args);
    };
    for (let n = 0; n < 100; n += 1) job.progress(now + n * 100, `${n}`, store);
    await job.settled();
    assert.equal(saves, 20);
  });

  test('is not stopped by a disk that is full', async () => {
    const store = new MemoryStore();
    store.save = () => Promise.reject(new Error('full'));
    const job = new Job('a.example');
    job.progress(now, 'a step', store);
    await job.settled();
    await assert.rejects(job.save(store), /full/);
  });
});

suite('a retry', () => {
  test('comes after the delay, doubled each time up to a day, with up to a quarter more', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 3_600_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.option(fc.integer({ min: 0, max: 1000 * DAY }), { nil: undefined }),
        (errors, retryDelay, value, retryAfter) => {
          const problem = { type: 't', detail: 'd', retryAfter };
          const wait = retryAt(now, errors, problem, { retryDelay, random: () => value }) - now;
          const delay = Math.min(retryDelay * 2 ** (errors - 1), DAY);
          const least = Math.max(delay, Math.min(retryAfter ?? 0, LONGEST_WAIT));
          assert.ok(wait >= Math.floor(least) && wait <= Math.ceil(least + delay / 4));
        },
      ),
    );
  });

  test('goes round the CAs, as many errors each as configured', () => {
    const three = ['a', 'b', 'c'];
    const at = (errors: number, failover: number) => authorityAfter(three, errors, failover);
    assert.deepEqual(
      [0, 1, 2, 3].map((errors) => at(errors, 1)),
      ['a', 'b', 'c', 'a'],
    );
    assert.deepEqual(
      [0, 1, 2, 5, 6].map((errors) => at(errors, 2)),
      ['a', 'a', 'b', 'c', 'a'],
    );
  });

  test('goes round the CAs, thirteen errors each', () => {
    const used = Array.from({ length: 40 }, (_, errors) => authorityAfter(['a', 'b'], errors, 13));
    assert.equal(used.indexOf('b'), 13);
    assert.equal(used.indexOf('a', 13), 26);
    assert.equal(authorityAfter(['a'], 1000, 13), 'a');
    assert.equal(authorityAfter([], 0, 13), undefined);
  });
});
