import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { cleanPath, encodePath, parseAuthority, parseTarget } from './target.ts';

const path = (raw: string) => {
  const clean = cleanPath(raw);
  return typeof clean === 'number' ? clean : clean.path;
};

test('paths are decoded once, dot segments resolved, slashes merged', () => {
  assert.equal(path('/'), '/');
  assert.equal(path('/a/b.txt'), '/a/b.txt');
  assert.equal(path('//a///b//'), '/a/b/');
  assert.equal(path('/a/./b/../c'), '/a/c');
  assert.equal(path('/a/%2e%2e/b'), '/b');
  assert.equal(path('/a/..'), '/');
  assert.equal(path('/a/b/..'), '/a/');
  assert.equal(path('/a/.'), '/a/');
  assert.equal(path('/%252e%252e/x'), '/%2e%2e/x');
  assert.equal(path('/.../..x'), '/.../..x');
  assert.equal(path('/caf%C3%A9'), '/café');
  assert.equal(path('/a\\..\\b'), '/a\\..\\b');
});

test('above the root, bad escapes and NUL are bad requests; an encoded slash is not found', () => {
  for (const raw of ['/..', '/a/../..', '/%2E./x', '/..//../etc/passwd', '/%', '/%4', '/%zz', '/a%00b']) {
    assert.equal(path(raw), 400, raw);
  }
  for (const raw of ['/a%2fb', '/..%2F..%2Fetc', '/a%2F..']) assert.equal(path(raw), 404, raw);
});

test('no path leads above the root, is decoded twice, or changes when cleaned again', () => {
  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2E',
    '%5c',
    '\\',
    '%25',
    'a',
    '%c3%a9',
    '%ff',
    ';',
    '?',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const clean = cleanPath(`/${pieces.join('')}`);
      if (typeof clean === 'number') return;
      assert.ok(clean.path.startsWith('/'));
      assert.ok(!clean.path.split('/').includes('..'));
      assert.ok(!clean.path.includes('//'));
      const again = cleanPath(clean.encoded);
      assert.deepEqual(again, clean);
    }),
  );
});

test('encoding and cleaning give back any path of a file', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 })), (names) => {
      fc.pre(names.every((name) => !/[/\0]/.test(name) && name !== '.' && name !== '..'));
      const name = `/${names.join('/')}`;
      assert.equal(path(encodePath(name)), name);
    }),
  );
});

test('an absolute target brings its own authority', () => {
  assert.deepEqual(parseTarget('http://A.test:81/x?y', 'http', 'GET'), {
    authority: 'A.test:81',
    absolute: { scheme: 'http', authority: 'A.test:81' },
    rawPath: '/x',
    query: 'y',
  });
  assert.equal(parseTarget('http://a.test?q', 'http', 'GET')?.rawPath, '/');
  assert.equal(parseTarget('https://a.test/', 'http', 'GET')?.authority, undefined);
  for (const bad of ['', 'x', 'ftp://a.test/', 'http:///x', '/a#b', '*']) {
    assert.equal(parseTarget(bad, 'http', 'GET'), undefined, bad);
  }
  assert.equal(parseTarget('*', 'http', 'OPTIONS')?.rawPath, '*');
});

test('only names, addresses and ports are a Host', () => {
  assert.deepEqual(parseAuthority('WWW.a-b.test.:8080'), { hostname: 'www.a-b.test', port: 8080 });
  assert.deepEqual(parseAuthority('[2001:DB8::0:1]'), { hostname: '2001:db8::1', port: undefined });
  assert.deepEqual(parseAuthority('a_b'), { hostname: 'a_b', port: undefined });
  const bad = [
    '',
    ' ',
    'a b',
    'a/b',
    'a:xx',
    'a:0',
    'a:65536',
    'a:80:80',
    '[::1',
    '[x]',
    'a..b',
    '.a',
    'a@b',
    'a\0',
    'é',
    'a,b',
  ];
  for (const host of bad) assert.equal(parseAuthority(host), undefined, host);
});
