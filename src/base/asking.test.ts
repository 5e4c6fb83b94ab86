import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { LatchkeyError } from './errors.ts';
import { askAgainIfCutOff, sharedLookup, unlessAborted } from './asking.ts';

suite('a question', () => {
  test('ends with its signal, whatever it waits for', async () => {
    const never = new Promise<string>(() => {});
    const stop = new AbortController();
    const asked = unlessAborted(never, stop.signal);
    stop.abort(new Error('too late'));
    await assert.rejects(asked, { message: 'too late' });
    await assert.rejects(unlessAborted(never, stop.signal), { message: 'too late' });
    assert.equal(await unlessAborted(Promise.resolve('yes'), new AbortController().signal), 'yes');
  });

  test('is put once more if a kept connection was cut off, and at no other failure', async () => {
    const failing = async (code: string, connects: boolean) => {
      let [asked, connections] = [0, 1];
      const ask = async () => {
        asked++;
        if (connects) connections++;
        throw new LatchkeyError(code, code);
      };
      await assert.rejects(
        askAgainIfCutOff(ask, () => connections),
        { code },
      );
      return asked;
    };
    assert.equal(await failing('ECONNRESET', false), 2);
    assert.equal(await failing('UND_ERR_SOCKET', false), 2);
    assert.equal(await failing('ECONNRESET', true), 1);
    assert.equal(await failing('ECONNREFUSED', false), 1);
  });
});

test('look-ups of a name share one answer, or one failure', async () => {
  const lookup = sharedLookup();
  const look = (all: boolean) =>
    new Promise((resolve) => {
      lookup('localhost', { all }, (...outcome) => resolve(outcome));
    });
  const [list, one] = (await Promise.all([look(true), look(false)])) as [unknown[], unknown[]];
  assert.equal(list[0], null);
  assert.ok(Array.isArray(list[1]));
  assert.match(String(one[1]), /^(?:127\.0\.0\.1|::1)$/);
});
