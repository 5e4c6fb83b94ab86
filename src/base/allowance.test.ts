import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allowance } from './allowance.ts';
import { TestClock } from './clock.testing.ts';

const HOUR = 3_600_000;

test('what was taken comes back evenly, for each key by itself', async () => {
  const clock = new TestClock();
  const allowance = new Allowance({ count: 2, period: HOUR }, clock);
  allowance.take('a');
  allowance.take('a');
  assert.deepEqual([allowance.has('a'), allowance.has('b')], [false, true]);
  await clock.advance(HOUR / 2);
  assert.ok(allowance.has('a'));
});

test('a clock that is put back refuses nobody for as long as that', async () => {
  const clock = new TestClock();
  const allowance = new Allowance({ count: 2, period: HOUR }, clock);
  allowance.take('a');
  allowance.take('a');
  clock.jump(clock.now() - 365 * 24 * HOUR);
  assert.equal(allowance.has('a'), false);
  await clock.advance(HOUR / 2);
  assert.ok(allowance.has('a'));
});
