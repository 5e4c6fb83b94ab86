import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { availableAt, type Bucket, givenBack, isFull, refilled, taken } from './buckets.ts';

const HOUR = 3_600_000;
const limits = fc.record({
  count: fc.integer({ min: 1, max: 500 }),
  period: fc.integer({ min: 1000, max: 7 * 24 * HOUR }),
});

suite('a token bucket', () => {
  test('gives as many as it holds at once, then one after another as they come', () => {
    const limit = { count: 300, period: 3 * HOUR };
    let bucket: Bucket | undefined;
    for (let n = 0; n < 300; n += 1) {
      assert.equal(availableAt(bucket, limit, 0), 0);
      bucket = taken(bucket, limit, 0);
    }
    assert.equal(availableAt(bucket, limit, 0), 36_000);
    assert.equal(availableAt(bucket, limit, 0, 2), 72_000);
    assert.equal(availableAt(bucket, limit, 36_000), 36_000);
    assert.equal(availableAt(bucket, limit, 0, 301), 3 * HOUR + 36_000);
  });

  test('never gives more in any span of time than it holds and what comes in that time', () => {
    const steps = fc.array(fc.integer({ min: 0, max: HOUR }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(limits, steps, (limit, pauses) => {
        let now = 0;
        let bucket: Bucket | undefined;
        const times: number[] = [];
        for (const pause of pauses) {
          now += pause;
          if (availableAt(bucket, limit, now) > now) continue;
          bucket = taken(bucket, limit, now);
          times.push(now);
        }
        for (const [first, start] of times.entries()) {
          const span = (times.at(-1) ?? start) - start;
          const most = limit.count + (span * limit.count) / limit.period;
          assert.ok(times.length - first <= most + 1e-3);
        }
      }),
    );
  });

  test('has a token at the time that it names, and none a whole token earlier', () => {
    fc.assert(
      fc.property(limits, fc.integer({ min: 0, max: 1000 }), (limit, used) => {
        const bucket = { used, at: 0 };
        const at = availableAt(bucket, limit, 0);
        assert.equal(availableAt(bucket, limit, at), at);
        const earlier = at - Math.ceil(limit.period / limit.count) - 1;
        if (earlier > 0) assert.ok(availableAt(bucket, limit, earlier) > earlier);
      }),
    );
  });

  test('refills by time alone: in one step as in many, and not when the clock is put back', () => {
    fc.assert(
      fc.property(limits, fc.array(fc.nat(HOUR), { maxLength: 20 }), (limit, pauses) => {
        const start = { used: limit.count, at: 0 };
        let now = 0;
        let bucket: Bucket = start;
        for (const pause of pauses) bucket = refilled(bucket, limit, (now += pause));
        assert.ok(Math.abs(bucket.used - refilled(start, limit, now).used) < 1e-6);
        assert.equal(refilled({ used: 1, at: 10_000 }, limit, 5000).used, 1);
      }),
    );
  });

  test('takes back what was not needed, and is full when all has come back', () => {
    const limit = { count: 5, period: HOUR };
    const used = taken(undefined, limit, 0, 3);
    assert.equal(givenBack(used, limit, 0, 2).used, 1);
    assert.equal(givenBack(used, limit, 0, 9).used, 0);
    assert.equal(isFull(used, limit, HOUR / 2), false);
    assert.equal(isFull(used, limit, HOUR), true);
  });
});
