import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { AcmeError } from '../../acme/errors.ts';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import type { CertificateInfo } from '../../pki/certificate.ts';
import { advisedTime, drawMoment, leastAge } from './advice.ts';
import { Advisor } from './advisor.ts';
import { DAY, settings, until } from '../domains.testing.ts';
import type { RenewalInfo } from '../issuer.ts';
import { assess, windowStart } from '../state.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const now = Date.parse('2026-11-22T06:00:00Z');

function certificate(sha256: string, life = 90 * DAY): CertificateInfo {
  const [notBefore, notAfter] = [now, now + life];
  return {
    serial: '01',
    notBefore,
    notAfter,
    names: ['a.example'],
    issuerName: '',
    sha256,
    keyType: 'ec',
    pem: '',
    renewalId: undefined,
  };
}

type Answer = Partial<RenewalInfo> | Error | undefined;

/** An advisor whose CA answers as told; the last answer stays. */
function fixture(...answers: Answer[]) {
  const clock = new TestClock();
  const stop = new AbortController();
  const asked: { readonly sha256: string; readonly at: number }[] = [];
  let changes = 0;
  let atOnce = 0;
  const advisor = new Advisor({
    clock,
    logger: silent('md'),
    random: () => 0.5,
    lane: () => 'ca',
    changed: () => (changes += 1),
    ask: async (_name, { sha256 }) => {
      assert.equal((atOnce += 1), 1, 'one question at a time');
      await new Promise((resolve) => setImmediate(resolve));
      asked.push({ sha256, at: clock.now() });
      atOnce -= 1;
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer instanceof Error) throw answer;
      const window = { start: now + 59 * DAY, end: now + 61 * DAY, explanationURL: undefined };
      return answer && { ...window, ...answer };
    },
  });
  const running = advisor.run(stop.signal);
  return {
    advisor,
    clock,
    asked,
    changes: () => changes,
    ari: (sha256: string) => advisor.adviceOn('a.example', { sha256 })?.ari,
    /** Runs until there have been so many questions, and gives the time between the last two, in whole minutes. */
    pause: async () => {
      const [count, before] = [asked.length, asked.at(-1)?.at ?? clock.now()];
      while (asked.length === count) {
        await clock.advance(MINUTE);
        await until(() => atOnce === 0);
        if (clock.now() - before > 2 * DAY) throw new Error('nobody asks any more');
      }
      return Math.round(((asked.at(-1)?.at ?? 0) - before) / MINUTE) * MINUTE;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

suite('the moment of a renewal', () => {
  test('is one of the window, whatever the window, and stays while the window does', () => {
    const instant = fc.integer({ min: -8.64e15, max: 8.64e15 });
    fc.assert(
      fc.property(
        instant,
        instant,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (a, b, random) => {
          const info = { start: Math.min(a, b), end: Math.max(a, b) + 1, explanationURL: undefined };
          const first = drawMoment(info, undefined, () => random);
          assert.ok(first.renewAt >= info.start && first.renewAt <= info.end);
          assert.equal(drawMoment(info, first, () => 1 - random).renewAt, first.renewAt);
        },
      ),
    );
  });

  test('is never so late that MDWarnWindow begins before', () => {
    const info = certificate('aa');
    const domain = settings('a.example');
    const latest = Math.max(windowStart(info, domain.renewWindow), windowStart(info, domain.warnWindow));
    const at = (start: number) => {
      const window = { start, end: start + HOUR };
      return advisedTime({ ari: { window, renewAt: start, explanationUrl: undefined } }, latest);
    };
    assert.equal(at(now + 70 * DAY), now + 70 * DAY);
    assert.equal(at(now + 85 * DAY), now + 81 * DAY);
    assert.equal(at(8.64e15), now + 81 * DAY);
    assert.equal(at(-8.64e15), -8.64e15);
    assert.equal(advisedTime({}, latest), undefined);
  });

  test('moved into the past it is now, but for successors of what was replaced so it has time', () => {
    const info = certificate('aa');
    const ari = { window: { start: 0, end: 1 }, renewAt: 0, explanationUrl: 'https://ca.example/why' };
    const held = new Map([['.p-256', { info, key: undefined as never, chain: [] }]]);
    const judged = (notBefore?: number) =>
      assess(settings('a.example'), held, now + HOUR, () => ({ ari, notBefore }));
    assert.deepEqual(judged().reasons, [
      'the CA wants it renewed between Thu, 01 Jan 1970 00:00:00 GMT and Thu, 01 Jan 1970 00:00:00 GMT: https://ca.example/why',
    ]);
    assert.deepEqual([judged().advised, judged().renewAt], [true, 0]);
    const patient = judged(leastAge(info, now));
    assert.deepEqual([patient.reasons, patient.renewAt], [[], now + 6 * HOUR]);
    assert.equal(leastAge(certificate('bb', 4 * HOUR), now), now + HOUR);
  });
});

suite('the advisor', () => {
  test('asks again when the CA says, within reason', async () => {
    await using f = fixture({}, { retryAfter: 2 * HOUR }, { retryAfter: 0 }, { retryAfter: 30 * DAY });
    f.advisor.watch('a.example', [certificate('aa')]);
    await f.pause();
    assert.equal(await f.pause(), 6 * HOUR);
    assert.equal(await f.pause(), 2 * HOUR);
    assert.equal(await f.pause(), MINUTE);
    assert.equal(await f.pause(), DAY);
    assert.equal(f.changes(), 1, 'the window has stayed');
    assert.equal(f.ari('aa')?.renewAt, now + 60 * DAY);
  });

  test('hears of a window that is moved', async () => {
    await using f = fixture({}, { start: 0, end: 1, explanationURL: 'https://ca.example/why' });
    f.advisor.watch('a.example', [certificate('aa')]);
    await f.pause();
    await f.pause();
    assert.equal(f.changes(), 2);
    assert.deepEqual(f.ari('aa'), {
      window: { start: 0, end: 1 },
      renewAt: 0,
      explanationUrl: 'https://ca.example/why',
    });
  });

  test('asks again soon after what passes, and ever less often; as usual after a refusal or nonsense', async () => {
    const ill = new AcmeError('acme-unavailable', 'ill');
    const limited = new AcmeError('acme-rate-limited', 'slower', { retryAfter: 3 * HOUR });
    const refused = new AcmeError('acme-problem', 'no', { httpStatus: 404 });
    const nonsense = new AcmeError('acme-invalid-response', 'HTML');
    await using f = fixture({}, ill, ill, ill, limited, refused, nonsense, {});
    f.advisor.watch('a.example', [certificate('aa')]);
    await f.pause();
    const pauses: number[] = [];
    for (let n = 0; n < 7; n += 1) pauses.push(await f.pause());
    assert.deepEqual(
      pauses,
      [6, 1 / 60, 2 / 60, 4 / 60, 3, 6, 6].map((hours) => hours * HOUR),
    );
    assert.equal(f.ari('aa')?.renewAt, now + 60 * DAY, 'what was known stays');
  });

  test('asks once a day where the CA has no such service', async () => {
    await using f = fixture(undefined);
    f.advisor.watch('a.example', [certificate('aa')]);
    await f.pause();
    assert.equal(await f.pause(), DAY);
    assert.equal(f.changes(), 0);
  });

  test('keeps nothing of a certificate that was replaced, and asks for its successor', async () => {
    await using f = fixture({ start: 0, end: 1 });
    f.advisor.watch('a.example', [certificate('aa')]);
    await f.pause();
    f.advisor.watch('a.example', [certificate('bb')]);
    assert.deepEqual([f.ari('aa'), f.ari('bb')], [undefined, undefined]);
    await f.pause();
    assert.equal(f.asked.at(-1)?.sha256, 'bb');
    // Replaced as the CA wished: the next such wish has time.
    const { notBefore = 0 } = f.advisor.adviceOn('a.example', { sha256: 'bb' }) ?? {};
    assert.ok(notBefore >= now + 6 * HOUR);
  });

  test('is told of a revocation once, and forgets domains that are no more', async () => {
    await using f = fixture({});
    f.advisor.watch('a.example', [certificate('aa')]);
    f.advisor.revoke('a.example', 'aa', 'its OCSP responder said');
    f.advisor.revoke('a.example', 'aa', 'its CRL says');
    f.advisor.revoke('a.example', 'bb', 'who knows');
    assert.equal(f.changes(), 1);
    assert.equal(f.advisor.adviceOn('a.example', { sha256: 'aa' })?.revoked, 'its OCSP responder said');
    f.advisor.forget('a.example');
    assert.equal(f.advisor.adviceOn('a.example', { sha256: 'aa' }), undefined);
    await assert.rejects(f.pause(), /nobody asks/);
  });
});
