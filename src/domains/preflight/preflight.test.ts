import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { suite, test, type TestContext } from 'node:test';
import { request } from 'undici';
import { startChallengeDns, withoutChallengeDns } from '../../acme/pebble.testing.ts';
import { startDns } from '../../ca/dns.testing.ts';
import { MemoryStore } from '../../store/memory.ts';
import { settings } from '../domains.testing.ts';
import { dnsBy } from './dns.ts';
import { preflight, type PreflightOptions } from './preflight.ts';
import { isPreflightToken } from './token.ts';

const no = { possible: false, reason: 'not here' } as const;
const yes = { possible: true } as const;
const byHttp = { reach: { http01: yes, tlsAlpn01: no, dns01: no } };

async function listen(
  t: TestContext,
  handler: RequestListener,
  address = '127.0.0.1',
  port = 0,
): Promise<number> {
  const server = createServer(handler).listen(port, address);
  t.after(() => server.close().closeAllConnections());
  await once(server, 'listening');
  const bound = server.address();
  return typeof bound === 'object' && bound ? bound.port : 0;
}

/** As a worker: answers with what is in the store. */
function worker(store: MemoryStore): RequestListener {
  return (asked, response) => {
    const token = asked.url?.split('/').at(-1) ?? '';
    const folder = isPreflightToken(token) ? token : (asked.headers.host ?? '').replace(/:\d+$/, '');
    void store.load('challenges', folder, 'acme-http-01.txt').then((text) => {
      response.writeHead(text ? 200 : 404).end(text ?? 'none');
    });
  };
}

async function found(
  name: string,
  options: Omit<PreflightOptions, 'ports'>,
  http: number,
): Promise<string[]> {
  const findings = await preflight(settings(name, byHttp), { ...options, ports: { http, https: 1 } });
  return findings.map(({ severity, kind, detail }) => `${severity} ${kind}: ${detail}`);
}

suite('what DNS says', () => {
  test('leads to this server: nothing is found, nothing is left', async (t) => {
    const dns = await startDns(t);
    dns.records.set('A www.example.org', ['127.0.0.1']);
    const store = new MemoryStore();
    await store.save('challenges', 'www.example.org', 'acme-http-01.txt', 'real');
    const port = await listen(t, worker(store));
    assert.deepEqual(await found('www.example.org', { dns: dnsBy([dns.server]), store }, port), []);
    assert.deepEqual(await store.list('challenges'), ['www.example.org']);
  });

  test('is nothing, or fails', async (t) => {
    const dns = await startDns(t);
    const options = { dns: dnsBy([dns.server]), store: new MemoryStore() };
    assert.deepEqual(await found('www.example.org', options, 1), [
      'problem dns: www.example.org has no address in DNS',
    ]);
    dns.code = 2;
    assert.deepEqual(await found('www.example.org', options, 1), [
      'problem dns: looking up www.example.org fails (ESERVFAIL)',
    ]);
  });

  test('leads elsewhere, by the AAAA record only', async (t) => {
    const dns = await startDns(t);
    dns.records.set('A www.example.org', ['127.0.0.1']);
    dns.records.set('AAAA www.example.org', ['::1']);
    const store = new MemoryStore();
    const port = await listen(t, worker(store));
    const options = { dns: dnsBy([dns.server]), store };
    const [closed] = await found('www.example.org', options, port);
    assert.match(
      closed ?? '',
      /^problem reach: AAAA ::1 port \d+ can't be reached: connections are refused$/,
    );
    try {
      await listen(t, (_, response) => response.writeHead(404).end('x'.repeat(100_000)), '::1', port);
    } catch {
      return t.skip('there is no IPv6 here');
    }
    const [other] = await found('www.example.org', options, port);
    assert.match(
      other ?? '',
      /^problem reach: AAAA ::1 port \d+ answers with status 404, but not as this server$/,
    );
  });

  test('leads nowhere that can be seen from here: a hint only', async (t) => {
    const dns = await startDns(t);
    // Reserved for documentation (RFC 5737): no packet comes back.
    dns.records.set('A www.example.org', ['192.0.2.1']);
    const options = {
      dns: dnsBy([dns.server]),
      store: new MemoryStore(),
      signal: AbortSignal.timeout(20_000),
    };
    const [hint] = await found('www.example.org', options, 1);
    assert.match(hint ?? '', /^hint reach: A 192\.0\.2\.1 port 1 can't be reached/);
  });
});

test('redirects are followed on the same host, and no further than ten times', async (t) => {
  const dns = await startDns(t);
  dns.records.set('A www.example.org', ['127.0.0.1']);
  const store = new MemoryStore();
  let redirects = 3;
  let to = '';
  const port = await listen(t, (asked, response) => {
    redirects -= 1;
    if (redirects < 0) return worker(store)(asked, response);
    response.writeHead(302, { location: to + (asked.url ?? '') }).end();
  });
  const options = { dns: dnsBy([dns.server]), store };
  assert.deepEqual(await found('www.example.org', options, port), []);
  redirects = Infinity;
  assert.match(String(await found('www.example.org', options, port)), /redirects more than 10 times/);
  to = 'http://internal.example';
  assert.match(
    String(await found('www.example.org', options, port)),
    /redirects to http:\/\/internal\.example/,
  );
});

test('by tls-alpn-01, the port has to be open; by dns-01, nothing is asked', async (t) => {
  const dns = await startDns(t);
  dns.records.set('A www.example.org', ['127.0.0.1']);
  const https = await listen(t, () => {});
  const options = { dns: dnsBy([dns.server]), store: new MemoryStore(), ports: { http: 1, https } };
  const tls = settings('www.example.org', { reach: { http01: no, tlsAlpn01: yes, dns01: no } });
  assert.deepEqual(await preflight(tls, options), []);
  const [closed] = await preflight(tls, { ...options, ports: { http: 1, https: 1 } });
  assert.match(closed?.detail ?? '', /port 1 can't be reached: connections are refused/);
  const command = { command: ['true'], version: 1 } as const;
  const reach = { http01: no, tlsAlpn01: no, dns01: yes };
  const byDns = settings('nowhere.example.org', { reach, challengeDns01: command });
  assert.deepEqual(await preflight(byDns, options), []);
});

test('CAA is judged with the records of a real DNS server', async (t) => {
  if (withoutChallengeDns) return t.skip(withoutChallengeDns);
  await using dns = await startChallengeDns();
  const store = new MemoryStore();
  const port = await listen(t, worker(store));
  const set = async (path: string, body: object) =>
    (
      await request(`${dns.managementUrl}/${path}`, { method: 'POST', body: JSON.stringify(body) })
    ).body.dump();
  const options = { dns: dnsBy([dns.resolver]), store, caaIdentities: ['ca.example'] };
  assert.deepEqual(await found('www.example.org', options, port), []);
  await set('add-caa', { host: 'example.org.', policies: [{ tag: 'issue', value: 'other.example' }] });
  assert.deepEqual(await found('www.example.org', options, port), [
    'problem caa: CAA of example.org allows other.example, not ca.example',
  ]);
  await set('add-caa', { host: 'www.example.org.', policies: [{ tag: 'issue', value: 'ca.example' }] });
  assert.deepEqual(await found('www.example.org', options, port), []);
});

test('an abort ends it, and takes back what was offered', async (t) => {
  const dns = await startDns(t);
  dns.code = undefined;
  const store = new MemoryStore();
  const aborted = new AbortController();
  const looking = found('www.example.org', { dns: dnsBy([dns.server]), store, signal: aborted.signal }, 1);
  aborted.abort(new Error('enough'));
  await assert.rejects(looking, /enough/);
  assert.deepEqual(await store.list('challenges'), []);
});
