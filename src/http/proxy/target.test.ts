import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { HostSettings } from '../../config/settings.ts';
import { defaultProxy, hostSettings } from '../settings.testing.ts';
import { failureOf } from './failure.ts';
import { Plans } from './plan.ts';
import { parseTarget } from './target.ts';

test('a URL is taken apart and its path left alone', () => {
  assert.deepEqual(parseTarget('HTTP://Backend.Example:80/a/../%2e%2e/b?c=%20|'), {
    origin: 'http://backend.example',
    secure: false,
    protocol: 'http/1.1',
    socketPath: undefined,
    hostname: 'backend.example',
    host: 'backend.example',
    path: '/a/../%2e%2e/b?c=%20|',
  });
  assert.deepEqual(parseTarget('wss://[2001:db8::1]:8443'), {
    origin: 'https://[2001:db8::1]:8443',
    secure: true,
    protocol: 'http/1.1',
    socketPath: undefined,
    hostname: '2001:db8::1',
    host: '[2001:db8::1]:8443',
    path: '/',
  });
  assert.equal(parseTarget('http://b?x').path, '/?x');
});

test('a unix socket and HTTP/2 are told apart from their URLs', () => {
  const { socketPath, host, path } = parseTarget('unix:/run/x.sock|http://b/y?z');
  assert.deepEqual([socketPath, host, path], ['/run/x.sock', 'b', '/y?z']);
  const { origin, secure, protocol } = parseTarget('h2://b:8443/');
  assert.deepEqual([origin, secure, protocol], ['https://b:8443', true, 'h2']);
  assert.equal(parseTarget('h2c://b').origin, 'http://b');
});

for (const url of [
  '',
  '/path',
  'http:///x',
  'http://',
  'ftp://b/',
  'unix:|http://b/',
  'unix:/run/x.sock',
  'balancer://b/',
  'http://user@b/',
  'http://b\\@c/',
  'http://b/a b',
  'http://b/\r\nX: y',
  'http://b/#f',
  'http://b:99999/',
  'constructor://b/',
])
  test(`${JSON.stringify(url)} can't be proxied to`, () => {
    assert.throws(() => parseTarget(url), { code: 'proxy-target' });
  });

test('whatever the path, it cannot become another request or another backend', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (path) => {
      try {
        const target = parseTarget(`http://b.example/${path}`);
        assert.equal(target.origin, 'http://b.example');
        assert.equal(target.path, `/${path}`);
        assert.match(target.path, /^[!-\u00ff]+$/);
      } catch (error) {
        assert.ok(error instanceof Error && 'code' in error && error.code === 'proxy-target', String(error));
      }
    }),
  );
});

test('times come from the mapping, then ProxyTimeout, then Timeout', () => {
  const planOf = (parameters: Record<string, string>, of: HostSettings) =>
    new Plans().for(of, 'http://b/', parameters);
  const host = hostSettings({ proxy: { ...defaultProxy, timeout: 7000 } });
  const { timeout, connectTimeout } = planOf({}, hostSettings());
  assert.deepEqual([timeout, connectTimeout], [60_000, 60_000]);
  assert.equal(planOf({}, host).timeout, 7000);
  const plan = planOf({ timeout: '3', connectiontimeout: '200ms' }, host);
  assert.deepEqual([plan.timeout, plan.connectTimeout], [3000, 200]);
  assert.equal(planOf({ timeout: '2mi' }, host).timeout, 120_000);
  assert.equal(planOf({ timeout: 'soon' }, host).timeout, 7000);
});

test('a failure says how far it had come, and never more than the log shall know', () => {
  const target = parseTarget('https://b.example/x');
  const coded = (code: string, message = code) => Object.assign(new Error(message), { code });
  const late = failureOf(coded('UND_ERR_CONNECT_TIMEOUT', 'Connect Timeout Error'), 'connecting', target);
  assert.deepEqual(late, {
    status: 504,
    text: 'AH01114: HTTP: failed to make connection to backend: b.example: Connect Timeout Error',
  });
  const refused = new AggregateError([coded('ECONNREFUSED', 'v6'), coded('ECONNREFUSED', 'v4')]);
  assert.deepEqual(failureOf(refused, 'connecting', target), {
    status: 502,
    text: 'AH01114: HTTP: failed to make connection to backend: b.example: v6, v4',
  });
  assert.match(
    failureOf(coded('CERT_HAS_EXPIRED'), 'connecting', target).text,
    /^AH00898: Error during SSL Handshake/,
  );
  assert.equal(failureOf(coded('UND_ERR_INVALID_ARG'), 'connecting', target).status, 400);
  assert.equal(failureOf(coded('UND_ERR_CLOSED'), 'connecting', target).status, 503);
});
