import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { baseName, isLocalhost, isWildcard, readIdentifier, reverseName } from './identifiers.ts';

test('host names, wildcards, single labels and addresses are identifiers', () => {
  const read = (type: string, value: string) => {
    const identifier = readIdentifier(type, value);
    return 'wrong' in identifier ? undefined : identifier.value;
  };
  assert.equal(read('dns', 'WWW.Example.org'), 'www.example.org');
  assert.equal(read('dns', '*.example.org'), '*.example.org');
  assert.equal(read('dns', 'localhost'), 'localhost');
  assert.equal(read('dns', 'xn--bcher-kva.example'), 'xn--bcher-kva.example');
  assert.equal(read('ip', '127.0.0.1'), '127.0.0.1');
  assert.equal(read('ip', '2001:DB8:0::1'), '2001:db8::1');
});

for (const [type, value, wrong] of [
  ['dns', '', /1 to 253/],
  ['dns', `${'a.'.repeat(126)}aa`, /1 to 253/],
  ['dns', '127.0.0.1', /type ip/],
  ['dns', '::1', /type ip/],
  ['dns', 'a.1', /not a number/],
  ['dns', 'a..b', /not a host name/],
  ['dns', 'a.', /not a host name/],
  ['dns', '-a.b', /not a host name/],
  ['dns', 'a_b.c', /not a host name/],
  ['dns', 'a\u0000.b', /not a host name/],
  ['dns', 'bücher.example', /not a host name/],
  ['dns', `${'a'.repeat(64)}.b`, /not a host name/],
  ['dns', 'a.*.b', /leftmost/],
  ['dns', '*.*.b', /leftmost/],
  ['dns', '*a.b', /leftmost/],
  ['dns', '*', /leftmost/],
  ['ip', 'localhost', /not an IP/],
  ['ip', '127.1', /not an IP/],
  ['ip', 'fe80::1%eth0', /not an IP/],
  ['email', 'a@b', /"email" are not supported/],
] as const) {
  test(`${type} ${JSON.stringify(value.slice(0, 20))} is no identifier`, () => {
    const identifier = readIdentifier(type, value);
    assert.ok('wrong' in identifier);
    assert.match(identifier.wrong, wrong);
  });
}

test('wildcards are validated by the name they stand below', () => {
  assert.equal(baseName({ type: 'dns', value: '*.example.org' }), 'example.org');
  assert.equal(isWildcard({ type: 'dns', value: 'x.example.org' }), false);
});

test('only localhost and what is below is loopback', () => {
  assert.ok(isLocalhost('localhost') && isLocalhost('a.b.localhost'));
  assert.ok(!isLocalhost('notlocalhost') && !isLocalhost('localhost.example'));
});

test('addresses are asked for by their reverse name', () => {
  assert.equal(reverseName('192.0.2.1'), '1.2.0.192.in-addr.arpa');
  const zeros = '0.'.repeat(23);
  assert.equal(reverseName('2001:db8::1'), `1.${zeros}8.b.d.0.1.0.0.2.ip6.arpa`);
  assert.equal(reverseName('::'), `${'0.'.repeat(32)}ip6.arpa`);
});

test('reading an identifier again changes nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV6(), fc.ipV4(), fc.domain()), (value) => {
      const type = /^[\d.]+$|:/.test(value) ? 'ip' : 'dns';
      const once = readIdentifier(type, value);
      assert.ok(!('wrong' in once), value);
      assert.deepEqual(readIdentifier(type, once.value), once);
      if (type === 'ip') assert.match(reverseName(once.value), /^([0-9a-f]{1,3}\.)+(in-addr|ip6)\.arpa$/);
    }),
  );
});
