import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizeAddress } from './addresses.ts';

test('addresses are compared in one spelling', () => {
  assert.equal(normalizeAddress('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(normalizeAddress('::FFFF:c000:0201'), '192.0.2.1');
  assert.equal(normalizeAddress('0:0:0:0:0:ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(normalizeAddress('[2001:DB8:0:0::1]'), '2001:db8::1');
  assert.equal(normalizeAddress('fe80::1%eth0'), 'fe80::1');
});
