import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { CoarseTimers } from './coarse-timers.ts';

/** Lets time pass, in steps small enough for timers that begin within it. */
function mockTime(t: TestContext): (ms: number) => void {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return (ms) => {
    for (let passed = 0; passed < ms; passed += 100) t.mock.timers.tick(100);
  };
}

test('a coarse timer calls back once, not before its time and within two seconds of it', (t) => {
  const pass = mockTime(t);
  const timers = new CoarseTimers();
  let calls = 0;
  timers.start(() => {}, 60_000);
  pass(900);
  timers.start(() => calls++, 3000);
  pass(2900);
  assert.equal(calls, 0);
  pass(2100);
  assert.equal(calls, 1);
  pass(120_000);
  assert.equal(calls, 1);
});

test('a disposed coarse timer never calls back, and the next one starts as well', (t) => {
  const pass = mockTime(t);
  const timers = new CoarseTimers();
  let calls = 0;
  timers.start(() => calls++, 1000)[Symbol.dispose]();
  pass(10_000);
  assert.equal(calls, 0);
  timers.start(() => calls++, 1000);
  pass(3000);
  assert.equal(calls, 1);
});

test('a coarse timer may end itself and others from its callback', (t) => {
  const pass = mockTime(t);
  const timers = new CoarseTimers();
  let others = 0;
  const first = timers.start(() => (first[Symbol.dispose](), second[Symbol.dispose]()), 1000);
  const second = timers.start(() => others++, 1000);
  pass(10_000);
  assert.equal(others, 0);
});

test('a coarse timer keeps no process from ending', () => {
  const timeouts = () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  const before = timeouts();
  using _timer = new CoarseTimers().start(() => {}, 60_000);
  assert.equal(timeouts(), before);
});
