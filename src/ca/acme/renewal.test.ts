/** When to renew (ARI, RFC 9773), which certificate an order replaces, and profiles. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import * as fc from 'fast-check';
import { TestClock } from '../../base/clock.testing.ts';
import { silent } from '../../base/log.ts';
import { createCsr } from '../../pki/csr.ts';
import { openssl } from '../../pki/openssl.testing.ts';
import { certificateKey, certified, startCa, startWeb, TestClient } from '../ca.testing.ts';
import type { Answer, TestWeb } from '../ca.testing.ts';
import { certificateId, serialNamed } from '../renewal-info.ts';
import { revokeIn } from '../revoke.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ERROR = 'urn:ietf:params:acme:error:';

async function started(t: TestContext, clock = new TestClock('2026-11-22T06:00:00Z')) {
  const web = await startWeb(t);
  const ca = await startCa(t, { httpPort: web.port, clock, lifetime: 30 * DAY });
  return { ca, web, clock, client: new TestClient(ca) };
}

interface Held {
  readonly leaf: X509Certificate;
  readonly id: string;
}

async function held(client: TestClient, web: TestWeb, more: object = {}): Promise<Held> {
  const [leaf = '', issuer = ''] = (await certified(client, web, more)).split(
    /(?<=-----END CERTIFICATE-----\n)/,
  );
  const { serialNumber } = new X509Certificate(leaf);
  return { leaf: new X509Certificate(leaf), id: certificateId(new X509Certificate(issuer), serialNumber) };
}

function refused(answer: Answer, status: number, type: string, detail: RegExp): void {
  assert.deepEqual([answer.status, answer.json?.type], [status, ERROR + type], answer.text);
  assert.match(answer.json.detail, detail);
}

async function renewalInfo(client: TestClient, id: string): Promise<Answer> {
  const { json } = await client.request(client.ca.directoryUrl);
  return client.request(`${json.renewalInfo}/${id}`);
}

test('renewal is suggested after two thirds of a life, and at once after a revocation', async (t) => {
  const { client, web, clock, ca } = await started(t);
  const { id, leaf } = await held(client, web);
  const before = await renewalInfo(client, id);
  assert.equal(before.headers.get('retry-after'), `${6 * 3600}`);
  const { start, end } = before.json.suggestedWindow;
  assert.equal(start, '2026-12-12T05:59:40Z');
  assert.equal(end, '2026-12-13T05:59:42Z');
  const options = { reason: 1, clock, logger: silent('ca') } as const;
  const [done] = await revokeIn(ca.dir, leaf.serialNumber, options);
  assert.deepEqual(done, { serial: leaf.serialNumber, names: ['a.localhost'], earlier: false });
  const after = await renewalInfo(client, id);
  assert.deepEqual(after.json.suggestedWindow, {
    start: '2026-11-22T05:00:00Z',
    end: '2026-11-22T05:30:00Z',
  });
});

test('nobody is told of what was not issued here', async (t) => {
  const { client } = await started(t);
  for (const id of ['a', 'a.b', '.', '%00', '..%2f..%2fx', 'x'.repeat(300)]) {
    assert.equal((await renewalInfo(client, id)).status, 404, id);
  }
});

test('an id is read back as the serial it names, and nothing else is one', async (t) => {
  const issuer = new X509Certificate((await startCa(t)).rootPem);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (bytes) => {
      const serial = Buffer.from(bytes).toString('hex').toUpperCase();
      const id = certificateId(issuer, serial);
      assert.equal(serialNamed(id, issuer), serial);
      for (const other of [`${id}=`, `A${id}`, `${id}.x`, id.slice(1)]) {
        assert.equal(serialNamed(other, issuer), undefined);
      }
    }),
  );
});

test('a certificate is replaced once, also when the order is long forgotten', async (t) => {
  const { client, web, clock, ca } = await started(t);
  const { id } = await held(client, web);
  const order = await client.orderWith({ replaces: id }, 'a.localhost', 'b.localhost');
  assert.equal(order.json.replaces, id);
  const again = () => client.orderWith({ replaces: id }, 'a.localhost');
  refused(await again(), 409, 'alreadyReplaced', /another order/);
  // An order that came to nothing replaces nothing.
  await client.post(order.json.authorizations[0], { status: 'deactivated' });
  await held(client, web, { replaces: id });
  clock.jump(clock.now() + 2 * DAY);
  refused(await again(), 409, 'alreadyReplaced', /another order/);

  const other = await held(client, web);
  refused(
    await client.orderWith({ replaces: other.id }, 'c.localhost'),
    400,
    'malformed',
    /none of the names/,
  );
  refused(
    await client.orderWith({ replaces: 'a.b' }, 'a.localhost'),
    400,
    'malformed',
    /no such certificate/,
  );
  const stranger = new TestClient(ca);
  await stranger.register();
  const theirs = await stranger.orderWith({ replaces: other.id }, 'a.localhost');
  refused(theirs, 403, 'unauthorized', /another account/);
});

test('profiles are offered, granted and shown; an unknown one is refused', async (t) => {
  const { client, web } = await started(t);
  const { json } = await client.request(client.ca.directoryUrl);
  assert.deepEqual(Object.keys(json.meta.profiles), ['default', 'shortlived']);
  await client.register();
  assert.equal((await client.order('a.localhost')).json.profile, 'default');
  assert.equal((await client.orderWith({ profile: 'shortlived' }, 'a.localhost')).json.profile, 'shortlived');
  refused(
    await client.orderWith({ profile: 'x' }, 'a.localhost'),
    400,
    'invalidProfile',
    /default and shortlived/,
  );

  const usual = (await held(client, web)).leaf;
  const short = (await held(client, web, { profile: 'shortlived' })).leaf;
  const life = ({ validFromDate, validToDate }: X509Certificate) => +validToDate - +validFromDate;
  assert.deepEqual([life(usual), life(short)], [30 * DAY + 60_000, 160 * HOUR + 60_000]);
  const text = (leaf: X509Certificate) => openssl(['x509', '-noout', '-text'], leaf.toString());
  assert.match(text(usual), /OCSP - URI/);
  assert.doesNotMatch(text(short), /OCSP|CRL/);
});

test('must-staple is refused where nothing could be stapled', async (t) => {
  const { client, web } = await started(t);
  await client.register();
  const order = await client.orderWith({ profile: 'shortlived' }, 'a.localhost');
  await client.prove(order.json.authorizations[0], 'http-01', (token, answer) =>
    web.answers.set(token, answer),
  );
  const csr = await createCsr({ key: certificateKey(), names: ['a.localhost'], mustStaple: true });
  const answer = await client.post(order.json.finalize, { csr: csr.toString('base64url') });
  refused(answer, 400, 'badCSR', /must-staple is not possible with the profile shortlived/);
});

test('certificates are revoked by serial, by file and by name', async (t) => {
  const { client, web, clock, ca } = await started(t);
  const [a, b, c] = [await held(client, web), await held(client, web), await held(client, web)];
  const revoke = (what: string) => revokeIn(ca.dir, what, { reason: 4, clock, logger: silent('ca') });
  const colons = a.leaf.serialNumber.toLowerCase().replace(/..(?!$)/g, '$&:');
  assert.deepEqual(
    (await revoke(colons)).map(({ serial }) => serial),
    [a.leaf.serialNumber],
  );
  await writeFile(join(ca.dir, 'b.pem'), b.leaf.toString());
  assert.deepEqual(
    (await revoke(join(ca.dir, 'b.pem'))).map(({ serial }) => serial),
    [b.leaf.serialNumber],
  );
  const all = await revoke('A.localhost');
  assert.deepEqual(
    all.filter(({ earlier }) => !earlier).map(({ serial }) => serial),
    [c.leaf.serialNumber],
  );
  assert.equal(all.length, 3);
  await assert.rejects(revoke('x.localhost'), { code: 'ca-unknown', message: /x\.localhost is neither/ });
  await assert.rejects(revoke(join(ca.dir, 'root-key.pem')), { code: 'certificate-unreadable' });
  await assert.rejects(revoke(join(ca.dir, 'root.pem')), { code: 'ca-unknown' });
  await assert.rejects(revokeIn('/nowhere', 'x', { reason: 0, clock, logger: silent('ca') }), {
    code: 'ca-missing',
  });
});
