import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { TurnedAway } from './turned-away.ts';

test('who is turned away is counted, and told of once, each minute that it goes on, and at the end', async () => {
  const { clock, said, away } = turnedAway();
  const note = (times: number) => {
    for (let n = 0; n < times; n++) away.note('overload');
  };
  assert.equal(away.last, undefined);
  note(1000);
  assert.equal(away.last, clock.now());
  await clock.advance(59_000);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /^connections are refused: more handshakes wait/);
  note(30);
  await clock.advance(60_000);
  note(7);
  assert.equal(said.length, 2);
  assert.match(said[1] ?? '', /^1029 connections were refused within a minute: more/);
  await clock.advance(60_000);
  assert.match(said[2] ?? '', /^7 connections/);
  await clock.advance(60_000);
  assert.equal(said[3], 'connections are refused no more, 1037 were');
  await clock.advance(600_000);
  assert.equal(said.length, 4);
  assert.equal(clock.sleeping, 0);
  note(1);
  assert.equal(said.length, 5);
  assert.equal(away.counts.overload, 1038);
  for (const client of ['192.0.2.1', '192.0.2.2']) away.note('handshakes', client);
  assert.equal(said.length, 6);
  assert.match(said[5] ?? '', /192\.0\.2\.1 begins more .* ClientHandshakes/);
});

test('one that ends says how many there were, and waits for nothing more', async () => {
  const { clock, said, away } = turnedAway();
  for (let n = 0; n < 3; n++) away.note('overload');
  away[Symbol.dispose]();
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
  assert.equal(said[1], 'connections are refused no more, 3 were');
  away.note('overload');
  await clock.advance(0);
  assert.deepEqual([away.counts.overload, said.length], [4, 2]);
});

function turnedAway() {
  const clock = new TestClock();
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const away = new TurnedAway(clock, { ...silent('core'), warn: say, notice: say });
  return { clock, said, away };
}
