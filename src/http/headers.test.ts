import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseExpression } from '../config/expression.ts';
import type { HeaderRule } from '../config/settings.ts';
import type { Handler } from './exchange.ts';
import { serve } from './frontend.testing.ts';
import { settingsOf, virtualHost } from './settings.testing.ts';

function rule(changes: Partial<HeaderRule>): HeaderRule {
  const { condition = 'onsuccess', action = 'set', name = 'X-A', value = 'v' } = changes;
  return {
    replacement: undefined,
    env: undefined,
    expr: undefined,
    ...changes,
    condition,
    action,
    name,
    value,
  };
}

/** The answer's head, as text, of a handler that sets `X-Own: own` and `X-Own: two`. */
async function head(rules: HeaderRule[], request = ''): Promise<string> {
  const own: Handler = async ({ response }) => {
    (response as ServerResponse).writeHead(200, ['X-Own', 'own', 'X-Own', 'two']);
    response.end();
  };
  const hosts = [virtualHost('a.test', { directory: { handler: 'own', headers: rules } })];
  await using served = await serve(settingsOf({ hosts }), { handlers: { own } });
  return await served.raw(`GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n${request}\r\n`);
}

test('rules see what the handler wrote, however it wrote it', async () => {
  assert.match(await head([]), /X-Own: own\r\nX-Own: two\r\n/i);
  assert.match(await head([rule({ action: 'append', name: 'x-own' })]), /x-own: own, two, v\r\n/i);
  assert.doesNotMatch(await head([rule({ action: 'unset', name: 'x-own' })]), /x-own/i);
  assert.match(
    await head([rule({ action: 'edit', name: 'x-own', value: '^(o)w', replacement: '$1-$0' })]),
    /own: o-own\r\n/i,
  );
  assert.match(
    await head([rule({ action: 'merge', name: 'x-own', value: 'own' })]),
    /X-Own: own\r\nX-Own: two\r\n/i,
  );
});

test('conditions: env, its negation, an expression', async () => {
  assert.doesNotMatch(await head([rule({ env: 'NONE' })]), /x-a:/i);
  assert.match(await head([rule({ env: '!NONE' })]), /x-a: v/i);
  assert.match(await head([rule({ expr: parseExpression("req('X-B') == 'b'") })], 'X-B: b\r\n'), /x-a: v/i);
  assert.doesNotMatch(await head([rule({ expr: parseExpression("req('X-B') == 'b'") })]), /x-a:/i);
});

test('values: formats, expressions, UTF-8 as bytes', async () => {
  assert.match(
    await head([rule({ value: '%t %D 100%% %{SSL_PROTOCOL}s' })]),
    /x-a: t=\d{16} D=\d+ 100% \(null\)\r\n/i,
  );
  assert.match(await head([rule({ value: 'expr=%{REQUEST_METHOD}-%{HTTP_HOST}' })]), /x-a: GET-a\.test\r\n/i);
  assert.match(await head([rule({ value: 'é' })]), /x-a: \xc3\xa9\r\n/i);
});

test('echo and note', async () => {
  const rules = [
    rule({ action: 'echo', name: '^x-echo', value: undefined }),
    rule({ action: 'note', name: 'x-own', value: 'noted' }),
    rule({ value: 'expr=%{note:noted}' }),
  ];
  const answer = await head(rules, 'X-Echo-1: yes\r\n');
  assert.match(answer, /x-echo-1: yes\r\n/i);
  assert.match(answer, /x-a: own, two\r\n/i);
});

test('no value that a client can influence breaks out of its header', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary-ascii' }), async (text) => {
      const query = encodeURI(text.replaceAll(/[#\0]/g, '')).replaceAll('%', '');
      const answer = await head(
        [
          rule({ value: `a\r\nX-Evil: 1${text}` }),
          rule({ value: 'expr=%{unescape:%{QUERY_STRING}}', name: 'X-Q' }),
        ],
        `X-B: ${query}\r\n`,
      );
      assert.doesNotMatch(answer, /^X-Evil:/m);
      assert.match(answer, /^HTTP\/1\.1 200/);
    }),
    { numRuns: 20 },
  );
});
