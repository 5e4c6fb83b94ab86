/** A Pebble that is slow, and whose way to us breaks a third of the time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, createServer as createRelay } from 'node:net';
import { test } from 'node:test';
import { AcmeClient } from '../../acme/client.ts';
import {
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from '../../acme/pebble.testing.ts';
import { systemClock } from '../../base/clock.ts';
import { subscribe } from '../../base/events.ts';
import { generateKey } from '../../pki/keys.ts';
import { savePrivateKey } from '../../store/keys.ts';
import { MemoryStore } from '../../store/memory.ts';
import { activateStaged } from '../stored/activate.ts';
import { eventually, impatientClock, settings } from '../domains.testing.ts';
import { RenewalEngine } from '../engine.ts';
import { AcmeIssuer } from './acme.ts';

/** A port whose connections lead to `port`, or are reset: every third at random, the same ones each time. */
async function breakingRelay(port: number) {
  let seed = 20_261_122;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  let resets = 0;
  const server = createRelay((socket) => {
    socket.on('error', () => {});
    if (random() < 1 / 3) {
      resets += 1;
      socket.resetAndDestroy();
      return;
    }
    const onward = connect(port, '127.0.0.1');
    onward.on('error', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: portOf(server), resets: () => resets, server };
}

function portOf(server: ReturnType<typeof createRelay>): number {
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

test(
  'all certificates are obtained from a CA that fails to validate names, and takes its time',
  { skip: withoutPebble || withoutChallengeDns },
  async (t) => {
    const store = new MemoryStore();
    const challenges = createServer((request, response) => {
      const name = request.headers.host?.split(':')[0] ?? '';
      store.load('challenges', name, 'acme-http-01.txt').then(
        (text) => response.writeHead(text ? 200 : 404, { connection: 'close' }).end(text),
        () => response.destroy(),
      );
    });
    await once(challenges.listen(0, '127.0.0.1'), 'listening');
    const relay = await breakingRelay(portOf(challenges));
    t.after(() => {
      relay.server.close();
      challenges.close();
    });
    await using dns = await startChallengeDns();
    await using pebble = await startPebble({
      httpPort: relay.port,
      resolver: dns.resolver,
      env: { PEBBLE_VA_NOSLEEP: '0', PEBBLE_VA_SLEEPTIME: '2', PEBBLE_WFE_NONCEREJECT: '30' },
    });
    const names = Array.from({ length: 8 }, (_, n) => `n${n}.example`);
    // An account for all of them, whose key takes long to make.
    const key = await generateKey({ type: 'RSA', bits: 2048 });
    for (const name of names) await savePrivateKey(store, 'staging', name, 'account.pem', key);
    let failures = 0;
    using _failed = subscribe('latchkey:renewal:failed', ({ problem }) => {
      failures += 1;
      assert.match(problem.type, /connection|acme-pending|badNonce|serverInternal/);
    });
    await using issuer = new AcmeIssuer({
      store,
      clock: systemClock,
      newClient: (directoryUrl) => new AcmeClient({ directoryUrl, ca: pebble.ca }),
    });
    await using engine = new RenewalEngine({
      domains: names.map((name) =>
        settings(name, { challenges: ['http-01'], authorities: [pebble.directoryUrl] }),
      ),
      store,
      issuer,
      clock: impatientClock,
      retryDelay: 10,
      activate: async (name) => {
        await activateStaged(store, name, { clock: impatientClock });
        return {};
      },
    });
    engine.start();
    await eventually(() => engine.status().every(({ state }) => state === 'complete'));
    assert.ok(relay.resets() > 0 && failures > 0, `${relay.resets()} resets, ${failures} failures`);
    t.diagnostic(`${names.length} certificates after ${failures} failures and ${relay.resets()} resets`);
    assert.deepEqual(await store.list('challenges'), []);
  },
);
