/** The library against Let's Encrypt's Pebble, with each challenge. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { request } from 'undici';
import {
  type ChallengeDns,
  startChallengeDns,
  startPebble,
  withoutChallengeDns,
  withoutPebble,
} from '../acme/pebble.testing.ts';
import { MemoryStore } from '../store/memory.ts';
import { Latchkey } from './latchkey.ts';
import { handshake } from './library.testing.ts';
import type { LatchkeyOptions } from './options.ts';

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Adds or removes a record as a DNS provider's API would. */
async function record(dns: ChallengeDns, what: string, host: string, value?: string): Promise<void> {
  const body = JSON.stringify({ host: `${host}.`, value });
  const answer = await request(`${dns.managementUrl}/${what}`, { method: 'POST', body });
  assert.equal(answer.statusCode, 200);
}

suite('with Pebble', { skip: withoutPebble || withoutChallengeDns }, () => {
  /** Fulfilled with the names of the certificate that is shown, and the challenges that were set up. */
  async function obtained(t: TestContext, options: (dns: ChallengeDns) => Partial<LatchkeyOptions>) {
    const server = createHttps();
    const plain = createHttp((...exchange) => latchkey.challengeHandler(...exchange));
    const [tlsPort, httpPort] = [await listening(t, server), await listening(t, plain)];
    await using dns = await startChallengeDns();
    await using pebble = await startPebble({ tlsPort, httpPort, resolver: dns.resolver });
    await using latchkey = await Latchkey.open({
      domains: ['www.example.test'],
      agreement: 'accepted',
      email: 'admin@example.test',
      authority: pebble.directoryUrl,
      authorityCa: pebble.ca,
      store: new MemoryStore(),
      ...options(dns),
    });
    const challenges: string[] = [];
    latchkey.on('challenge:ready', ({ type, name }) => challenges.push(`${type} ${name}`));
    latchkey.on('renewal:failed', ({ problem }) => assert.fail(problem.detail));
    latchkey.secure(server);
    await latchkey.ready();
    const socket = await handshake(tlsPort, { servername: 'www.example.test', ca: await pebble.root() });
    const names = socket.getPeerX509Certificate()?.subjectAltName?.split(', ').toSorted();
    socket.destroy();
    return { names, challenges: challenges.toSorted() };
  }

  test('tls-alpn-01 is answered by the port that serves', async (t) => {
    assert.deepEqual(await obtained(t, () => ({})), {
      names: ['DNS:www.example.test'],
      challenges: ['tls-alpn-01 www.example.test'],
    });
  });

  test('http-01 is answered by a server of the program', async (t) => {
    const { challenges } = await obtained(t, () => ({ challenges: ['http-01'] }));
    assert.deepEqual(challenges, ['http-01 www.example.test']);
  });

  test('a wildcard and its base are proved by records that the program writes and removes', async (t) => {
    const written: string[] = [];
    const { names, challenges } = await obtained(t, (dns) => ({
      domains: ['example.test', '*.example.test'],
      challenges: ['dns-01'],
      dns: {
        add: async (name, value) => {
          written.push(`${name} ${value}`);
          await record(dns, 'set-txt', name, value);
        },
        remove: async (name, value) => {
          written.splice(written.indexOf(`${name} ${value}`), 1);
          if (written.length === 0) await record(dns, 'clear-txt', name);
        },
      },
    }));
    assert.deepEqual(names, ['DNS:*.example.test', 'DNS:example.test']);
    assert.deepEqual(challenges, ['dns-01 example.test', 'dns-01 example.test']);
    assert.deepEqual(written, []);
  });
});
