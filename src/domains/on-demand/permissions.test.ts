import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TestClock } from '../../base/clock.testing.ts';
import { AskService } from './ask-service.testing.ts';
import { Permissions } from './permissions.ts';

async function asking(timeout?: number) {
  const service = await AskService.start();
  const clock = new TestClock();
  const permissions = new Permissions({ ask: service.url, clock, timeout });
  return {
    service,
    clock,
    permissions,
    of: async (name: string, client?: string) => (await permissions.of(name, client)).kind,
    async [Symbol.asyncDispose]() {
      await permissions[Symbol.asyncDispose]();
      await service[Symbol.asyncDispose]();
    },
  };
}

suite('permission for a name', () => {
  test('is asked for with name and client, the query of the URL kept', async () => {
    await using at = await asking();
    at.service.permit('a.example');
    assert.equal(await at.of('a.example', '2001:db8::1'), 'yes');
    assert.equal(await at.of('b.example'), 'no');
    assert.equal(await at.of('c.example', '::ffff:192.0.2.1'), 'no');
    assert.deepEqual(at.service.asked, [
      '/ask?token=secret&domain=a.example&client=2001%3Adb8%3A%3A1',
      '/ask?token=secret&domain=b.example',
      '/ask?token=secret&domain=c.example&client=192.0.2.1',
    ]);
  });

  test('is asked for once, however many want to know', async () => {
    await using at = await asking();
    at.service.permit('a.example');
    const all = await Promise.all(Array.from({ length: 500 }, () => at.of('a.example')));
    assert.deepEqual([...new Set(all)], ['yes']);
    assert.equal(at.service.asked.length, 1);
  });

  test('counts ten minutes, a refusal one', async () => {
    await using at = await asking();
    at.service.permit('a.example');
    await at.of('a.example');
    await at.of('b.example');
    at.service.permit('b.example');
    await at.clock.advance(59_000);
    assert.deepEqual([await at.of('a.example'), await at.of('b.example')], ['yes', 'no']);
    await at.clock.advance(2000);
    assert.deepEqual([await at.of('a.example'), await at.of('b.example')], ['yes', 'yes']);
    assert.equal(at.service.asked.length, 3);
    await at.clock.advance(600_000);
    at.service.forbid('a.example');
    assert.equal(await at.of('a.example'), 'no');
  });

  for (const [status, kind] of [
    [200, 'yes'],
    [204, 'yes'],
    [302, 'unknown'],
    [400, 'no'],
    [404, 'no'],
    [429, 'unknown'],
    [500, 'unknown'],
  ] as const) {
    test(`by status ${status}: ${kind}`, async () => {
      await using at = await asking();
      at.service.behaviour = { status };
      assert.equal(await at.of('a.example'), kind);
    });
  }

  for (const behaviour of ['silent', 'garbage', 'cut', { status: 503 }] as const) {
    const title = typeof behaviour === 'string' ? behaviour : 'out of order';
    test(`once given outlives a service that is ${title}, for a week and not longer`, async () => {
      await using at = await asking(200);
      at.service.permit('a.example');
      // On a busy machine an answer may take longer than that.
      while ((await at.of('a.example')) !== 'yes') await at.clock.advance(5000);
      at.service.behaviour = behaviour;
      await at.clock.advance(3_600_000);
      assert.equal(await at.of('a.example'), 'yes');
      assert.equal(await at.of('new.example'), 'unknown');
      await at.clock.advance(7 * 86_400_000);
      assert.equal(await at.of('a.example'), 'unknown');
    });
  }

  test('is asked for once more where the service ends a kept connection as it is used', async () => {
    await using at = await asking();
    at.service.permit('a.example', 'b.example');
    await at.of('a.example');
    // Its connection counts as free from then on.
    await turn();
    at.service.behaviour = 'cut once';
    assert.equal(await at.of('b.example'), 'yes');
    assert.equal(at.service.count('b.example'), 2);
  });

  test('is not given by an endless answer alone, and its end is not waited for', async () => {
    await using at = await asking();
    at.service.behaviour = 'endless';
    assert.equal(await at.of('a.example'), 'yes');
  });

  test('is asked for so many names at a time, others have to come again', async () => {
    await using at = await asking(500);
    at.service.behaviour = 'silent';
    const answers = Array.from({ length: 1000 }, (_, n) => at.permissions.of(`n${n}.example`));
    const refused = await Promise.all(answers.slice(300));
    assert.ok(refused.every(({ kind }) => kind === 'unknown'));
    assert.ok(at.service.asked.length <= 16);
  });
});
