import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDate, formatKeySpecs, formatSpan, parseDate, parseKeySpecs } from './formats.ts';

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
