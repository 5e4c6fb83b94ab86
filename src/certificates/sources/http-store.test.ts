import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TestClock } from '../../base/clock.testing.ts';
import { systemClock } from '../../base/clock.ts';
import { silent } from '../../base/log.ts';
import { createAuthority, type TestAuthority } from '../credentials.testing.ts';
import type { TableCertificate } from '../table.ts';
import {
  HostileStore,
  bodyOf,
  breakingOff,
  saying,
  silence,
  type Behaviour,
  type HostileStoreOptions,
} from './hostile-store.testing.ts';
import { HttpStore } from './http-store.ts';
import type { DynamicStoreSettings } from './settings.ts';
import { storeSettings } from './settings.testing.ts';

let authority: TestAuthority;
let certificate: TableCertificate;
let other: TableCertificate;
let local: TableCertificate;
before(async () => {
  authority = await createAuthority();
  [certificate, other, local] = await Promise.all([
    authority.issue(['a.example', '*.a.example']),
    authority.issue(['b.example']),
    authority.issue(['127.0.0.1', 'localhost']),
  ]);
});

interface Setting extends AsyncDisposable {
  readonly store: HostileStore;
  readonly client: HttpStore;
  readonly said: string[];
  problem(name?: string): Promise<string>;
}

async function setting(
  changes: Partial<DynamicStoreSettings> = {},
  options: HostileStoreOptions & { ca?: string; clock?: TestClock } = {},
): Promise<Setting> {
  const store = await HostileStore.start(options);
  store.certificates.set('a.example', certificate);
  const said: string[] = [];
  const note = (line: string) => void said.push(line);
  const client = new HttpStore({
    settings: storeSettings([store.url], changes),
    ca: options.ca,
    clock: options.clock ?? systemClock,
    logger: { ...silent('ssl'), error: note, notice: note },
  });
  return {
    store,
    client,
    said,
    async problem(name = 'a.example') {
      const found = await client.find(name);
      assert.ok(found.kind === 'failed', `it is ${found.kind}`);
      return found.problem;
    },
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

/** The breaker opens at two failures: whether a fault is one shows in it. */
async function faults(behaviour: Behaviour, what: RegExp, counts: boolean, timeout = 5000): Promise<void> {
  await using at = await setting({ breakerFailures: 2, timeout });
  at.store.behaviour = behaviour;
  assert.match(await at.problem(), what);
  await at.problem();
  assert.equal(at.client.status()[0]?.breaker.state, counts ? 'open' : 'closed');
  assert.equal(at.store.hits.length > 2, false);
  await at.client.find('c.example');
  assert.equal(at.store.names().includes('c.example'), !counts);
}

suite('a certificate store', () => {
  test('is asked by name, with the token, and gives what it has or nothing', async () => {
    await using at = await setting({ token: 'secret-token' });
    const found = await at.client.find('a.example');
    assert.ok(found.kind === 'found');
    assert.equal(found.set.certificates[0]?.serial, certificate.serial);
    assert.deepEqual(found.names, ['a.example', '*.a.example']);
    assert.deepEqual(await at.client.find('unknown.example'), { kind: 'none' });
    assert.deepEqual(at.store.names(), ['a.example', 'unknown.example']);
    for (const { authorization } of at.store.hits) assert.equal(authorization, 'Bearer secret-token');
  });

  test('gives a wildcard certificate for a name under it', async () => {
    await using at = await setting();
    at.store.certificates.set('shop.a.example', certificate);
    assert.equal((await at.client.find('shop.a.example')).kind, 'found');
  });

  test('is told what we have, and need not send it again', async () => {
    await using at = await setting();
    const first = await at.client.find('a.example');
    assert.ok(first.kind === 'found');
    assert.deepEqual(await at.client.find('a.example', first.tag), { kind: 'unchanged' });
    assert.equal(at.store.hits[0]?.ifNoneMatch, undefined);
    at.store.certificates.set('a.example', await authority.issue(['a.example']));
    assert.equal((await at.client.find('a.example', first.tag)).kind, 'found');
  });

  test('is reached over one kept HTTP/2 connection, whoever asks', async () => {
    await using at = await setting({}, { tls: local, ca: authority.rootPem });
    await at.client.find('a.example');
    await Promise.all(Array.from({ length: 50 }, () => at.client.find('a.example')));
    assert.ok(at.store.hits.every(({ httpVersion }) => httpVersion === '2.0'));
    assert.equal(at.store.connections, 1);
  });

  test('that ends kept connections at the moment when they are used is asked once more', async () => {
    for (const tls of [undefined, local]) {
      await using at = await setting({}, tls ? { tls, ca: authority.rootPem } : {});
      await at.client.find('a.example');
      // Its connection counts as free from then on.
      await turn();
      at.store.behaviour = (request, response, name) => {
        const { socket } = response;
        if (!socket || at.store.hits.length > 2) return at.store.answer(request, response, name);
        socket.destroy();
      };
      const again = await at.client.find('a.example');
      assert.equal(again.kind, 'found', JSON.stringify(again));
      assert.equal(at.store.hits.length, 3);
      assert.equal(at.client.status()[0]?.breaker.failures, 0);
    }
  });

  test('is reached over a unix socket', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'latchkey-store-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const socketPath = join(dir, 'store.sock');
    await using at = await setting({}, { socketPath });
    assert.equal((await at.client.find('a.example')).kind, 'found');
  });

  test('must show a certificate that is trusted, unless verification is off', async () => {
    await using verified = await setting({ breakerFailures: 1 }, { tls: local });
    assert.match(await verified.problem(), /not trusted .*DynSSLStoreCAFile/);
    assert.equal(verified.client.status()[0]?.breaker.state, 'open');
    await using unverified = await setting({ verify: false }, { tls: local });
    assert.equal((await unverified.client.find('a.example')).kind, 'found');
    await using named = await setting({}, { tls: other, ca: authority.rootPem });
    assert.match(await named.problem(), /not trusted/);
  });

  test('may have a self-signed certificate for its names, by CN alone, too', async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'latchkey-store-'));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const files = ['-keyout', join(dir, 'key'), '-out', join(dir, 'crt')];
    const request = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-days',
      '90',
      '-nodes',
      '-subj',
      '/CN=cn.example',
    ];
    execFileSync('openssl', [...request, ...files], { stdio: 'ignore' });
    await using at = await setting();
    const pair = {
      chainPem: readFileSync(join(dir, 'crt'), 'utf8'),
      keyPem: readFileSync(join(dir, 'key'), 'utf8'),
    };
    at.store.certificates.set('cn.example', pair);
    at.store.certificates.set('www.cn.example', pair);
    assert.equal((await at.client.find('cn.example')).kind, 'found');
    assert.match(await at.problem('www.cn.example'), /is for cn\.example, not for www\.cn\.example/);
  });
});

suite('a certificate store that misbehaves', () => {
  test('with a status that tells of its own trouble counts as a failure', async () => {
    await faults(saying(500), /status 500/, true);
    await faults(saying(503), /status 503/, true);
    await faults(saying(401), /refuses our token \(401\): check DynSSLStoreToken/, true);
    await faults(saying(429), /too often \(429\)/, true);
  });

  test('with another status fails for the name, and no more', async () => {
    await faults(saying(403), /status 403/, false);
    await faults(saying(400), /status 400/, false);
    await faults(saying(304), /redirects|status 304/, false);
    const elsewhere = { location: 'http://127.0.0.1:1/' };
    await faults(saying(302, '', elsewhere), /redirects \(status 302\), which is not followed/, false);
  });

  test('with an answer that is none counts as a failure, and nothing of it is in the message', async () => {
    for (const body of ['', '{', 'null', '[]', '{"cert":1,"key":2}', '{"cert":"x"}', '<html>']) {
      await faults(saying(200, body), /not JSON with the texts "cert" and "key"/, true);
    }
    await faults(saying(200, '{"cert":"x","key":"y"}'), /certificate store http/, true);
  });

  test('with a certificate that must not be served counts as a failure', async () => {
    const mixed = { chainPem: certificate.chainPem, keyPem: other.keyPem };
    await faults(saying(200, bodyOf(mixed)), /private key is not that of the certificate/, true);
    await faults(saying(200, bodyOf(other)), /is for b\.example, not for a\.example/, true);
  });

  test('with a certificate outside of its time counts as a failure', async () => {
    const clock = new TestClock(certificate.notAfter);
    await using at = await setting({ breakerFailures: 2 }, { clock });
    assert.match(await at.problem(), /expired on/);
    clock.jump(certificate.notBefore - 1);
    assert.match(await at.problem(), /is not valid before/);
    assert.equal(at.client.status()[0]?.breaker.state, 'open');
  });

  test('with an endless answer is cut off', async () => {
    const flood: Behaviour = (_request, response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(65_536, 'x');
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    };
    await faults(flood, /longer than the 65536 bytes that are read: raise DynSSLMaxAnswer/, true);
    const large: Behaviour = (_request, response) => {
      response.writeHead(200, { 'content-length': '10485760' });
      response.end(Buffer.alloc(10_485_760, 'x'));
    };
    await faults(large, /answer has 10485760 bytes, more than the 65536 bytes that are read/, true);
  });

  test('by half an answer, none at all or no HTTP counts as a failure', async () => {
    await faults(breakingOff(bodyOf(certificate)), /connection to it failed|more than is read/, true);
    await faults((_request, response) => void response.socket?.destroy(), /connection to it failed/, true);
    await using nonsense = await setting({ breakerFailures: 1 });
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('SSH-2.0-OpenSSH_9.9\r\n');
    });
    server.listen(nonsense.store.port + 0, '127.0.0.2');
    const client = new HttpStore({
      settings: storeSettings([`http://127.0.0.2:${nonsense.store.port}/certs`], { breakerFailures: 1 }),
      ca: undefined,
      clock: systemClock,
      logger: silent('ssl'),
    });
    const found = await client.find('a.example');
    assert.ok(found.kind === 'failed' && /does not speak HTTP|connection to it failed/.test(found.problem));
    assert.equal(client.status()[0]?.breaker.state, 'open');
    await client[Symbol.asyncDispose]();
    server.close();
  });

  test('by being slow is left after DynSSLTimeout', async () => {
    await faults(silence, /did not answer within 100 ms/, true, 100);
    const dripping: Behaviour = (_request, response) => {
      response.writeHead(200);
      response.write('{');
    };
    await faults(dripping, /did not answer within 100 ms/, true, 100);
  });

  test('by not being there, or having a name that does not resolve, counts as a failure', async () => {
    await using at = await setting();
    const down = async (url: string) => {
      const client = new HttpStore({
        settings: storeSettings([url], { breakerFailures: 1 }),
        ca: undefined,
        clock: systemClock,
        logger: silent('ssl'),
      });
      const found = await client.find('a.example');
      assert.equal(client.status()[0]?.breaker.state, 'open');
      await client[Symbol.asyncDispose]();
      return found.kind === 'failed' ? found.problem : found.kind;
    };
    const { url } = at.store;
    await at.store[Symbol.asyncDispose]();
    assert.match(await down(url), /refuses connections \(ECONNREFUSED\)/);
    assert.match(await down('http://store.invalid/certs'), /does not resolve|did not answer/);
    at.store[Symbol.asyncDispose] = async () => {};
  });
});

suite('several certificate stores', () => {
  test('are asked one after the other, until one answers; a breaker is each one’s own', async () => {
    await using first = await setting();
    await using second = await HostileStore.start();
    second.certificates.set('a.example', certificate);
    const client = new HttpStore({
      settings: storeSettings([first.store.url, second.url], { breakerFailures: 2 }),
      ca: undefined,
      clock: systemClock,
      logger: silent('ssl'),
    });
    const one = await client.find('a.example');
    assert.deepEqual([one.kind, second.hits.length], ['found', 0]);
    first.store.behaviour = saying(500);
    // The first one's ETag means nothing to the second.
    assert.equal((await client.find('a.example', one.kind === 'found' ? one.tag : '')).kind, 'found');
    assert.equal(second.hits[0]?.ifNoneMatch, undefined);
    await client.find('a.example');
    await client.find('a.example');
    assert.equal(first.store.hits.length, 3);
    assert.deepEqual(
      client.status().map(({ breaker }) => breaker.state),
      ['open', 'closed'],
    );
    await client[Symbol.asyncDispose]();
  });

  test('of which one says 404 are asked no further', async () => {
    await using first = await setting();
    await using second = await HostileStore.start();
    const client = new HttpStore({
      settings: storeSettings([first.store.url, second.url]),
      ca: undefined,
      clock: systemClock,
      logger: silent('ssl'),
    });
    assert.equal((await client.find('nobody.example')).kind, 'none');
    assert.equal(second.hits.length, 0);
    await client[Symbol.asyncDispose]();
  });
});
