import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TestClock } from '../base/clock.testing.ts';
import { type FailedHandshake, FailedHandshakes } from './failed-handshakes.ts';
import { handshake, openLatchkey } from './library.testing.ts';

test('a handshake that fails is an event, with who it was and what they wanted', async () => {
  await using latchkey = await openLatchkey({ tls: { minVersion: 'TLSv1.3' } });
  const { port } = await latchkey.listen(() => {});
  await latchkey.ready();
  const failed = async (attempt: () => void) => {
    const heard = once(latchkey, 'handshake:failed') as Promise<[FailedHandshake]>;
    attempt();
    return (await heard)[0];
  };
  const shaking = (options: object) => () => void handshake(port, options).catch(() => {});
  assert.deepEqual(await failed(shaking({ servername: 'other.example' })), {
    address: '127.0.0.1',
    name: 'other.example',
    reason: 'unrecognized_name for other.example',
    omitted: 0,
  });
  const old = await failed(shaking({ servername: 'example.org', maxVersion: 'TLSv1.2' }));
  assert.equal(old.name, 'example.org');
  assert.match(old.reason, /unsupported protocol/);
  const plain = await failed(() =>
    connect(port, '127.0.0.1')
      .on('error', () => {})
      .end('nonsense'),
  );
  assert.deepEqual([plain.name, plain.reason], [undefined, 'it does not speak TLS']);
});

test('of a flood a few are told each second, and how many were not', async () => {
  const clock = new TestClock();
  const told: FailedHandshake[] = [];
  const failures = new FailedHandshakes(clock, (failed) => void told.push(failed));
  const note = async (times: number) => {
    for (let n = 0; n < times; n++) failures.note({ address: '192.0.2.1', name: undefined, reason: 'x' });
    await turn();
    return told.splice(0).map(({ omitted }) => omitted);
  };
  assert.deepEqual(
    await note(1000),
    Array.from({ length: 20 }, () => 0),
  );
  await clock.advance(100);
  assert.deepEqual(await note(3), [980]);
  await clock.advance(60_000);
  assert.deepEqual(await note(21), [2, ...Array.from({ length: 19 }, () => 0)]);
});

test('who is told may throw: it is not told within the handshake', async () => {
  const told: FailedHandshake[] = [];
  const failures = new FailedHandshakes(new TestClock(), (failed) => void told.push(failed));
  failures.note({ address: '', name: undefined, reason: 'x' });
  assert.equal(told.length, 0);
  await turn();
  assert.equal(told.length, 1);
});
