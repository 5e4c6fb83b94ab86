import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { Litter } from './litter.ts';

describe('what the store has to remove at leisure', () => {
  it('is removed after a minute, a failure keeping nothing else from it', async () => {
    const clock = new TestClock();
    await using litter = new Litter(clock);
    const removed: string[] = [];
    litter.add(async () => void removed.push('a'));
    litter.add(() => Promise.reject(new Error('the disk fails')));
    litter.add(async () => void removed.push('b'));
    await clock.advance(59_000);
    assert.equal(removed.length, 0);
    await clock.advance(1000);
    assert.deepEqual(removed, ['a', 'b']);
    litter.add(async () => void removed.push('c'));
    await clock.advance(60_000);
    assert.deepEqual(removed, ['a', 'b', 'c']);
  });

  it('is removed when the server ends, and what comes later at once', async () => {
    const removed: string[] = [];
    const litter = new Litter(new TestClock());
    litter.add(async () => void removed.push('a'));
    await litter[Symbol.asyncDispose]();
    assert.deepEqual(removed, ['a']);
    litter.add(async () => void removed.push('b'));
    await litter[Symbol.asyncDispose]();
    assert.deepEqual(removed, ['a', 'b']);
  });
});
