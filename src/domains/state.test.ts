import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { parseChain } from '../pki/certificate.ts';
import { DAY, makePair, P256, P384, settings } from './domains.testing.ts';
import { assess, type Held, windowStart } from './state.ts';

const now = Date.parse('2026-11-22T06:00:00Z');
const RSA = { type: 'RSA', bits: 3072 } as const;

async function held(made: Parameters<typeof makePair>[0]): Promise<Held> {
  const { pem, key } = await makePair(made);
  const chain = parseChain(pem);
  const [info] = chain;
  assert.ok(info);
  return { info, key, chain };
}

suite('the renew window', () => {
  test('is a share of the life, or a length of time before its end', () => {
    const info = { notBefore: now, notAfter: now + 90 * DAY };
    assert.equal(windowStart(info, { percent: 10 }), now + 81 * DAY);
    assert.equal(windowStart(info, { ms: 14 * DAY }), now + 76 * DAY);
    assert.equal(windowStart({ notBefore: now, notAfter: now + 30_000 }, { percent: 33 }), now + 20_100);
  });

  test('never makes a fresh certificate due at once, however short its life', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 400 * DAY }),
        fc.integer({ min: 1, max: 400 * DAY }),
        (life, ms) => {
          const start = windowStart({ notBefore: now, notAfter: now + life }, { ms });
          assert.ok(start >= now + Math.floor(life / 2) && start <= now + life);
        },
      ),
    );
  });
});

suite('the state of a domain', () => {
  test('is complete while all names are covered for every key, also by wildcards and by more names', async () => {
    const domain = settings('a.example', { domains: ['a.example', 'www.a.example'], keys: [P256, P384] });
    const pairs = new Map([
      ['.p-256', await held({ names: ['a.example', '*.a.example'] })],
      ['.secp384r1', await held({ names: ['x.example', 'www.a.example', 'a.example'], spec: P384 })],
    ]);
    const state = assess(domain, pairs, now + DAY);
    assert.deepEqual([state.state, state.reasons, state.expired], ['complete', [], false]);
    assert.equal(state.renewAt, Math.floor(now + 0.67 * 90 * DAY));
  });

  test('says in words why it is to be renewed', async () => {
    const domain = settings('a.example', { domains: ['a.example', 'b.example'], keys: [RSA, P256, P384] });
    const pairs = new Map<string, Held | { damage: string }>([
      ['', await held({ names: ['a.example', 'b.example'], spec: { type: 'RSA', bits: 2048 } })],
      ['.p-256', await held({ names: ['a.example'] })],
      ['.secp384r1', { damage: 'privkey.secp384r1.pem is missing' }],
    ]);
    const state = assess(domain, pairs, now);
    assert.equal(state.state, 'incomplete');
    assert.deepEqual(state.reasons, [
      'the RSA key has 2048 bits, not 3072',
      'the certificate does not cover b.example',
      'privkey.secp384r1.pem is missing',
    ]);
    assert.ok(state.renewAt <= now);
    assert.deepEqual(assess(settings('a.example'), new Map(), now).reasons, [
      'there is no certificate for the P-256 key',
    ]);
  });

  test('is due when the first of its keys is, and stays complete when it expires', async () => {
    const domain = settings('a.example', { keys: [P256, P384] });
    const pairs = new Map([
      ['.p-256', await held({ names: ['a.example'] })],
      ['.secp384r1', await held({ names: ['a.example'], spec: P384, notAfter: now + 10 * DAY })],
    ]);
    assert.deepEqual(assess(domain, pairs, now + 6 * DAY).reasons, []);
    const due = assess(domain, pairs, now + 7 * DAY);
    assert.deepEqual(due.reasons, ['the certificate expires on Wed, 02 Dec 2026 06:00:00 GMT']);
    const late = assess(domain, pairs, now + 10 * DAY);
    assert.deepEqual(late.reasons, ['the certificate has expired on Wed, 02 Dec 2026 06:00:00 GMT']);
    assert.deepEqual([late.state, late.expired], ['complete', true]);
  });

  test('does not mind a larger RSA key than configured', async () => {
    const pair = await held({ names: ['a.example'], spec: { type: 'RSA', bits: 2048 } });
    const domain = settings('a.example', { keys: [{ type: 'RSA', bits: 1024 }] });
    assert.equal(assess(domain, new Map([['', pair]]), now).state, 'complete');
  });
});
