import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { load, refusal } from './config.testing.ts';
import { evaluate } from './expression-evaluate.ts';
import { parseSslRequire } from './ssl-require.ts';

/** Whether SSLRequire lets in somebody with these variables. */
function letsIn(source: string, variables: Readonly<Record<string, string>> = {}): boolean {
  return evaluate(parseSslRequire(source), {
    variable: (name) => variables[name] ?? '',
    header: (name) => (name.toLowerCase() === 'x-role' ? 'admin' : ''),
    responseHeader: () => '',
    env: (name) => variables[name] ?? '',
    remoteAddress: '192.0.2.7',
    now: () => new Date(2026, 0, 5, 9, 30).getTime(),
  });
}

test('the example of mod_ssl’s manual says who gets in', () => {
  const rule = String.raw`( %{SSL_CIPHER} !~ m/^(EXP|NULL)/ \
    and %{SSL_CLIENT_S_DN_O} eq "Snake Oil, Ltd." \
    and %{SSL_CLIENT_S_DN_OU} in {"Staff", "CA", "Dev"} \
    and %{TIME_WDAY} >= 1 and %{TIME_WDAY} <= 5 \
    and %{TIME_HOUR} >= 8 and %{TIME_HOUR} <= 20 ) \
    or %{REMOTE_ADDR} =~ m/^192\.76\.162\.[0-9]+$/`.replaceAll('\\\n', ' ');
  const staff = {
    SSL_CIPHER: 'TLS_AES_256_GCM_SHA384',
    SSL_CLIENT_S_DN_O: 'Snake Oil, Ltd.',
    SSL_CLIENT_S_DN_OU: 'Dev',
  };
  assert.equal(letsIn(rule, staff), true);
  for (const other of [{ SSL_CIPHER: 'NULL-SHA' }, { SSL_CLIENT_S_DN_O: 'x' }, { SSL_CLIENT_S_DN_OU: '' }])
    assert.equal(letsIn(rule, { ...staff, ...other }), false);
});

const cases: [string, boolean][] = [
  ['%{SSL_O} eq "Example"', true],
  ['%{SSL_O} eq "Elsewhere"', false],
  ['%{SSL_O} ne "Elsewhere"', true],
  ['%{SSL_BITS} >= 128', true],
  ['%{SSL_BITS} >= 1000', false],
  ['%{SSL_BITS} < 99', false],
  ['%{SSL_PROTOCOL} >= "TLSv1.3"', false],
  ['%{SSL_PROTOCOL} ge "TLSv1.2"', true],
  ['not ( %{SSL_PROTOCOL} lt "TLSv1.2" )', true],
  ['%{HTTP:X-Role} == "admin" && %{ENV:SSL_O} == "Example"', true],
  ['true and ! false', true],
];
for (const [source, expected] of cases) {
  test(`${source} is ${expected}`, () => {
    const variables = { SSL_O: 'Example', SSL_BITS: '256', SSL_PROTOCOL: 'TLSv1.2' };
    assert.equal(letsIn(source, variables), expected);
  });
}

test('numbers are compared as numbers, whatever they are', () => {
  const number = fc.nat(100_000);
  fc.assert(
    fc.property(number, number, (a, b) => {
      assert.equal(letsIn(`%{SSL_N} < ${b}`, { SSL_N: `${a}` }), a < b);
      assert.equal(letsIn(`%{SSL_N} eq ${b}`, { SSL_N: `${a}` }), a === b);
    }),
  );
});

test('each SSLRequire of a place and of those above it counts', (t) => {
  const text = `<Location />
SSLRequire %{SSL_CIPHER_USEKEYSIZE} >= 128
SSLRequire %{SSL_PROTOCOL} eq "TLSv1.3"
</Location>`;
  const [place] = load(t, text).base.sections;
  assert.deepEqual(
    place?.settings.sslRequire?.map(({ source }) => source),
    ['%{SSL_CIPHER_USEKEYSIZE} >= 128', '%{SSL_PROTOCOL} eq "TLSv1.3"'],
  );
});

const refused: Record<string, RegExp> = {
  '%{SSL_PROTOCOL} in PeerExtList("1.2.3")': /Cannot parse condition clause/,
  '%{SSL_PROTOCOL} eq file("x")': /Cannot parse condition clause/,
  '%{NO_SUCH} eq "x"': /Cannot parse condition clause/,
  '': /SSLRequire/,
};
for (const [source, message] of Object.entries(refused)) {
  test(`SSLRequire ${source} is refused`, (t) => {
    assert.match(refusal(t, `<Location />\nSSLRequire ${source}\n</Location>`).message, message);
  });
}
