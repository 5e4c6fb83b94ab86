import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { HostIndex } from './hosts.ts';
import { hostSettings, virtualHost } from './settings.testing.ts';

const on = (address: string, port: number | '*') => ({ addresses: [{ address, port }] });

test('the most specific address wins, whatever the order', () => {
  const hosts = [
    virtualHost('any', on('*', '*')),
    virtualHost('port', on('*', 443)),
    virtualHost('ip', on('192.0.2.1', '*')),
    virtualHost('both', on('192.0.2.1', 443)),
  ];
  const index = new HostIndex({ base: hostSettings(), hosts });
  const name = (address: string, port: number) =>
    index.forHandshake(address, port, undefined).host.serverName;
  assert.equal(name('192.0.2.1', 443), 'both');
  assert.equal(name('192.0.2.1', 80), 'ip');
  assert.equal(name('192.0.2.2', 443), 'port');
  assert.equal(name('192.0.2.2', 80), 'any');
});

test('names are looked for only among the hosts of the chosen address', () => {
  const hosts = [virtualHost('a.test', on('*', 443)), virtualHost('b.test', on('192.0.2.1', 443))];
  const index = new HostIndex({ base: hostSettings(), hosts });
  const found = index.forHandshake('192.0.2.1', 443, 'a.test');
  assert.equal(found.host.serverName, 'b.test');
  assert.equal(found.known, false);
});

test('the first host is the default; an earlier wildcard beats a later exact name', () => {
  const hosts = [
    virtualHost('first.test'),
    virtualHost('wild.test', { aliases: ['*.wild.test', 'w?.test'] }),
    virtualHost('exact.wild.test'),
  ];
  const index = new HostIndex({ base: hostSettings(), hosts });
  const name = (sni: string) => index.forHandshake('::1', 443, sni).host.serverName;
  assert.equal(name('nobody.test'), 'first.test');
  assert.equal(name('exact.wild.test'), 'wild.test');
  assert.equal(name('deep.down.WILD.test.'), 'wild.test');
  assert.equal(name('wx.test'), 'wild.test');
  assert.equal(name('wxy.test'), 'first.test');
  assert.equal(name('__proto__'), 'first.test');
});

test('`ServerName _default_` is the default of its address and is no name', () => {
  const hosts = [virtualHost('a.test'), virtualHost('_default_')];
  const index = new HostIndex({ base: hostSettings(), hosts });
  assert.deepEqual(index.forHandshake('::1', 443, '_default_'), { host: hosts[1], known: false });
  assert.equal(index.forHandshake('::1', 443, 'a.test').known, true);
});

test('an address without virtual hosts belongs to the base server', () => {
  const base = hostSettings({ serverName: 'base.test' });
  const index = new HostIndex({ base, hosts: [virtualHost('a.test', on('*', 443))] });
  assert.deepEqual(index.forRequest('::1', 80, 'a.test'), { host: base, known: false });
  assert.deepEqual(index.forRequest('::1', 80, 'base.test'), { host: base, known: true });
  assert.deepEqual(index.forRequest('::1', 80, ''), { host: base, known: false });
});

test('the Maps find what trying host by host finds', () => {
  const label = fc.constantFrom('a', 'b', 'c');
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
  const alias = fc.oneof(
    name,
    name.map((n) => `*.${n}`),
    fc.constantFrom('a*', '?.b', '*', 'b.*.c'),
  );
  const host = fc.record({ name, aliases: fc.array(alias, { maxLength: 3 }) });
  fc.assert(
    fc.property(fc.array(host, { minLength: 1, maxLength: 6 }), name, (specs, wanted) => {
      const hosts = specs.map((spec) => virtualHost(spec.name, { aliases: spec.aliases }));
      const plain = hosts.find((h) => [`${h.serverName}`, ...h.aliases].some((n) => glob(n, wanted)));
      const { host, known } = new HostIndex({ base: hostSettings(), hosts }).forHandshake('::1', 1, wanted);
      assert.equal(host, plain ?? hosts[0]);
      assert.equal(known, plain !== undefined);
    }),
  );
});

function glob(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  const rest = pattern.slice(1);
  if (pattern.startsWith('*')) return glob(rest, text) || (text !== '' && glob(pattern, text.slice(1)));
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && glob(rest, text.slice(1));
}
