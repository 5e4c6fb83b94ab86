import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressOfReverseName, isLoopbackHost, normalizeAddress } from './addresses.ts';

test('addresses are compared in one spelling', () => {
  assert.equal(normalizeAddress('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(normalizeAddress('::FFFF:c000:0201'), '192.0.2.1');
  assert.equal(normalizeAddress('0:0:0:0:0:ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(normalizeAddress('[2001:DB8:0:0::1]'), '2001:db8::1');
  assert.equal(normalizeAddress('fe80::1%eth0'), 'fe80::1');
});

test('a Host header names the loopback by address or as localhost', () => {
  for (const host of ['localhost', 'LOCALHOST:8888', '127.0.0.1:80', '127.1', '[::1]:1', 'store.localhost']) {
    assert.equal(isLoopbackHost(host), true, host);
  }
  for (const host of [
    undefined,
    '',
    'example.org',
    'localhost.example.org:80',
    '192.0.2.1',
    '127.0.0.1.example.org',
    'localhost@example.org',
    'example.org/localhost',
    'notlocalhost',
  ]) {
    assert.equal(isLoopbackHost(host), false, host);
  }
});

test('reverse names stand for addresses', () => {
  assert.equal(addressOfReverseName('1.2.0.192.in-addr.arpa'), '192.0.2.1');
  assert.equal(addressOfReverseName('1.2.0.192.IN-ADDR.ARPA.'), '192.0.2.1');
  const zeros = '0.'.repeat(23);
  assert.equal(addressOfReverseName(`1.${zeros}8.b.d.0.1.0.0.2.ip6.arpa`), '2001:db8::1');
  for (const none of [
    'a.example',
    '2.0.192.in-addr.arpa',
    '1.2.0.999.in-addr.arpa',
    '1.in-addr.arpa.example',
  ]) {
    assert.equal(addressOfReverseName(none), undefined, none);
  }
});
