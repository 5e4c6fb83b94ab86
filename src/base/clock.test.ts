import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { systemClock, type Clock } from './clock.ts';
import { TestClock } from './clock.testing.ts';

const clocks: readonly (readonly [string, () => Clock])[] = [
  ['the system clock', () => systemClock],
  ['a test clock', () => new TestClock()],
];

for (const [name, make] of clocks) {
  suite(name, () => {
    test('rejects a sleep with the reason of its signal, aborted before or meanwhile', async () => {
      const reason = new Error('enough');
      const clock = make();
      await assert.rejects(clock.sleep(60_000, { signal: AbortSignal.abort(reason) }), reason);
      const abort = new AbortController();
      const sleeping = clock.sleep(60_000, { signal: abort.signal });
      abort.abort(reason);
      await assert.rejects(sleeping, reason);
    });

    test('does not sleep for no time at all', async () => {
      await make().sleep(0);
      await make().sleep(-1);
    });
  });
}

test('a test clock wakes sleepers in the order of their times, and only as far as it is moved', async () => {
  const clock = new TestClock(0);
  const woken: string[] = [];
  const sleep = async (ms: number, what: string) => {
    await clock.sleep(ms);
    woken.push(`${what} at ${clock.now()}`);
  };
  const all = [sleep(300, 'third'), sleep(100, 'first'), sleep(200, 'second')];
  await clock.advance(250);
  assert.deepEqual(woken, ['first at 100', 'second at 200']);
  await clock.advance(50);
  await Promise.all(all);
  assert.equal(woken[2], 'third at 300');
  assert.equal(clock.sleeping, 0);
});
