import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { evaluate, evaluateString } from './expression-evaluate.ts';
import type { ExpressionContext } from './expression-evaluate.ts';
import { ExpressionSyntaxError, parseExpression, parseStringExpression } from './expression.ts';
import { cases, refused, request } from './expression.testing.ts';

const context: ExpressionContext = {
  variable: (name) => request.variables[name] ?? '',
  header: (name) => request.headers[name.toLowerCase()] ?? '',
  responseHeader: (name) => (name.toLowerCase() === 'server' ? 'Latchkey' : ''),
  env: (name) => request.env[name] ?? '',
  osenv: (name) => (name === 'PATH' ? '/bin' : ''),
  remoteAddress: '127.0.0.1',
  now: () => new Date(2026, 10, 22, 6, 7, 8).getTime(),
  file: (path) =>
    path === '/' ? { kind: 'directory', link: false, size: 4096, executable: true } : undefined,
};

const decide = (source: string, changes: Partial<ExpressionContext> = {}) =>
  evaluate(parseExpression(source), { ...context, ...changes });

for (const [source, expected] of cases)
  test(`${source} is ${expected}`, () => {
    assert.equal(decide(source), expected);
  });

for (const source of refused)
  test(`${source} is refused, with the place`, () => {
    assert.throws(
      () => parseExpression(source),
      (error: unknown) => {
        assert.ok(error instanceof ExpressionSyntaxError);
        assert.equal(error.code, 'expression-syntax');
        assert.ok(error.position >= 0 && error.position <= source.length);
        assert.match(error.message, /^Cannot parse condition clause: .+ \(at character \d+\)$/);
        return true;
      },
    );
  });

test('a mistake comes with its place and its remedy', () => {
  const message = (source: string) => {
    try {
      parseExpression(source);
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
    return '';
  };
  assert.match(message('%{HTTP_HOST} == example'), /write 'example'.* \(at character 17\)/);
  assert.match(
    message('%{HTTP_X_FOO} == "a"'),
    /'HTTP_X_FOO' does not exist: .*%\{req:X-FOO\} \(at character 1\)/,
  );
  assert.match(message("'a' =~ /(?>a)/"), /\(\?>a…\) is not supported/);
  assert.match(message('%{REQUEST_URI}'), /write -n before it/);
});

test('texts interpolate variables, functions and groups', () => {
  const text = (source: string) => evaluateString(parseStringExpression(source), context);
  assert.equal(text('https://%{req:Host}%{REQUEST_URI}?x="1"'), 'https://t.example/index.html?x="1"');
  assert.equal(text('%{toupper:%{req:x-a}} of %{TIME}, $1'), 'ABC of 20261122060708, ');
  assert.equal(text(''), '');
  assert.throws(() => parseStringExpression('%{NOPE}'), ExpressionSyntaxError);
});

test('a header is compared byte by byte', () => {
  const utf8 = Buffer.from('é').toString('latin1');
  assert.equal(decide(`%{req:X} == 'é'`, { header: () => utf8 }), true);
  assert.equal(decide(`%{req:X} =~ /^..$/`, { header: () => utf8 }), true);
});

test('networks know IPv4, IPv6 and one in the clothes of the other', () => {
  assert.equal(decide("-R '10.1'", { remoteAddress: '10.1.255.3' }), true);
  assert.equal(decide("-R '10.1.0.0/16'", { remoteAddress: '::ffff:10.1.2.3' }), true);
  assert.equal(decide("-R '2001:db8::/32'", { remoteAddress: '2001:db8:1::1' }), true);
  assert.equal(decide("-R '2001:db8::/32'", { remoteAddress: '2001:db9::1' }), false);
  assert.equal(decide("-R '0.0.0.0/0'", { remoteAddress: '::1' }), false);
});

test('a parsed expression is plain data', () => {
  const expression = parseExpression(`'abc' =~ /(B)/i && $1 in { 'b' } && -R '127' && !(%{HTTPS} == 'on')`);
  assert.equal(evaluate(structuredClone(expression), context), true);
});

test('whatever is written, reading either succeeds or names a place, and evaluating never throws', () => {
  const piece = fc.constantFrom(
    ...cases.flatMap(([source]) => source.split(/(?<= )/)),
    ...'%{ } ( ) \' " / m# $1 \\ && || ! . , -R -n in { =~ == é \n'.split(' '),
  );
  const source = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(source, (text) => {
      try {
        assert.equal(typeof evaluate(parseExpression(text), context), 'boolean');
      } catch (error) {
        assert.ok(error instanceof ExpressionSyntaxError, String(error));
        assert.ok(error.position <= text.length);
      }
    }),
    { numRuns: 2000 },
  );
});

test('any text can be quoted', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const value = text.replaceAll(/[\n\r]/g, '');
      const quoted = value.replaceAll(/[\\'"%$}]/g, '\\$&');
      const bytes = Buffer.from(value).toString('latin1');
      assert.equal(decide(`%{req:X} == '${quoted}'`, { header: () => bytes }), true);
    }),
  );
});

test('nesting and length have no stack to overflow', () => {
  assert.throws(() => parseExpression('('.repeat(10_000)), /nested more than/);
  assert.throws(() => parseExpression('tolower('.repeat(10_000)), /nested more than/);
  assert.throws(() => parseExpression(`"${'%{tolower:'.repeat(10_000)}`), /nested more than/);
  assert.equal(decide(Array(10_000).fill('!! true').join(' && ')), true);
});
