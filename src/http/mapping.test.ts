import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mapping } from '../config/settings.ts';
import { mapPath } from './mapping.ts';
import { cleanPath } from './target.ts';

const proxy = (from: string | RegExp, to: string | undefined): Mapping => ({
  kind: 'proxy',
  from,
  to,
  parameters: {},
});
const alias = (from: string, to: string): Mapping => ({ kind: 'alias', from, to });
const redirect = (from: string, to: string | undefined, status = 302): Mapping => ({
  kind: 'redirect',
  from,
  to,
  status,
});

function map(mappings: Mapping[], raw: string, query = ''): string {
  const clean = cleanPath(raw);
  assert.ok(typeof clean !== 'number');
  const to = mapPath({ mappings, documentRoot: '/srv/docs' }, {}, clean, query);
  if (to.kind === 'proxy') return `proxy ${to.target}`;
  if (to.kind === 'redirect') return `${to.status} ${to.to}`;
  return to.kind === 'file' ? to.filename : to.kind;
}

test('proxies come before redirects, redirects before aliases, whatever the order', () => {
  const all = [alias('/x', '/srv/a'), redirect('/x', 'http://r.test'), proxy('/x', 'http://b.test')];
  assert.equal(map(all, '/x/y'), 'proxy http://b.test/y');
  assert.equal(map(all.slice(0, 2), '/x/y'), '302 http://r.test/y');
  assert.equal(map(all.slice(0, 1), '/x/y'), '/srv/a/y');
  assert.equal(map([], '/x/y'), '/srv/docs/x/y');
});

test('`!` takes a path out of what is proxied; the first match counts', () => {
  const all = [proxy('/x/static', undefined), proxy('/x', 'http://b.test/'), redirect('/x/static', '/y')];
  assert.equal(map(all, '/x/static/1'), '302 /y/1');
  assert.equal(map(all, '/x'), 'proxy http://b.test/');
});

test('prefixes match at a slash, and bring the rest along as it was encoded', () => {
  const all = [proxy('/a b', 'http://b.test/q'), alias('/s/', '/srv/s/')];
  assert.equal(map(all, '/a%20b/c%3Fd%2e/'), 'proxy http://b.test/q/c%3Fd%2e/');
  assert.equal(map(all, '/a%20bc'), '/srv/docs/a bc');
  assert.equal(map(all, '/s/caf%C3%A9'), '/srv/s/café');
  assert.equal(map(all, '/s'), '/srv/docs/s');
});

test('no path changes the host that is proxied to', () => {
  assert.equal(map([proxy('/', 'http://b.test')], '/.evil.test/'), 'proxy http://b.test/.evil.test/');
  assert.equal(map([proxy('/', 'http://b.test')], '/@evil.test'), 'proxy http://b.test/@evil.test');
  assert.equal(map([proxy('/x/', 'http://b.test:80')], '/x/80'), 'proxy http://b.test:80/80');
});

test('queries go along, unless the target has its own', () => {
  assert.equal(map([redirect('/r', 'http://r.test/')], '/r', 'a=b'), '302 http://r.test/?a=b');
  assert.equal(map([redirect('/r', 'http://r.test/?x')], '/r', 'a=b'), '302 http://r.test/?x');
  assert.equal(map([redirect('/r', undefined, 410)], '/r/z'), '410 undefined');
});

test('what a pattern matched goes into the target, encoded for a URL and plain for a file', () => {
  const redirects = (to: string) => [{ kind: 'redirect', from: /^\/x(.*)y(.*)$/s, status: 302, to } as const];
  assert.equal(
    map(redirects('/z$1-$2'), '/xa%20%3Fby%23%C3%A9%0D%0A', 'q=1'),
    '302 /za%20%3fb-%23%c3%a9%0d%0a?q=1',
  );
  assert.equal(map(redirects('/z?p=$2'), '/xy1%202', 'q=1'), '302 /z?p=1%202');
  assert.equal(map(redirects('http://r.test/\\$1$7'), '/xy'), '302 http://r.test/$1');
  const aliases: Mapping[] = [{ kind: 'alias', from: /^\/é(.*)$/, to: '/srv/e$1' }];
  assert.equal(map(aliases, '/%C3%A9/caf%C3%A9'), '/srv/docs/é/café', 'patterns are of bytes');
  assert.equal(map([{ kind: 'alias', from: /^\/a(.*)$/, to: '/srv/e$1' }], '/a/caf%C3%A9'), '/srv/e/café');
});

test('no pieces of a path lead upwards once they are put together', () => {
  const from = /^\/a(.*)b(.*)$/;
  assert.equal(map([{ kind: 'alias', from, to: '/srv/$1$2' }], '/a.b./etc'), 'nowhere');
  assert.equal(map([{ kind: 'alias', from, to: '/srv/$1$2' }], '/a.b.x'), '/srv/..x');
});

test('ProxyPassMatch puts groups into the path, encoded, and never into the host', () => {
  const all = [
    proxy(/^\/(.*)\.gif$/, 'http://img.test/$1.png'),
    proxy(/^\/bare\/(.*)$/, 'http://b.test$1'),
    proxy(/^\/whole\//, 'http://w.test'),
    proxy(/^\/not\//, undefined),
  ];
  assert.equal(map(all, '/a/%C3%BC%3f%25.gif', 'q'), 'proxy http://img.test/a/%c3%bc%3f%25.png?q');
  assert.equal(map(all, '/bare/.evil.test/'), 'proxy http://b.test/.evil.test/');
  assert.equal(map(all, '/bare/@evil.test/'), 'proxy http://b.test/@evil.test/');
  assert.equal(map(all, '/whole/x%20y'), 'proxy http://w.test/whole/x%20y');
  assert.equal(map(all, '/not/x'), '/srv/docs/not/x');
});

test('unix sockets keep their URL apart from the path', () => {
  assert.equal(map([proxy('/x', 'unix:/run/a.sock|http://l')], '/x/y'), 'proxy unix:/run/a.sock|http://l/y');
  assert.equal(map([proxy('/', 'h2c://b.test')], '/y'), 'proxy h2c://b.test/y');
});
