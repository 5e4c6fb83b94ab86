import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { ProxyMapping } from '../../config/settings.ts';
import type { Exchange } from '../exchange.ts';
import { defaultProxy, hostSettings } from '../settings.testing.ts';
import { hopByHop } from './hop-by-hop.ts';
import { responseHeaders, reverseMap } from './response-headers.ts';

const mapping: ProxyMapping = { kind: 'proxy', from: '/app', to: 'http://b:8080/x', parameters: {} };

function mapped(url: string, reverse: { from: string; to: string }[], inPlace: string[] = []): string {
  const host = hostSettings({ proxy: { ...defaultProxy, reverse } });
  const exchange = {
    host,
    directory: { proxyPassReverse: inPlace },
    authority: 'www.example',
    connection: { secure: true },
  };
  return reverseMap(exchange as unknown as Exchange, mapping, url);
}

for (const [url, from, to, expected] of [
  ['http://b:8080/x/y?z', '/app', 'http://b:8080/x', 'https://www.example/app/y?z'],
  ['http://b:8080/x', '/app', 'http://b:8080/x', 'https://www.example/app'],
  ['HTTP://B:8080/x/', '/app/', 'http://b:8080/x/', 'https://www.example/app/'],
  ['http://b:8080/x/y', '/', 'http://b:8080/x', 'https://www.example/y'],
  ['http://b:80801/x', '/app', 'http://b:8080', 'http://b:80801/x'],
  ['http://b:8080/xy', '/app', 'http://b:8080/x', 'http://b:8080/xy'],
  ['http://elsewhere/x', '/app', 'http://b:8080/x', 'http://elsewhere/x'],
  ['/x/y', '/app', 'http://b:8080/x', '/x/y'],
  ['/x/y', '/app', '/x', 'https://www.example/app/y'],
  ['http://b/x/y', '/app', '/x', 'https://www.example/app/y'],
] as const)
  test(`ProxyPassReverse ${from} ${to}: ${url} becomes ${expected}`, () => {
    assert.equal(mapped(url, [{ from, to }]), expected);
  });

test('in a <Location>, ProxyPassReverse maps to the place of the ProxyPass, and comes first', () => {
  const reverse = [{ from: '/other', to: 'http://b:8080/' }];
  assert.equal(mapped('http://b:8080/x/y', reverse, ['http://b:8080/x']), 'https://www.example/app/y');
});

test('no header of a connection passes, whatever Connection names', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
  fc.assert(
    fc.property(fc.array(name, { maxLength: 5 }), name, (named, other) => {
      const drop = hopByHop(named.map((n) => n.toUpperCase()).join(' , '));
      for (const each of [...named, 'connection', 'transfer-encoding', 'upgrade']) assert.ok(drop(each));
      if (!named.includes(other) && !hopByHop(undefined)(other)) assert.equal(drop(other), false);
    }),
  );
});

test('204 has no length, other answers keep theirs, Set-Cookie keeps its lines', () => {
  const headers = { 'content-length': '0', 'set-cookie': ['a', 'b'], location: '/x' };
  const map = (url: string) => `mapped ${url}`;
  assert.deepEqual(responseHeaders(headers, 204, map), [
    ['set-cookie', ['a', 'b']],
    ['location', 'mapped /x'],
  ]);
  assert.deepEqual(responseHeaders(headers, 200, map)[0], ['content-length', '0']);
});
