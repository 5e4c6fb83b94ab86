import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { makeCrl } from './crl.testing.ts';
import { partsOf } from './der.ts';
import { PkiError } from './errors.ts';
import { OcspTestCa } from './ocsp.testing.ts';
import { toPem } from './pem.ts';
import { parseRevocationLists, revocationList } from './revocation-list.ts';

const now = Date.UTC(2026, 10, 22);

suite('A list of revoked certificates, kept', async () => {
  const ca = await OcspTestCa.create(now);
  const other = await OcspTestCa.create(now);
  const [gone, there] = [(await ca.issue()).certificate, (await ca.issue()).certificate];
  const der = await makeCrl({ issuer: ca, revoked: [gone], thisUpdate: now, nextUpdate: now + 1000 });
  const serialOf = (certificate: typeof gone) => partsOf(certificate.x509).serial;

  test('knows who is on it, since when, until when, and who signed it', () => {
    const list = revocationList(der);
    assert.deepEqual([list.has(serialOf(gone)), list.has(serialOf(there))], [true, false]);
    assert.deepEqual([list.thisUpdate, list.nextUpdate], [now, now + 1000]);
    assert.ok(list.issuer.equals(partsOf(ca.certificate.x509).subject));
    assert.equal(list.isSignedBy(ca.certificate.x509.publicKey), true);
    assert.equal(list.isSignedBy(other.certificate.x509.publicKey), false);
  });

  test('may be empty, and one of several', async () => {
    const empty = await makeCrl({ issuer: other, thisUpdate: now });
    const lists = parseRevocationLists(`# two\n${toPem('X509 CRL', der)}${toPem('X509 CRL', empty)}`);
    assert.equal(lists.length, 2);
    assert.equal(lists[1]?.nextUpdate, undefined);
    assert.equal(lists[1]?.has(serialOf(gone)), false);
    assert.deepEqual(parseRevocationLists(ca.certificate.pem), []);
  });

  test('of changes only is refused', async () => {
    const delta = await makeCrl({ issuer: ca, thisUpdate: now, critical: '2.5.29.27' });
    assert.throws(() => revocationList(delta), /list of changes/);
  });

  test('cut or changed anywhere is read, or refused by name', () => {
    const at = fc.nat({ max: der.length - 1 });
    fc.assert(
      fc.property(at, fc.nat({ max: 255 }), fc.boolean(), (index, byte, cut) => {
        const changed = Buffer.from(cut ? der.subarray(0, index) : der);
        if (!cut) changed[index] = byte;
        try {
          revocationList(changed).isSignedBy(ca.certificate.x509.publicKey);
        } catch (error) {
          assert.ok(error instanceof PkiError && error.code === 'list-unreadable', String(error));
        }
      }),
      { numRuns: 1000 },
    );
  });
});
