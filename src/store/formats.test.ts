import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDate, formatKeySpecs, formatSpan, parseDate, parseKeySpecs, parseSpan } from './formats.ts';

test('dates are RFC 822 in GMT, to the second', () => {
  assert.equal(formatDate(Date.UTC(2019, 7, 29, 16, 6, 35)), 'Thu, 29 Aug 2019 16:06:35 GMT');
  const latest = Date.UTC(9999, 11, 31);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: latest / 1000 }), (s) => {
      assert.equal(parseDate(formatDate(s * 1000)), s * 1000);
    }),
  );
});

test('what is no such date is undefined', () => {
  const bad = [
    '',
    'now',
    '2019-08-29T16:06:35Z',
    'Thu, 29 Aug 2019 16:06:35 CET',
    'Thu, 39 Aug 2019 99:06:35 GMT',
  ];
  for (const text of bad) assert.equal(parseDate(text), undefined, text);
  assert.equal(parseDate(undefined), undefined);
});

test('lengths are written in the largest exact unit', () => {
  assert.equal(formatSpan({ percent: 33 }), '33%');
  assert.equal(formatSpan({ ms: 14 * 86_400_000 }), '14d');
  assert.equal(formatSpan({ ms: 12 * 3_600_000 }), '12h');
  assert.equal(formatSpan({ ms: 90 * 60_000 }), '90mi');
  assert.equal(formatSpan({ ms: 61_000 }), '61s');
  assert.equal(formatSpan({ ms: 1500 }), '1500ms');
  assert.equal(formatSpan({ ms: 0 }), '0s');
});

test('lengths are read as they are written, and a number alone counts days', () => {
  assert.deepEqual(parseSpan('30'), { ms: 30 * 86_400_000 });
  for (const text of ['', 'x', '-1d', '1.5d', '3w', '9'.repeat(20)]) assert.equal(parseSpan(text), undefined);
  const span = fc.oneof(
    fc.record({ percent: fc.integer({ min: 0, max: 99 }) }),
    fc.record({ ms: fc.integer({ min: 0, max: 1e13 }) }),
  );
  fc.assert(fc.property(span, (value) => assert.deepEqual(parseSpan(formatSpan(value)), { ...value })));
});

test('one key is an object and several are an array, as mod_md has them', () => {
  const [rsa, ec] = [{ type: 'RSA', bits: 3072 } as const, { type: 'EC', name: 'secp384r1' } as const];
  assert.deepEqual(formatKeySpecs([rsa]), { type: 'RSA', bits: 3072 });
  assert.deepEqual(formatKeySpecs([ec, rsa]), [{ type: 'EC', curve: 'secp384r1' }, rsa]);
  for (const specs of [[], [rsa], [ec], [ec, rsa]]) {
    assert.deepEqual(parseKeySpecs(formatKeySpecs(specs)), specs);
  }
  assert.deepEqual(parseKeySpecs(undefined), []);
  assert.deepEqual(parseKeySpecs([{ type: 'Default' }, { type: 'DSA' }, { type: 'EC' }]), [
    { type: 'RSA', bits: 2048 },
  ]);
});
