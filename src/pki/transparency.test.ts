import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Certificate } from './certificate.ts';
import { openssl, withoutOpenssl } from './openssl.testing.ts';
import { parseTimestampList, signedTimestamps, type SignedTimestamp } from './transparency.ts';

const types: readonly (readonly [name: string, bytes: readonly number[]])[] = [
  ['ecdsa-with-SHA256', [4, 3]],
  ['RSA-SHA256', [4, 1]],
  ['unknown(8,7)', [8, 7]],
];

const timestamps = fc.array(
  fc.record({
    logId: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    timestamp: fc.integer({ min: 0, max: 4e12 }),
    signature: fc.uint8Array({ minLength: 1, maxLength: 80 }),
    type: fc.constantFrom(...types),
    extensions: fc.uint8Array({ maxLength: 10 }),
  }),
  { maxLength: 5 },
);
type Made = typeof timestamps extends fc.Arbitrary<(infer One)[]> ? One : never;

function block(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function encode(made: readonly Made[]): Buffer {
  const entries = made.map(({ logId, timestamp, signature, type: [, algorithm], extensions }) => {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(timestamp));
    const parts = [Buffer.of(0), logId, time, block(extensions), Buffer.from(algorithm), block(signature)];
    return block(Buffer.concat(parts));
  });
  return block(Buffer.concat(entries));
}

function asRead({ logId, timestamp, signature, type: [signatureType] }: Made): SignedTimestamp {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return { logId: hex(logId), timestamp, signature: hex(signature), signatureType };
}

test('a list of timestamps is read as it was written', () => {
  fc.assert(
    fc.property(timestamps, (made) => {
      assert.deepEqual(parseTimestampList(encode(made)), made.map(asRead));
    }),
  );
});

test('a list that is cut off or has more behind it is none', () => {
  fc.assert(
    fc.property(timestamps, fc.nat(), (made, at) => {
      const bytes = encode(made);
      assert.equal(parseTimestampList(bytes.subarray(0, at % bytes.length)), undefined);
      assert.equal(parseTimestampList(Buffer.concat([bytes, Buffer.of(0)])), undefined);
    }),
  );
});

test('garbage is no list, and never an exception', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void parseTimestampList(bytes)));
  assert.equal(parseTimestampList(new Uint8Array()), undefined);
});

test('timestamps of a version to come, and times that are none, do not pass for others', () => {
  const made = { logId: new Uint8Array(32), signature: Uint8Array.of(1), extensions: new Uint8Array() };
  const [type] = types;
  assert.ok(type);
  const later = encode([{ ...made, timestamp: 1, type }]);
  later[4] = 1;
  assert.deepEqual(parseTimestampList(later), []);
  assert.equal(
    parseTimestampList(encode([{ ...made, timestamp: Number.MAX_SAFE_INTEGER, type }])),
    undefined,
  );
});

test('timestamps in a certificate are those that openssl sees', { skip: withoutOpenssl }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-sct-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [type] = types;
  assert.ok(type);
  const list = encode([
    {
      logId: Buffer.alloc(32, 0xab),
      timestamp: Date.parse('2026-05-31T17:06:35Z'),
      signature: Buffer.from('300602010102010f', 'hex'),
      type,
      extensions: new Uint8Array(),
    },
  ]);
  const config = join(folder, 'openssl.cnf');
  const der = Buffer.concat([Buffer.of(4, list.length), list]).toString('hex');
  writeFileSync(
    config,
    `[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\n1.3.6.1.4.1.11129.2.4.2=DER:${der}\n`,
  );
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    join(folder, 'key'),
  ];
  const pem = openssl(['req', '-x509', ...key, '-subj', '/CN=a.test', '-config', config], '');
  const certificate = new Certificate(pem);
  const [sct] = signedTimestamps(certificate.x509);
  const printed = openssl(['x509', '-noout', '-text'], pem).replaceAll(/\s+/g, ' ');
  assert.match(printed, /Timestamp : May 31 17:06:35\.000 2026 GMT/);
  assert.deepEqual(sct, {
    logId: 'ab'.repeat(32),
    timestamp: Date.parse('2026-05-31T17:06:35Z'),
    signature: '300602010102010f',
    signatureType: 'ecdsa-with-SHA256',
  });
  assert.ok(printed.includes(`Signature : ${sct?.signatureType}`));
});
