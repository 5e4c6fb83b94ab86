import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { Breaker, type BreakerState } from './breaker.ts';

function breaker() {
  const clock = new TestClock();
  const seen: BreakerState[] = [];
  const made = new Breaker({ failures: 3, reset: 30_000, clock, changed: (state) => void seen.push(state) });
  return { clock, seen, made, fail: () => made.admit()?.settle('failure') };
}

suite('a circuit breaker', () => {
  test('opens at the last of so many failures in a row, and not before', () => {
    const { made, fail, seen } = breaker();
    fail();
    fail();
    made.admit()?.settle('success');
    fail();
    fail();
    assert.equal(made.state, 'closed');
    fail();
    assert.equal(made.state, 'open');
    assert.equal(made.admit(), undefined);
    assert.deepEqual(seen, ['open']);
  });

  test('lets one probe through after its time, which closes it or opens it again', async () => {
    const { made, fail, clock, seen } = breaker();
    for (let n = 0; n < 3; n++) fail();
    await clock.advance(29_999);
    assert.equal(made.admit(), undefined);
    await clock.advance(1);
    const probe = made.admit();
    assert.ok(probe);
    assert.equal(made.admit(), undefined);
    probe.settle('failure');
    assert.equal(made.admit(), undefined);
    await clock.advance(30_000);
    made.admit()?.settle('success');
    assert.deepEqual([made.state, made.failures], ['closed', 0]);
    assert.deepEqual(seen, ['open', 'half-open', 'open', 'half-open', 'closed']);
  });

  test('listens to nobody who asked before it changed', () => {
    const { made, fail } = breaker();
    const early = made.admit();
    for (let n = 0; n < 3; n++) fail();
    early?.settle('success');
    assert.equal(made.state, 'open');
  });

  test('opens again where the probe came to nothing, and a clock put back keeps nobody out', async () => {
    const { made, fail, clock } = breaker();
    for (let n = 0; n < 3; n++) fail();
    clock.jump(clock.now() - 3_600_000);
    const probe = made.admit();
    assert.ok(probe);
    probe.settle('neither');
    assert.equal(made.state, 'open');
  });
});
