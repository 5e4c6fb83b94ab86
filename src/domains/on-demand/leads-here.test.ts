import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { suite, test, type TestContext } from 'node:test';
import { startDns } from '../../ca/dns.testing.ts';
import { MemoryStore } from '../../store/memory.ts';
import { dnsBy } from '../preflight/dns.ts';
import { strayingOf } from './leads-here.ts';

const NAME = 'shop.customer.test';

/** Answers as a worker does, or as somebody else; gives its port. */
async function neighbour(t: TestContext, store: MemoryStore | undefined): Promise<number> {
  const server = createServer((asked, response) => {
    const token = asked.url?.split('/').at(-1) ?? '';
    const load = store?.load('challenges', token, 'acme-http-01.txt') ?? Promise.resolve(undefined);
    void load.then((text) => response.writeHead(text ? 200 : 404).end(text ?? 'none'));
  }).listen(0, '127.0.0.1');
  t.after(() => server.close().closeAllConnections());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function setting(t: TestContext, ...addresses: string[]) {
  const { server, records } = await startDns(t);
  if (addresses.length > 0) records.set(`A ${NAME}`, addresses);
  const store = new MemoryStore();
  return {
    store,
    straying: (listed: readonly string[] = [], httpPort?: number, local = true) =>
      strayingOf(NAME, listed, { dns: dnsBy([server]), httpPort, store, local, signal: undefined }),
  };
}

suite('a name leads here', () => {
  test('by an address of this machine', async (t) => {
    const all = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
    const own = all.find(({ internal, family }) => !internal && family === 'IPv4')?.address;
    if (own === undefined) return t.skip('this machine has no address but the loopback');
    const { straying } = await setting(t, own);
    assert.equal(await straying(), undefined);
  });

  test('by an address that is listed', async (t) => {
    const { straying } = await setting(t, '198.51.100.1');
    assert.equal(await straying(['198.51.100.1']), undefined);
  });

  test('by who answers there as this server does; nothing of the question is left', async (t) => {
    const { straying, store } = await setting(t, '127.0.0.1');
    assert.equal(await straying([], await neighbour(t, store)), undefined);
    assert.deepEqual(await store.list('challenges'), []);
  });
});

suite('a name leads elsewhere', () => {
  test('without an address', async (t) => {
    const { straying } = await setting(t);
    assert.equal(await straying(), 'it has no address in DNS');
  });

  test('by the loopback: everybody can publish that', async (t) => {
    const { straying } = await setting(t, '127.0.0.1');
    assert.match((await straying()) ?? '', /^it leads to 127\.0\.0\.1, which is not this server/);
  });

  test('by an address that means everybody’s own machine, though this one answers there', async (t) => {
    for (const address of ['127.0.0.1', '127.1.2.3', '0.0.0.0', '169.254.169.254']) {
      const { straying, store } = await setting(t, address);
      const port = await neighbour(t, store);
      assert.match((await straying([], port, false)) ?? '', /^it leads to [\d.]+, which is not this server/);
      assert.equal(await straying([address], port, false), undefined, 'the administrator knows better');
    }
  });

  test('where one of its addresses does', async (t) => {
    const { straying } = await setting(t, '198.51.100.1', '198.51.100.2');
    assert.match((await straying(['198.51.100.1'])) ?? '', /MDOnDemandAddress 198\.51\.100\.2/);
  });

  test('where somebody else answers, or nobody', async (t) => {
    const { straying } = await setting(t, '127.0.0.1');
    assert.match((await straying([], await neighbour(t, undefined))) ?? '', /not this server/);
    assert.match((await straying([], 1)) ?? '', /not this server/);
  });

  test('as far as anybody can tell while DNS is out of order', async (t) => {
    const { store } = await setting(t);
    const failing = async () => ({ failure: 'ESERVFAIL' });
    const dns = { addresses: failing, caa: failing };
    const found = await strayingOf(NAME, [], {
      dns,
      httpPort: undefined,
      store,
      local: false,
      signal: undefined,
    });
    assert.equal(found, 'looking up its address fails (ESERVFAIL)');
  });
});
