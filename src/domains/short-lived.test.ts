/** Certificates of six days: everything goes by their life, whatever lengths of time are configured for others. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { DAY, settings, until } from './domains.testing.ts';
import { fixture, type Fixture, idle, statusOf } from './engine.testing.ts';
import { ownProblem, RenewalError, type RenewalInfo } from './issuer.ts';
import type { ManagedDomainSettings } from './settings.ts';

const NAME = 'a.example';
const HOUR = 60 * 60 * 1000;
const LIFE = 6 * DAY;

async function withCertificate(over: Partial<ManagedDomainSettings> = {}): Promise<Fixture> {
  const f = fixture([settings(NAME, { renewViaAri: false, ...over })]);
  f.issuer.life = LIFE;
  f.engine.start();
  await until(() => f.activations === 1);
  await idle(f);
  return f;
}

/** Steps in which the regular checks and retries have their turns. */
async function pass(f: Fixture, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= HOUR) {
    await f.clock.advance(Math.min(left, HOUR));
    await idle(f);
  }
}

suite('a certificate of six days', () => {
  for (const [what, renewWindow, share] of [
    ['a third of its life is left', { percent: 33 }, 0.67],
    ['half is left where thirty days are configured', { ms: 30 * DAY }, 0.5],
  ] as const) {
    test(`is renewed when ${what}`, async () => {
      await using f = await withCertificate({ renewWindow });
      const start = f.issuer.runs[0]?.at ?? 0;
      assert.equal(statusOf(f.engine, NAME).renewAt, start + LIFE * share);
      await pass(f, LIFE * share - HOUR);
      assert.equal(f.activations, 1);
      await pass(f, 2 * HOUR);
      assert.equal(f.activations, 2);
    });
  }

  for (const [what, warnWindow, share] of [
    ['a tenth of its life is left', { percent: 10 }, 0.9],
    ['half is left where fourteen days are configured', { ms: 14 * DAY }, 0.5],
  ] as const) {
    test(`that can't be renewed is warned of when ${what}`, async () => {
      await using f = await withCertificate({ warnWindow });
      f.issuer.script = () => {
        throw new RenewalError(ownProblem('down', 'the CA is down'));
      };
      const warned = () => f.log.some((line) => line.includes('has not been renewed'));
      await pass(f, LIFE * share - HOUR);
      assert.equal(warned(), false);
      await pass(f, 2 * HOUR);
      assert.equal(warned(), true);
    });
  }

  test('is renewed when its CA says, and its successor not before a quarter of its life or six hours', async () => {
    const f = fixture([settings(NAME)]);
    await using _closed = f;
    f.issuer.life = LIFE;
    let info: Partial<RenewalInfo> = {};
    const start = f.clock.now();
    const window = { start: start + 2 * DAY, end: start + 2 * DAY + 1, explanationURL: undefined };
    Object.assign(f.issuer, { renewalInfo: () => Promise.resolve({ ...window, ...info }) });
    f.engine.start();
    await until(() => f.activations === 1);
    await pass(f, 2 * DAY - HOUR);
    assert.equal(f.activations, 1);
    await pass(f, 2 * HOUR);
    assert.equal(f.activations, 2);
    // A CA that wants everything renewed at once, always, gets one order in six hours and no more.
    info = { start: 0, end: 1 };
    await pass(f, DAY);
    assert.ok(f.activations >= 4 && f.activations <= 6, String(f.activations));
  });
});
