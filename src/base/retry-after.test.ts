import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseRetryAfter } from './retry-after.ts';

const now = Date.parse('2026-11-22T06:00:00Z');
const MONTH = 30 * 24 * 60 * 60 * 1000;

test('seconds and HTTP dates, new and old, are times to wait', () => {
  assert.equal(parseRetryAfter('120', now), 120_000);
  assert.equal(parseRetryAfter(' 0 ', now), 0);
  assert.equal(parseRetryAfter('Sun, 22 Nov 2026 06:00:30 GMT', now), 30_000);
  assert.equal(parseRetryAfter('Sunday, 22-Nov-26 06:00:30 GMT', now), 30_000);
});

test('the past is now, and the far future a month', () => {
  assert.equal(parseRetryAfter('Sun, 22 Nov 2020 06:00:00 GMT', now), 0);
  assert.equal(parseRetryAfter('Sun, 22 Nov 2099 06:00:00 GMT', now), MONTH);
  assert.equal(parseRetryAfter('9'.repeat(400), now), MONTH);
});

test('what is neither is nothing', () => {
  for (const text of [
    undefined,
    '',
    ' ',
    '-1',
    '1.5',
    '1e3',
    'soon',
    '2026-11-22',
    'Sun',
    'Monday 99',
    'Sun Nov 22 06:00:30 2026',
  ]) {
    assert.equal(parseRetryAfter(text, now), undefined, text);
  }
});

test('any text is nothing or a time within bounds', () => {
  const text = fc.oneof(
    fc.string(),
    fc.string().map((rest) => `Mon, ${rest} GMT`),
    fc.nat().map(String),
  );
  fc.assert(
    fc.property(text, (text) => {
      const ms = parseRetryAfter(text, now);
      assert(ms === undefined || (ms >= 0 && ms <= MONTH));
    }),
  );
});
