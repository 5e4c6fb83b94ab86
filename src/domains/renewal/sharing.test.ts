import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { Sharing } from './sharing.ts';

const leases = { take: async () => undefined, takeWithin: async () => undefined, changed: async () => [] };

test('what another server has renewed is adopted at the next look if it could not be at once', async () => {
  const failures = [new Error('the supervisor is away')];
  const adopted: string[] = [];
  const sharing = new Sharing({
    leases,
    clock: new TestClock(),
    logger: silent('md'),
    adopt: async (name) => {
      const failure = failures.shift();
      if (failure) throw failure;
      adopted.push(name);
    },
  });
  await sharing.found('a.example', ['01']);
  await assert.rejects(sharing.found('a.example', ['02']), /away/);
  await sharing.found('a.example', ['02']);
  await sharing.found('a.example', ['02']);
  assert.deepEqual(adopted, ['a.example']);
});
