import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { forked, startAgain } from './again.ts';

const noDescriptors = () => {
  throw new Error('EMFILE');
};

function starting(failures: number, start: () => Promise<void>) {
  const clock = new TestClock();
  const stop = new AbortController();
  const at: number[] = [];
  const began = clock.now();
  const counted = () => {
    at.push(clock.now() - began);
    return start();
  };
  const failed: unknown[] = [];
  const done = startAgain({
    clock,
    signal: stop.signal,
    failures,
    start: counted,
    failed: (error) => failed.push(error),
  });
  return { clock, stop, at, failed, done };
}

suite('a process in the place of one that ended', () => {
  test('is begun at once after a good life, and after a pause when lives are short', async () => {
    const good = starting(0, async () => {});
    await good.done;
    assert.deepEqual(good.at, [0]);
    const short = starting(2, async () => {});
    await short.clock.advance(1000);
    await short.done;
    assert.deepEqual(short.at, [1000]);
  });

  test('is tried for as long as none can be made, ever more slowly', async () => {
    let full = true;
    const { clock, at, failed, done } = starting(0, async () => {
      if (full) forked(noDescriptors);
    });
    await clock.advance(40_000);
    full = false;
    await clock.advance(10_000);
    await done;
    assert.deepEqual(at.slice(0, 6), [0, 500, 1500, 3500, 7500, 15_500]);
    assert.equal(failed.length, at.length - 1);
  });

  test('is left to its own end when it began badly', async () => {
    const { at, failed, done } = starting(0, () => Promise.reject(new Error('no certificate table')));
    await done;
    assert.deepEqual([at.length, failed.length], [1, 1]);
  });

  test('is not begun when everything stops', async () => {
    const { clock, stop, at, done } = starting(1, async () => {});
    stop.abort();
    await done;
    await clock.advance(60_000);
    assert.deepEqual(at, []);
  });
});
