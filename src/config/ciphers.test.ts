import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSecureContext, getCiphers } from 'node:tls';
import { assert as holds, property, subarray } from 'fast-check';
import { modernCiphers, modernSuites } from '../tls/suites.ts';
import { chooseCiphers, cipherCodes, cipherName, unsupportedCiphers } from './ciphers.ts';
import { cipherRegistry } from './cipher-registry.ts';
import { load, refusal } from './config.testing.ts';

const both = { min: 'TLSv1.2', max: 'TLSv1.3' } as const;
const files = { 'c.pem': 'any' };
const tls = (t: Parameters<typeof load>[0], lines: string) => {
  const text = `Listen 443\nTLSEngine 443\n<VirtualHost *:443>\nServerName a.example\nTLSCertificate c.pem\n${lines}\n</VirtualHost>\n`;
  const { hosts, warnings } = load(t, text, { files });
  return { ...hosts[0]?.tls, warnings: warnings.map(({ message }) => message) };
};

test('a cipher has three names, in any case', () => {
  const names = [
    'TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384',
    'ECDHE-ECDSA-AES256-SHA384',
    'ecdhe-ecdsa-aes256-sha384',
    'TLS_CIPHER_0xc024',
    'tls_cipher_0xC024',
  ];
  assert.deepEqual(cipherCodes('TLSCiphersPrefer', names, 'default'), [0xc024]);
  assert.deepEqual(cipherCodes('TLSCiphersPrefer', ['TLS13_AES_128_GCM_SHA256'], 'default'), [0x1301]);
  assert.deepEqual(
    cipherCodes('TLSCiphersPrefer', ['TLS_CIPHER_0xfefd:ECDHE-RSA-AES128-GCM-SHA256'], 'none'),
    [0xfefd, 0xc02f],
  );
  assert.deepEqual(cipherCodes('TLSCiphersPrefer', ['default'], 'default'), []);
  assert.deepEqual(cipherCodes('TLSCiphersSuppress', ['none'], 'none'), []);
});

test('the registry has a number and a name in each line, and each number once', () => {
  const lines = cipherRegistry.trim().split('\n');
  for (const line of lines) assert.match(line, /^[\da-f]{4} (?:TLS|SSL)_\w+(?: [A-Z\d-]+)?$/i);
  assert.equal(new Set(lines.map((line) => line.slice(0, 4))).size, lines.length);
});

test('the registry has every cipher of OpenSSL under the same name', () => {
  for (const name of getCiphers()) {
    const [code = 0] = cipherCodes('TLSCiphersPrefer', [name], 'default');
    assert.ok(cipherName(code).startsWith('TLS_'), name);
  }
});

test('what is offered is what is supported', () => {
  const offered = cipherCodes('TLSCiphersPrefer', [...modernCiphers, ...modernSuites], 'default');
  assert.deepEqual(unsupportedCiphers(offered), []);
  assert.deepEqual(unsupportedCiphers([0xc024, 0x1301]), [0xc024]);
});

test('preferred ciphers come first, suppressed ones not at all, and OpenSSL takes whatever comes out', () => {
  const codes = cipherCodes('TLSCiphersPrefer', [...modernCiphers, ...modernSuites], 'default');
  const some = subarray([...codes, 0xc024, 0xffff]);
  holds(
    property(some, some, (preferred, suppressed) => {
      const chosen = chooseCiphers({ preferred, suppressed }, both);
      const left = codes.filter((code) => !suppressed.includes(code));
      if (!chosen) return assert.deepEqual(left, []);
      const { ciphers, ciphersuites, versions } = chosen;
      const listed = (list: string | undefined) => cipherCodes('T', list?.split(':') ?? [], 'none');
      const all = new Set([...listed(ciphers), ...listed(ciphersuites)]);
      if (preferred.length + suppressed.length > 0) assert.deepEqual(all, new Set(left));
      for (const list of [listed(ciphers), listed(ciphersuites)]) {
        const wanted = preferred.filter((code) => list.includes(code));
        assert.deepEqual(list.slice(0, wanted.length), wanted);
      }
      assert.equal(versions.min, left.some((code) => code >> 8 !== 0x13) ? 'TLSv1.2' : 'TLSv1.3');
      assert.equal(versions.max, left.some((code) => code >> 8 === 0x13) ? 'TLSv1.3' : 'TLSv1.2');
      createSecureContext({
        ciphers: [ciphersuites ?? modernSuites.join(':'), ciphers ?? modernCiphers.join(':')].join(':'),
        minVersion: versions.min,
        maxVersion: versions.max,
      });
    }),
    { numRuns: 200 },
  );
});

test('a preference for what is not supported is a warning, suppressing it is none', (t) => {
  const { ciphers, warnings } = tls(t, 'TLSCiphersPrefer SSL_RSA_FIPS_WITH_DES_CBC_SHA:TLS_CIPHER_0xcca9');
  assert.match(warnings.join(), /^AH10319: TLSCiphersPrefer: not supported.*SSL_RSA_FIPS_WITH_DES_CBC_SHA/);
  assert.match(`${ciphers}`, /^ECDHE-ECDSA-CHACHA20-POLY1305:/);
  assert.deepEqual(tls(t, 'TLSCiphersSuppress SSL_RSA_FIPS_WITH_DES_CBC_SHA').warnings, []);
});

test('a version without ciphers is not offered', (t) => {
  const { minVersion, maxVersion } = tls(t, `TLSCipherSuppress ${modernSuites.join(' ')}`);
  assert.deepEqual([minVersion, maxVersion], ['TLSv1.2', 'TLSv1.2']);
  assert.equal(tls(t, `TLSCiphersSuppress ${modernCiphers.join(':')}`).minVersion, 'TLSv1.3');
});

test('a host takes the base server’s ciphers unless it has its own', (t) => {
  const text = (own: string) =>
    `Listen 443\nTLSEngine 443\nTLSCiphersSuppress TLS13_AES_128_GCM_SHA256\n<VirtualHost *:443>\nTLSCertificate c.pem\n${own}</VirtualHost>\n`;
  const suites = (own: string) => load(t, text(own), { files }).hosts[0]?.tls.ciphersuites;
  assert.equal(suites(''), 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256');
  assert.equal(suites('TLSCiphersSuppress none\n'), undefined);
});

const wrong: Record<string, RegExp> = {
  'TLSCiphersPrefer NO-SUCH-CIPHER': /TLSCiphersPrefer: cipher not recognized 'NO-SUCH-CIPHER'/,
  'TLSCipherSuppress TLS_AES_128_GCM_SHA256:x': /TLSCiphersSuppress: cipher not recognized 'x'/,
  'TLSCiphersSuppress TLS_CIPHER_0x12345': /TLSCiphersSuppress: cipher not recognized/,
  'TLSSessionCache nonsense': /TLSSessionCache: unknown session cache provider 'nonsense'/,
};
for (const [line, message] of Object.entries(wrong)) {
  test(`${line} is refused`, (t) => assert.match(refusal(t, line).message, message));
}

test('suppressing everything is refused', (t) => {
  const all = [...modernCiphers, ...modernSuites].join(':');
  const text = `Listen 443\nTLSEngine 443\n<VirtualHost *:443>\nTLSCertificate c.pem\nTLSCiphersSuppress ${all}\n</VirtualHost>\n`;
  assert.match(refusal(t, text, { files }).message, /no cipher is left for _default_:443/);
});

test('TLSSessionCache takes its forms', (t) => {
  for (const form of ['none', 'default', 'shmcb:tls/session-cache(512000)', 'shmcb:logs/tls_cache'])
    assert.deepEqual(load(t, `TLSSessionCache ${form}`).warnings, []);
});
