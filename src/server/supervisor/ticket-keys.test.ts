import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { settingsOf, virtualHost } from '../../http/settings.testing.ts';
import { TicketKeys } from './ticket-keys.ts';

const HOUR = 3_600_000;

function rotating(timeout = 300) {
  const host = virtualHost('a.test');
  const sessions = { ...host.tls.sessions, timeout };
  const settings = settingsOf({ hosts: [{ ...host, tls: { ...host.tls, sessions } }] });
  const clock = new TestClock();
  const ended = new AbortController();
  const keys = new TicketKeys();
  const told: (readonly Uint8Array[])[] = [keys.all];
  const done = keys.rotate({
    clock,
    signal: ended.signal,
    settings: () => settings,
    tell: (all) => told.push(all),
  });
  return { clock, ended, keys, told, done };
}

test('ticket keys: the next one is known before it encrypts, and the one before it for one period after', async () => {
  const { clock, ended, keys, told, done } = rotating();
  for (let hour = 0; hour < 3; hour++) await clock.advance(HOUR);
  ended.abort();
  await done;
  assert.equal(told.length, 4);
  assert.deepEqual(told.at(-1), keys.all);
  for (const [i, [current, next, previous]] of told.entries()) {
    const [before, after] = [told[i - 1], told[i + 1]];
    if (before) assert.deepEqual([current, previous], [before[1], before[0]]);
    if (after) assert.notDeepEqual(after[1], next);
  }
  assert.equal(new Set(told.flat().map((key) => Buffer.from(key).toString('hex'))).size, 6);
});

test('ticket keys live as long as the longest session', async () => {
  const { clock, ended, told, done } = rotating(3 * 3600);
  await clock.advance(2 * HOUR);
  assert.equal(told.length, 1);
  await clock.advance(HOUR);
  assert.equal(told.length, 2);
  ended.abort();
  await done;
  assert.equal(clock.sleeping, 0);
});
