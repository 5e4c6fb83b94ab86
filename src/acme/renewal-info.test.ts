/** What a CA says about when to renew (RFC 9773), of whatever kind. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { assert as check, asyncProperty, jsonValue, oneof, record } from 'fast-check';
import { AcmeClient } from './client.ts';
import { AcmeError } from './errors.ts';
import { reply, type Reply, startHostileCa } from './hostile-ca.testing.ts';

const [start, end] = ['2026-12-01T00:00:00Z', '2026-12-02T00:00:00Z'];

async function asking(t: TestContext) {
  const ca = await startHostileCa();
  const client = new AcmeClient({ directoryUrl: ca.directoryUrl, timeout: 5000 });
  t.after(async () => {
    await client[Symbol.asyncDispose]();
    await ca[Symbol.asyncDispose]();
  });
  return (answer: Reply) => {
    ca.next('renewalInfo', answer);
    return client.renewalInfo('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
  };
}

test('windows in the far past and future are taken as they are, odd explanations are left out', async (t) => {
  const ask = await asking(t);
  for (const [from, to] of [
    [start, end],
    ['0001-01-01T00:00:00Z', '0001-01-02T00:00:00Z'],
    ['9999-01-01T00:00:00Z', '9999-12-31T00:00:00Z'],
  ] as const) {
    for (const explanationURL of ['javascript:alert(1)', 7, `https://ca.example/${'x'.repeat(3000)}`]) {
      const info = await ask(reply.json({ suggestedWindow: { start: from, end: to }, explanationURL }));
      assert.deepEqual([info?.start, info?.end], [Date.parse(from), Date.parse(to)]);
      assert.equal(info?.explanationURL, undefined);
    }
  }
});

test('what is no window is refused by name, huge or small', async (t) => {
  const ask = await asking(t);
  const garbage: readonly Reply[] = [
    reply.html(),
    reply.raw('', 'application/json'),
    reply.raw('{"suggestedWindow":', 'application/json'),
    reply.raw(`[${'0,'.repeat(2_000_000)}0]`, 'application/json'),
    reply.cut,
    reply.json(null),
    reply.json({}),
    reply.json({ suggestedWindow: [] }),
    reply.json({ suggestedWindow: { start } }),
    reply.json({ suggestedWindow: { start: end, end: start } }),
    reply.json({ suggestedWindow: { start, end: start } }),
    reply.json({ suggestedWindow: { start: 'soon', end } }),
    reply.json({ suggestedWindow: { start: 0, end: 1 } }),
    reply.json({ suggestedWindow: { start, end: '+999999-01-01T00:00:00Z' } }),
    reply.problem('malformed', 404),
  ];
  for (const [index, answer] of garbage.entries()) {
    await assert.rejects(ask(answer), AcmeError, `${index}`);
  }
});

test('any JSON is a window or refused', async (t) => {
  const ask = await asking(t);
  const anything = oneof(jsonValue(), record({ suggestedWindow: jsonValue() }));
  const property = asyncProperty(anything, async (json) => {
    const info = await ask(reply.json(json)).catch((error: unknown) => {
      assert.ok(error instanceof AcmeError, String(error));
      return undefined;
    });
    assert.ok(info === undefined || info.start < info.end);
  });
  await check(property, { numRuns: 50 });
});
