import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { jsonHandlers } from './json-handlers.ts';
import { certificateStatus, mdStatus } from './md-status.ts';
import { certificate, DAY, domain, NOW, source, staple } from './status.testing.ts';

/** As a client gets it. */
const sent = (document: unknown) => JSON.parse(JSON.stringify(document)) as unknown;

const valid = { from: 'Sat, 21 Nov 2026 06:00:00 GMT', until: 'Fri, 19 Feb 2027 06:00:00 GMT' };

const rsa = certificate({ key: 'RSA', serial: '0B', sha256: '0b', ariCertId: 'x.y' });
const fresh = certificate({
  signedTimestamps: [{ logId: 'ab', timestamp: NOW, signature: 'cd', signatureType: 'ecdsa-with-SHA256' }],
});

suite('the JSON of a domain', () => {
  test('has the names, types and formats of mod_md’s', () => {
    const all = domain({ certificates: [rsa, certificate({ notAfter: NOW + DAY })] });
    assert.deepEqual(sent(mdStatus(all)), {
      ...all.md,
      cert: {
        rsa: {
          'issuer-name': '/CN=CA',
          valid,
          serial: '0B',
          'sha256-fingerprint': '0b',
          'ari-cert-id': 'x.y',
        },
        'p-256': {
          'issuer-name': '/CN=CA',
          valid: { from: valid.from, until: 'Mon, 23 Nov 2026 06:00:00 GMT' },
          serial: '0A',
          'sha256-fingerprint': '00',
        },
        valid: { from: valid.from, until: 'Mon, 23 Nov 2026 06:00:00 GMT' },
      },
      'renew-at': 'Wed, 20 Jan 2027 06:00:00 GMT',
      watched: true,
      renew: false,
    });
  });

  test('tells of a renewal with its job, its log, and the new certificate with its timestamps', () => {
    const due = domain({
      reasons: ['it expires'],
      staged: { validFrom: NOW, certificates: [fresh] },
      log: [{ when: NOW, type: 'finished', detail: 'done' }],
    });
    const cert = {
      'p-256': {
        'issuer-name': '/CN=CA',
        valid,
        serial: '0A',
        'sha256-fingerprint': '00',
        scts: [
          {
            logid: 'ab',
            signed: 'Sun, 22 Nov 2026 06:00:00 GMT',
            signature: 'cd',
            'signature-type': 'ecdsa-with-SHA256',
          },
        ],
      },
      valid,
    };
    const { renew, renewal } = sent(mdStatus(due)) as { renew: boolean; renewal: unknown };
    assert.equal(renew, true);
    assert.deepEqual(renewal, {
      ...due.job,
      log: { entries: [{ when: 'Sun, 22 Nov 2026 06:00:00 GMT', type: 'finished', detail: 'done' }] },
      cert,
    });
    assert.deepEqual((sent(certificateStatus(due)) as { renewal: { cert: object } }).renewal.cert, {
      ...cert,
    });
  });

  test('says until when a renewal is put off, and why', () => {
    const held = domain({ hold: { until: NOW + DAY, reason: 'too many' } });
    const { renewal } = sent(mdStatus(held)) as { renewal: { hold: unknown } };
    assert.deepEqual(renewal.hold, { until: 'Mon, 23 Nov 2026 06:00:00 GMT', reason: 'too many' });
  });

  test('tells of stapling by certificate, where there is anybody to ask', () => {
    const both = domain({ certificates: [rsa, certificate()] });
    const valid = { from: 'Sat, 21 Nov 2026 06:00:00 GMT', until: 'Sat, 28 Nov 2026 06:00:00 GMT' };
    const none = staple({ serial: '0B', responder: undefined, impossible: 'no OCSP responder URL' });
    const { cert } = sent(mdStatus(both, [staple(), none, staple({ domain: 'b.test', serial: '0B' })])) as {
      cert: Record<string, { ocsp?: unknown }>;
    };
    assert.deepEqual(cert['p-256']?.ocsp, { status: 'good', valid });
    assert.equal(cert['rsa']?.ocsp, undefined);
    const job = { name: 'a.test', finished: true, errors: 0, log: { entries: [] } };
    const alone = sent(mdStatus(both, [staple()], { ...job, notified: false, 'notified-renewed': false }));
    const { ocsp } = (alone as { cert: Record<string, { ocsp?: { renewal?: object } }> }).cert['p-256'] ?? {};
    assert.deepEqual(ocsp?.renewal, { ...job, notified: false, 'notified-renewed': false });
  });

  test('for anybody has nothing but what every handshake shows', () => {
    assert.deepEqual(sent(certificateStatus(domain({ certificates: [rsa] }))), {
      rsa: { valid, serial: '0B', 'sha256-fingerprint': '0b' },
      valid,
    });
    const bare = domain({ certificates: [], problem: { type: 'x', detail: 'secret words' } });
    assert.deepEqual(sent(certificateStatus(bare)), { renewal: { cert: {} } });
  });

  test('comes as a list of any length, piece by piece', async () => {
    const request = {
      path: '/md-status/',
      rawPath: '/md-status/',
      query: new URLSearchParams(),
      managedDomain: undefined,
      hostname: 'h',
      showsDomains: true,
      check: { name: '', url: '' },
    };
    for (const count of [0, 1, 199, 200, 450]) {
      const all = Array.from({ length: count }, (_, index) => domain({ name: `d${1000 + index}.test` }));
      const answer = await jsonHandlers['md-status']?.(request, source(all));
      assert.ok(answer && typeof answer.body !== 'string');
      const list = JSON.parse(await text(Readable.from(answer.body))) as {
        version: string;
        'managed-domains': { name: string }[];
      };
      assert.equal(list.version, '1');
      assert.deepEqual(
        list['managed-domains'].map(({ name }) => name),
        all.map(({ name }) => name),
      );
    }
  });
});
