import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { watchDescriptors } from './descriptors.ts';

test('that no descriptor is left is told once a minute, until one is', async () => {
  const clock = new TestClock();
  const stop = new AbortController();
  const said: string[] = [];
  const logger = { ...silent('core'), error: (line: string) => void said.push(line) };
  let error: unknown;
  const probe = () => {
    if (error) throw error;
  };
  const watch = watchDescriptors({ clock, logger, signal: stop.signal, probe });
  await clock.advance(10_000);
  assert.deepEqual(said, []);
  error = Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
  await clock.advance(59_000);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /limit of open files \(\d+\).*LimitNOFILE/);
  await clock.advance(60_000);
  assert.equal(said.length, 2);
  error = undefined;
  await clock.advance(120_000);
  assert.equal(said.length, 2);
  stop.abort();
  await watch;
});

test('the last descriptor is missed in a real process', () => {
  const program = `
    import { openSync } from 'node:fs';
    import { watchDescriptors } from ${JSON.stringify(new URL('descriptors.ts', import.meta.url).href)};
    const stop = new AbortController();
    const clock = { now: () => 0, sleep: async () => {} };
    const watch = watchDescriptors({ clock, signal: stop.signal, logger: { error: (line) => { process.stdout.write(line); stop.abort(); } } });
    try { for (;;) openSync('/dev/null'); } catch {}
    await watch;`;
  const args = ['-c', 'ulimit -n 100; exec "$0" --input-type=module -e "$1"', process.execPath, program];
  const { stdout, stderr } = spawnSync('/bin/sh', args, { encoding: 'utf8', timeout: 20_000 });
  assert.match(stdout, /limit of open files \(100\)/, stderr);
});
