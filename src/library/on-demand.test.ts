import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { get, handshake, issuer, openLatchkey, serialAt } from './library.testing.ts';
import type { LatchkeyOptions } from './options.ts';

/** Names below .localhost lead to this machine wherever tests run. */
const addresses = ['127.0.0.1'];
/** ms: an order on a busy machine must not be too late. */
const wait = 300_000;
const permitted = (name: string) => name.startsWith('shop.');

test('a name that the program permits is ordered at the first handshake, others are refused', async () => {
  const asked: (readonly [string, string | undefined])[] = [];
  await using latchkey = await openLatchkey({
    domains: [],
    onDemand: {
      addresses,
      wait,
      allow: async (name, address) => {
        asked.push([name, address]);
        return permitted(name);
      },
    },
  });
  const { port, httpPort = 0 } = await latchkey.listen((_request, response) => response.end('open'));
  assert.equal((await get(port, { servername: 'shop.localhost' })).body, 'open');
  await assert.rejects(handshake(port, { servername: 'other.localhost' }), /unrecognized name/i);
  assert.deepEqual(asked.slice(0, 1), [['shop.localhost', '127.0.0.1']]);
  const [report] = latchkey.status();
  assert.deepEqual(report?.names, ['shop.localhost']);
  assert.equal(latchkey.certificates('shop.localhost')[0]?.serial, await serialAt(port, 'shop.localhost'));
  // Who types a name comes by plain HTTP, before there is a certificate.
  const { headers } = await get(httpPort, { headers: { host: 'another.localhost' } });
  assert.equal(headers.location, 'https://another.localhost/');
});

test('many handshakes for one name are one question and one order', async () => {
  let [questions, orders] = [0, 0];
  await using latchkey = await openLatchkey({
    domains: [],
    issuer: (request) => {
      orders += 1;
      return issuer()(request);
    },
    onDemand: {
      addresses,
      wait,
      allow: () => {
        questions += 1;
        return true;
      },
    },
  });
  const { port } = await latchkey.listen(() => {});
  const serials = await Promise.all(Array.from({ length: 20 }, () => serialAt(port, 'shop.localhost')));
  assert.equal(new Set(serials).size, 1);
  // Once by the client, once before the order; the second answer is remembered.
  assert.deepEqual([questions, orders], [1, 1]);
});

test('who decides nothing, or fails to, permits nothing', async () => {
  const decisions = [
    () => 'yes' as unknown as boolean,
    () => {
      throw new Error('the database is away');
    },
  ];
  for (const allow of decisions) {
    await using latchkey = await openLatchkey({ domains: [], onDemand: { addresses, wait, allow } });
    const { port } = await latchkey.listen(() => {});
    await assert.rejects(handshake(port, { servername: 'shop.localhost' }), /unrecognized name/i);
  }
});

test('a name that was ordered on demand is served after a restart without being ordered anew', async (t) => {
  const storeDir = await mkdtemp(join(tmpdir(), 'latchkey-on-demand-'));
  t.after(() => rm(storeDir, { recursive: true, force: true }));
  const options: Partial<LatchkeyOptions> = {
    domains: [],
    storeDir,
    onDemand: { addresses, wait, allow: permitted },
  };
  const first = await openLatchkey(options);
  const serial = await serialAt((await first.listen(() => {})).port, 'shop.localhost');
  await first.close();
  await using again = await openLatchkey({ ...options, issuer: () => assert.fail('ordered anew') });
  assert.equal(await serialAt((await again.listen(() => {})).port, 'shop.localhost'), serial);
});
