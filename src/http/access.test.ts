import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExpression } from '../config/expression.ts';
import type { RequireRule } from '../config/settings.ts';
import { isAuthorized } from './access.ts';

const granted: RequireRule = { kind: 'all', granted: true };
const denied: RequireRule = { kind: 'all', granted: false };
const ip = (...networks: string[]): RequireRule => ({ kind: 'ip', networks });
const not = (rule: RequireRule): RequireRule => ({ kind: 'not', rule });
const of = (kind: 'any' | 'every' | 'none', ...rules: RequireRule[]): RequireRule => ({ kind, rules });

function lets(rule: RequireRule, remoteAddress = '192.0.2.7', names: string[] = []): Promise<boolean> {
  return isAuthorized(rule, {
    remoteAddress,
    localAddress: '203.0.113.1',
    evaluate: ({ source }) => source === 'true',
    isSet: (name) => name === 'SET',
    names: async () => names,
  });
}

test('networks: whole, partial, with mask, of both families, and IPv4 in IPv6 clothes', async () => {
  for (const network of ['192.0.2.7', '192.0.2', '192.0', '192.0.2.0/24', '192.0.2.0/255.255.255.0']) {
    assert.equal(await lets(ip(network)), true, network);
    assert.equal(await lets(ip(network), '::ffff:192.0.2.7'), true, network);
    assert.equal(await lets(ip(network), '198.51.100.1'), false, network);
  }
  assert.equal(await lets(ip('2001:db8::/32'), '2001:db8::1'), true);
  assert.equal(await lets(ip('2001:db8::/32'), '2001:db9::1'), false);
  assert.equal(await lets(ip('10', '192.0.2')), true);
});

test('local: loopback, or client and server at one address', async () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '203.0.113.1']) {
    assert.equal(await lets({ kind: 'local' }, address), true, address);
  }
  assert.equal(await lets({ kind: 'local' }), false);
});

test('env: one of the variables is set', async () => {
  assert.equal(await lets({ kind: 'env', names: ['UNSET', 'SET'] }), true);
  assert.equal(await lets({ kind: 'env', names: ['UNSET'] }), false);
});

test('host: whole labels of a name that leads back', async () => {
  const rule: RequireRule = { kind: 'host', names: ['example.org', '.net.test'] };
  assert.equal(await lets(rule, '192.0.2.7', ['WWW.example.org']), true);
  assert.equal(await lets(rule, '192.0.2.7', ['a.net.test']), true);
  assert.equal(await lets(rule, '192.0.2.7', ['badexample.org']), false);
  assert.equal(await lets(rule, '192.0.2.7', []), false);
});

test('expr', async () => {
  assert.equal(await lets({ kind: 'expr', condition: parseExpression('true') }), true);
  assert.equal(await lets({ kind: 'expr', condition: parseExpression('false') }), false);
});

test('containers as mod_authz_core judges them', async () => {
  const cases: [RequireRule, boolean][] = [
    [of('any', denied, granted), true],
    [of('any', denied, denied), false],
    [of('every', granted, granted), true],
    [of('every', granted, denied), false],
    [of('every', granted, not(denied)), true],
    [of('every', granted, not(granted)), false],
    [of('every', not(denied)), false],
    [of('any', not(denied)), false],
    [of('every', granted, of('none', denied)), true],
    [of('every', granted, of('none', granted)), false],
    [of('any', of('every', denied, granted), granted), true],
    [of('none', denied), false],
    [of('any'), false],
  ];
  for (const [rule, expected] of cases) assert.equal(await lets(rule), expected, JSON.stringify(rule));
});
