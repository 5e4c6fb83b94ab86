import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '../base/clock.testing.ts';
import { issueFor } from '../acme/issue.testing.ts';
import { DAY, type Made, P256, put, settings } from '../domains/domains.testing.ts';
import { readPair } from '../domains/stored/held.ts';
import { generateKey, keyFileSuffix } from '../pki/keys.ts';
import { MemoryStore } from '../store/memory.ts';
import { issuerBy } from './own-issuer.ts';

const domain = settings('a.example', { domains: ['a.example', 'b.example'] });
const suffix = keyFileSuffix(P256);

/** What is staged in the end, and how often somebody was asked for it. */
async function obtain(staged: Made) {
  const [store, clock] = [new MemoryStore(), new TestClock()];
  await put(store, 'staging', domain.name, staged);
  let asked = 0;
  const issue = ({ csr }: { csr: Buffer }) => {
    asked += 1;
    return issueFor(csr, { notBefore: clock.now(), notAfter: clock.now() + 90 * DAY });
  };
  await issuerBy(issue, { store, clock }).obtain(domain, { authority: '', progress: () => {} });
  const pair = await readPair(store, 'staging', domain.name, suffix);
  assert.ok(pair && 'info' in pair);
  return { asked, pair, clock };
}

test('what an earlier run has staged is enough', async () => {
  assert.equal((await obtain({ names: domain.domains })).asked, 0);
});

test('what is staged for other names, of another key or has expired is asked for anew', async () => {
  const now = new TestClock().now();
  const unfit: readonly Made[] = [
    { names: ['a.example'] },
    { names: domain.domains, notBefore: now - 9 * DAY, notAfter: now - DAY },
    { names: domain.domains, key: await generateKey({ type: 'RSA', bits: 2048 }) },
  ];
  for (const made of unfit) {
    const { asked, pair, clock } = await obtain(made);
    assert.equal(asked, 1);
    assert.deepEqual(pair.info.names, domain.domains);
    assert.equal(pair.key.asymmetricKeyType, 'ec');
    assert.ok(pair.info.notAfter > clock.now());
  }
});
