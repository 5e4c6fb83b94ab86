import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { generateKey } from '../pki/keys.ts';
import type { Authorization, Order } from './client.ts';
import { pollAuthorization, pollOrder } from './poll.ts';

const url = 'https://ca.example/order/1';
const account = {
  url: 'https://ca.example/account/1',
  key: await generateKey({ type: 'EC', name: 'p-256' }),
};

/** A client whose order is `valid` from the nth question on, and the times at which it was asked. */
function orders(clock: TestClock, validFrom: number, retryAfter?: number) {
  const start = clock.now();
  const asked: number[] = [];
  const order = (): Promise<Order> => {
    asked.push((clock.now() - start) / 1000);
    const status = asked.length >= validFrom ? 'valid' : 'processing';
    return Promise.resolve({
      status,
      url,
      retryAfter,
      identifiers: [],
      authorizations: [],
      finalize: url,
      certificate: url,
      error: undefined,
      expires: undefined,
      profile: undefined,
    });
  };
  return { client: { order }, asked };
}

const until = ({ status }: { status: string }) => status === 'valid';

test('what is done already is asked for once', async () => {
  const clock = new TestClock();
  const { client, asked } = orders(clock, 1);
  assert.equal((await pollOrder(client, account, url, { until, clock })).status, 'valid');
  assert.deepEqual(asked, [0]);
});

test('without word from the CA it asks soon, then less and less often', async () => {
  const clock = new TestClock();
  const { client, asked } = orders(clock, 10);
  const polling = pollOrder(client, account, url, { until, clock });
  await clock.advance(60_000);
  await polling;
  assert.deepEqual(asked, [0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7, 22.7, 32.7]);
});

test('a CA that has only begun is given a moment first', async () => {
  const clock = new TestClock();
  const { client, asked } = orders(clock, 2);
  const polling = pollOrder(client, account, url, { until, clock, headStart: 250 });
  await clock.advance(60_000);
  await polling;
  assert.deepEqual(asked, [0.25, 0.35]);
});

test('Retry-After is obeyed, and at least a second', async () => {
  for (const [retryAfter, times] of [
    [20_000, [0, 20, 40]],
    [0, [0, 1, 2]],
  ] as const) {
    const clock = new TestClock();
    const { client, asked } = orders(clock, 3, retryAfter);
    const polling = pollOrder(client, account, url, { until, clock });
    await clock.advance(60_000);
    await polling;
    assert.deepEqual(asked, times);
  }
});

test('it gives up by name before its time is over, with the wait that was due', async () => {
  const clock = new TestClock();
  const { client, asked } = orders(clock, 100, 4000);
  const polling = assert.rejects(pollOrder(client, account, url, { until, clock, timeout: 10_000 }), {
    code: 'acme-pending',
    retryAfter: 4000,
    message: /is still processing/,
  });
  await clock.advance(60_000);
  await polling;
  assert.deepEqual(asked, [0, 4, 8]);
  const patient = orders(clock, 100, 3_600_000);
  await assert.rejects(pollOrder(patient.client, account, url, { until, clock }), { retryAfter: 3_600_000 });
  assert.equal(clock.sleeping, 0);
});

test('a wall clock that jumps neither ends nor prolongs it', async () => {
  const clock = new TestClock();
  const { client, asked } = orders(clock, 3);
  const polling = pollOrder(client, account, url, { until, clock, timeout: 10_000 });
  await clock.advance(1000);
  clock.jump(clock.now() + 365 * 24 * 3_600_000);
  await clock.advance(10_000);
  await polling;
  assert.equal(asked.length, 3);
});

test('an abort ends the waiting', async () => {
  const clock = new TestClock();
  const controller = new AbortController();
  const { client } = orders(clock, 100);
  const polling = assert.rejects(
    pollOrder(client, account, url, { until, clock, signal: controller.signal }),
    {
      message: 'enough',
    },
  );
  await clock.advance(2000);
  controller.abort(new Error('enough'));
  await polling;
  assert.equal(clock.sleeping, 0);
});

test('authorizations are polled likewise, and a failure of the client is passed on', async () => {
  const clock = new TestClock();
  const authorization = () =>
    Promise.resolve({ status: 'invalid', challenges: [] } as unknown as Authorization);
  const seen = await pollAuthorization({ authorization }, account, url, {
    until: (it) => it.status !== 'pending',
    clock,
  });
  assert.equal(seen.status, 'invalid');
  const broken = { authorization: () => Promise.reject(new Error('broken')) };
  await assert.rejects(pollAuthorization(broken, account, url, { until, clock }), { message: 'broken' });
});
