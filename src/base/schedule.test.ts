import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { TestClock } from './clock.testing.ts';
import { DueHeap } from './heap.ts';
import { Schedule } from './schedule.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

suite('a heap of due times', () => {
  test('gives names in the order of their times, whatever was added, moved and removed before', () => {
    const operation = fc.record({
      name: fc.integer({ min: 0, max: 20 }).map((n) => `d${n}`),
      at: fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const heap = new DueHeap();
        const model = new Map<string, number>();
        for (const { name, at } of operations) {
          if (at === undefined) {
            heap.remove(name);
            model.delete(name);
          } else {
            heap.set(name, at);
            model.set(name, at);
          }
          assert.equal(heap.at(name), model.get(name));
        }
        const out: number[] = [];
        for (let next = heap.first(); next; next = heap.first()) {
          assert.equal(model.get(next.name), next.at);
          out.push(next.at);
          heap.remove(next.name);
        }
        assert.deepEqual(
          out,
          [...model.values()].sort((a, b) => a - b),
        );
      }),
    );
  });
});

/** A schedule whose jobs are recorded, and end when told (or at once). */
function fixture(t: test.TestContext, options: { parallel?: number; hold?: (name: string) => boolean } = {}) {
  const clock = new TestClock();
  const started: string[] = [];
  const aborted: string[] = [];
  const next = new Map<string, number>();
  const held = new Map<string, () => void>();
  const schedule = new Schedule({
    clock,
    parallel: options.parallel,
    lane: (name) => ({ key: name.split('@')[1] ?? 'ca', priority: name.startsWith('urgent') ? 1 : 0 }),
    work: async (name, signal) => {
      started.push(name);
      if (options.hold?.(name)) {
        await new Promise<void>((resolve) => {
          held.set(name, resolve);
          signal.addEventListener('abort', () => {
            aborted.push(name);
            resolve();
          });
        });
      }
      const delay = next.get(name);
      return delay === undefined ? undefined : clock.now() + delay;
    },
  });
  const controller = new AbortController();
  const running = schedule.run(controller.signal);
  t.after(async () => {
    controller.abort();
    await running;
  });
  return { clock, schedule, started, aborted, next, held, controller, running };
}

suite('a schedule', () => {
  test('runs a job when it is due, not before, and again when the job says', async (t) => {
    const { clock, schedule, started, next } = fixture(t);
    next.set('a', HOUR);
    schedule.set('a', clock.now() + HOUR);
    await clock.advance(HOUR - 1);
    assert.deepEqual(started, []);
    await clock.advance(1);
    assert.deepEqual(started, ['a']);
    await clock.advance(HOUR);
    assert.deepEqual(started, ['a', 'a']);
  });

  test('keeps one time for each name: the last that was set', async (t) => {
    const { clock, schedule, started } = fixture(t);
    schedule.set('a', clock.now() + 1000);
    schedule.set('a', clock.now() + HOUR);
    await clock.advance(MINUTE);
    assert.deepEqual(started, []);
    schedule.set('a', clock.now() + 5);
    await clock.advance(5);
    assert.deepEqual(started, ['a']);
    assert.equal(schedule.due('a'), undefined);
  });

  test('never runs a name twice at a time; set meanwhile, it runs once more', async (t) => {
    const { clock, schedule, started, held } = fixture(t, { hold: () => true });
    schedule.set('a', clock.now());
    await clock.advance(0);
    schedule.set('a', clock.now());
    schedule.runNow('a');
    await clock.advance(HOUR);
    assert.deepEqual(started, ['a']);
    held.get('a')?.();
    await clock.advance(0);
    assert.deepEqual(started, ['a', 'a']);
  });

  test('bounds what runs at once in a lane, and lets no lane wait for another', async (t) => {
    const hold = (name: string) => name.endsWith('@slow');
    const { clock, schedule, started, held } = fixture(t, { parallel: 2, hold });
    for (const n of [1, 2, 3]) schedule.set(`${n}@slow`, clock.now());
    for (const n of [1, 2, 3]) schedule.set(`${n}@quick`, clock.now() + n);
    await clock.advance(10);
    assert.deepEqual(started, ['1@slow', '2@slow', '1@quick', '2@quick', '3@quick']);
    held.get('1@slow')?.();
    await clock.advance(0);
    assert.equal(started.at(-1), '3@slow');
  });

  test('lets the urgent overtake in a lane, and runNow pass the queue altogether', async (t) => {
    const { clock, schedule, started, held } = fixture(t, { parallel: 1, hold: () => true });
    for (const name of ['a', 'b', 'urgent', 'c']) schedule.set(name, clock.now());
    await clock.advance(0);
    schedule.runNow('c');
    schedule.runNow('d');
    await clock.advance(0);
    assert.deepEqual(started, ['a', 'c', 'd']);
    held.get('a')?.();
    await clock.advance(0);
    assert.deepEqual(started, ['a', 'c', 'd', 'urgent']);
    for (const name of ['c', 'd', 'urgent']) held.get(name)?.();
    await clock.advance(0);
    assert.deepEqual(started, ['a', 'c', 'd', 'urgent', 'b']);
  });

  test('aborts a removed job; set again, it starts when the aborted run has ended', async (t) => {
    const { clock, schedule, started, aborted, next } = fixture(t, { hold: (n) => n === 'a' });
    next.set('a', 1);
    schedule.set('a', clock.now());
    schedule.set('b', clock.now() + 5);
    await clock.advance(0);
    schedule.remove('a');
    schedule.remove('b');
    await clock.advance(HOUR);
    assert.deepEqual([started, aborted], [['a'], ['a']]);
    schedule.set('a', clock.now());
    await clock.advance(0);
    schedule.remove('a');
    schedule.set('a', clock.now());
    assert.deepEqual(started, ['a', 'a']);
    await clock.advance(0);
    assert.deepEqual(started, ['a', 'a', 'a']);
  });

  test('notices within a minute that the wall clock was put forward', async (t) => {
    const { clock, schedule, started } = fixture(t);
    schedule.set('a', clock.now() + 30 * 24 * HOUR);
    await clock.advance(1);
    clock.jump(clock.now() + 40 * 24 * HOUR);
    await clock.advance(MINUTE);
    assert.deepEqual(started, ['a']);
  });

  test('keeps the rest of the waiting when the wall clock is put back', async (t) => {
    const { clock, schedule, started } = fixture(t);
    schedule.set('a', clock.now() + 2 * MINUTE);
    await clock.advance(1);
    const step = clock.now() + MINUTE;
    clock.jump(Date.parse('2016-01-01T00:00:00Z'));
    // A sleep under way ends by the monotonic clock; here, when the test clock comes by.
    schedule.set('wake', clock.now());
    await clock.advance(0);
    assert.deepEqual(started, ['wake']);
    assert.ok(clock.now() < step);
    await clock.advance(2 * MINUTE);
    assert.deepEqual(started, ['wake', 'a']);
  });

  test('ends with its jobs aborted and ended, those in the queue never begun', async (t) => {
    const { clock, schedule, started, aborted, controller, running } = fixture(t, {
      parallel: 1,
      hold: () => true,
    });
    schedule.set('a', clock.now());
    schedule.set('b', clock.now());
    await clock.advance(0);
    controller.abort();
    await running;
    assert.deepEqual([started, aborted], [['a'], ['a']]);
  });

  test('rejects when a job does, which is a fault of the program', async () => {
    const clock = new TestClock();
    const schedule = new Schedule({
      clock,
      lane: () => ({ key: 'ca', priority: 0 }),
      work: () => Promise.reject(new Error('broken')),
    });
    schedule.set('a', clock.now());
    await assert.rejects(schedule.run(new AbortController().signal), /broken/);
  });

  test('runs a thousand jobs, each at its time', async (t) => {
    const { clock, schedule, started, next } = fixture(t);
    const begin = clock.now();
    for (let n = 0; n < 1000; n += 1) {
      schedule.set(`d${n}`, begin + ((n * 7919) % 1000) * 100);
      next.set(`d${n}`, HOUR);
    }
    await clock.advance(50_000);
    assert.equal(started.length, 501);
    await clock.advance(50_000);
    assert.equal(new Set(started).size, 1000);
    assert.equal(started.length, 1000);
    await clock.advance(HOUR);
    assert.equal(started.length, 2000);
  });
});
