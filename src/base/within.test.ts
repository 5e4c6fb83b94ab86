import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from './clock.testing.ts';
import { within } from './within.ts';

const limit = 60_000;

test('what ends in time gives what it gives, and leaves nothing behind', async () => {
  const clock = new TestClock();
  const bounds = { clock, limit };
  assert.equal(await within(bounds, async () => 5), 5);
  await assert.rejects(
    within(bounds, () => Promise.reject(new Error('no'))),
    /^Error: no$/,
  );
  await assert.rejects(
    within(bounds, () => {
      throw new Error('at once');
    }),
    /at once/,
  );
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
});

test('what never ends is given up when its time is over, and told so', async () => {
  const clock = new TestClock();
  const given: AbortSignal[] = [];
  const ended = assert.rejects(
    within({ clock, limit }, (signal) => {
      given.push(signal);
      return new Promise(() => {});
    }),
    { code: 'too-late', message: 'it did not end within 60 s' },
  );
  await clock.advance(limit - 1);
  assert.deepEqual(
    given.map(({ aborted }) => aborted),
    [false],
  );
  await clock.advance(1);
  await ended;
  assert.equal(given[0]?.aborted, true);
});

test('an aborted signal ends it with its reason', async () => {
  const clock = new TestClock();
  const controller = new AbortController();
  const reason = new Error('closing');
  const bounds = { clock, limit, signal: controller.signal };
  const ended = assert.rejects(
    within(bounds, () => new Promise(() => {})),
    reason,
  );
  controller.abort(reason);
  await ended;
  await assert.rejects(
    within(bounds, () => assert.fail('begun')),
    reason,
  );
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
});
