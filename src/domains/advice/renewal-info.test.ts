/** Renewals that a CA asks for, with Let's Encrypt's Pebble at the other end. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import { type Pebble, startPebble, withoutPebble } from '../../acme/pebble.testing.ts';
import type { Clock } from '../../base/clock.ts';
import { generateKey } from '../../pki/keys.ts';
import { readJob } from '../../store/documents.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { activateStaged } from '../stored/activate.ts';
import { eventually, impatientClock, settings } from '../domains.testing.ts';
import { RenewalEngine } from '../engine.ts';
import { AcmeIssuer } from '../issuers/acme.ts';

const HOUR = 60 * 60 * 1000;

/** Real time with jumps. */
class JumpingClock implements Clock {
  #ahead = 0;
  readonly sleep: Clock['sleep'] = (ms, options) => impatientClock.sleep(ms, options);

  now(): number {
    return Date.now() + this.#ahead;
  }

  jump(ms: number): void {
    this.#ahead += ms;
  }
}

async function inService(pebble: Pebble, clock: Clock) {
  const store = new MemoryStore();
  // Making one takes longer than all the rest.
  const accountKey = await generateKey({ type: 'RSA', bits: 2048 });
  await savePrivateKey(store, 'staging', 'a.example', 'account.pem', accountKey);
  const issuer = new AcmeIssuer({
    store,
    clock,
    newClient: (directoryUrl) => new AcmeClient({ directoryUrl, ca: pebble.ca }),
  });
  let activations = 0;
  const engine = new RenewalEngine({
    domains: [settings('a.example', { authorities: [pebble.directoryUrl] })],
    store,
    issuer,
    clock,
    activate: async (name) => {
      await activateStaged(store, name, { clock });
      activations += 1;
      return {};
    },
  });
  engine.start();
  return {
    store,
    engine,
    activations: () => activations,
    certificate: () => engine.status()[0]?.certificates[0],
    [Symbol.asyncDispose]: async () => {
      await engine[Symbol.asyncDispose]();
      await issuer[Symbol.asyncDispose]();
    },
  };
}

suite('a renewal that the CA asks for', { skip: withoutPebble }, () => {
  test('happens once, at a moment of its window, and says what it replaces', async () => {
    await using pebble = await startPebble({ env: { PEBBLE_VA_ALWAYS_VALID: '1' } });
    const clock = new JumpingClock();
    await using service = await inService(pebble, clock);
    await eventually(() => service.certificate()?.ari !== undefined);
    const first = service.certificate();
    const { window, renewAt } = first?.ari ?? { window: { start: 0, end: 0 }, renewAt: -1 };
    assert.ok(renewAt >= window.start && renewAt <= window.end);
    await eventually(() => service.engine.status()[0]?.nextRun === renewAt);

    await pebble.setRenewalInfo(await pemOf(service.store), {
      suggestedWindow: { start: '2020-01-01T00:00:00Z', end: '2020-01-02T00:00:00Z' },
      explanationURL: 'https://ca.example/incident',
    });
    clock.jump(6 * HOUR);
    await eventually(() => service.activations() === 2);
    await eventually(() => service.certificate()?.ari !== undefined);
    assert.notEqual(service.certificate()?.serial, first?.serial);
    assert.ok((service.certificate()?.ari?.window.start ?? 0) > clock.now());
    assert.match(pebble.log(), /is a replacement of/);
    const job = await readJob(service.store, 'domains', 'a.example');
    const reason = job?.log.entries.find(({ type }) => type === 'starting')?.detail ?? '';
    assert.match(
      reason,
      /^the CA wants it renewed between Wed, 01 Jan 2020 .*: https:\/\/ca\.example\/incident$/,
    );

    // Nothing is left of the old window.
    clock.jump(HOUR);
    await eventually(() => service.engine.status().every(({ running }) => !running));
    assert.equal(service.activations(), 2);
  });

  test('is done without the word of what it replaces where the CA has that replaced already', async () => {
    await using pebble = await startPebble({ env: { PEBBLE_VA_ALWAYS_VALID: '1' } });
    const clock = new JumpingClock();
    await using service = await inService(pebble, clock);
    await eventually(() => service.activations() === 1);
    const [pem, key] = [
      await pemOf(service.store),
      await service.store.load('domains', 'a.example', 'privkey.p-256.pem'),
    ];
    assert.equal((await service.engine.renewNow('a.example')).status, 'installed');
    // Put back by hand, the first one is in use again.
    await service.store.save('domains', 'a.example', 'pubcert.p-256.pem', pem);
    await service.store.save('domains', 'a.example', 'privkey.p-256.pem', key ?? '');
    const steps: string[] = [];
    const outcome = await service.engine.renewNow('a.example', {
      progress: ({ detail }) => steps.push(detail),
    });
    assert.equal(outcome.status, 'installed');
    assert.equal(
      steps.filter((detail) => /placed again without: .*alreadyReplaced/.test(detail)).length,
      1,
      steps.join('\n'),
    );
  });
});

async function pemOf(store: MemoryStore): Promise<string> {
  const pem = await store.load('domains', 'a.example', 'pubcert.p-256.pem');
  assert.ok(pem);
  return pem.toString();
}
