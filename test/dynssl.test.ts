/** Certificates of a store at the handshake, in a whole server of two workers. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { saying, silence } from '../src/certificates/sources/hostile-store.testing.ts';
import { dynamicServer } from './dynssl.testing.ts';
import { eventually, missing, run, selfSigned, signal } from './latchkey.testing.ts';

suite('names that no other certificate is for', { skip: missing('openssl') }, () => {
  test('are served with those of the store, others with the fallback', async () => {
    await using at = await dynamicServer();
    const serial = await at.issue('example.com', 'www.example.com', '*.shop.example.com');
    await at.server.start();
    assert.deepEqual(await at.shown('example.com'), { subject: 'example.com', serial });
    assert.equal((await at.shown('www.example.com')).serial, serial);
    assert.equal((await at.shown('one.shop.example.com')).serial, serial);
    assert.equal((await at.shown('unknown.com')).subject, 'localhost');
    assert.equal((await at.shown(undefined)).subject, 'localhost');
    for (let n = 0; n < 20; n++) assert.equal((await at.shown('example.com')).serial, serial);
    assert.deepEqual(at.store.names(), ['example.com', 'unknown.com']);
    assert.equal(at.store.hits[0]?.authorization, 'Bearer mysecrettoken');

    const curl = ['-k', '-v', '--resolve', `example.com:${at.https}:127.0.0.1`];
    const { stderr } = await run('curl', [...curl, `https://example.com:${at.https}`]);
    assert.match(stderr, /Server certificate[^]*subject: CN=example\.com/);
  });

  test('come after a host’s own files, and after nothing else', async () => {
    const hosts = (https: number, { dir }: { dir: string }) => {
      const { cert, key } = selfSigned(dir, 'own.example');
      return `<VirtualHost *:${https}>
  ServerName own.example
  ServerAlias *.own.example
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
</VirtualHost>
<VirtualHost *:${https}>
  ServerName bare.example
  SSLEngine on
</VirtualHost>
<VirtualHost *:${https}>
  ServerName off.example
  DynSSLEnable off
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
</VirtualHost>`;
    };
    await using at = await dynamicServer({ hosts });
    for (const name of ['own.example', 'a.own.example', 'bare.example', 'off.example']) await at.issue(name);
    await at.server.start();
    assert.equal((await at.shown('own.example')).subject, 'own.example');
    assert.equal((await at.shown('a.own.example')).subject, 'own.example');
    assert.equal((await at.shown('off.example')).subject, 'own.example');
    assert.equal((await at.shown('bare.example')).subject, 'bare.example');
    assert.deepEqual(at.store.names(), ['bare.example']);
    at.store.certificates.clear();
    await at.post('/dynssl-flush/all');
    await assert.rejects(at.shown('bare.example'), /unrecognized name|alert number 112/);
  });

  test('are asked of the store once for 1000 handshakes at a time in two workers', async () => {
    // This process, of which the store is a part, is busy with a thousand clients.
    await using at = await dynamicServer({ directives: 'DynSSLTimeout 60000' });
    const serial = await at.issue('example.com');
    await at.server.start();
    const held = Promise.withResolvers<void>();
    at.store.behaviour = async (request, response, name) => {
      await held.promise;
      at.store.answer(request, response, name);
    };
    const clients = Array.from({ length: 1000 }, () => at.shown('example.com'));
    await eventually('the question', () => at.store.hits.length > 0);
    setTimeout(() => held.resolve(), 500);
    const all = await Promise.all(clients);
    assert.ok(all.every((each) => each.serial === serial));
    assert.deepEqual(at.store.names(), ['example.com']);
  });

  test('that a scanner invents reach the store some hundred times, and known names are served on', async () => {
    await using at = await dynamicServer();
    const serial = await at.issue('example.com');
    await at.server.start();
    await at.shown('example.com');
    const begun = performance.now();
    const names = Array.from({ length: 10_000 }, (_, n) => `scan-${n}.example`);
    const scan = async () => {
      for (let name; (name = names.pop()) !== undefined;) assert.match(await at.flight(name), /localhost/);
    };
    const visit = async () => {
      while (names.length > 0) assert.equal((await at.shown('example.com')).serial, serial);
    };
    await Promise.all([visit(), ...Array.from({ length: 100 }, scan)]);
    // Two workers allow 200 each, and 20 more each second.
    const allowed = 2 * (200 + (20 * (performance.now() - begun)) / 1000) + 10;
    assert.ok(at.store.hits.length <= allowed, `${at.store.hits.length} questions, ${allowed} are allowed`);
    assert.equal((await at.shown('example.com')).serial, serial);
  });
});

suite('dynssl-flush and dynssl-status', { skip: missing('openssl') }, () => {
  test('act in all workers at the next handshake, for certificates and for names without one', async () => {
    await using at = await dynamicServer();
    const first = await at.issue('example.com');
    await at.server.start();
    for (let n = 0; n < 10; n++) assert.equal((await at.shown('example.com')).serial, first);
    for (let n = 0; n < 10; n++) assert.equal((await at.shown('new.com')).subject, 'localhost');
    const second = await at.issue('example.com');
    await at.issue('new.com');
    assert.equal(await at.post('/dynssl-flush/example.com'), '200 flushed: example.com\n');
    for (let n = 0; n < 10; n++) assert.equal((await at.shown('example.com')).serial, second);
    assert.equal(await at.post('/dynssl-flush/all'), '200 flushed: all\n');
    for (let n = 0; n < 10; n++) assert.equal((await at.shown('new.com')).subject, 'new.com');

    assert.match(await at.get('/dynssl-flush/all'), /^405 /);
    const origin = 'http://evil.example';
    const page = { method: 'POST', headers: { origin, 'sec-fetch-site': 'cross-site' } };
    assert.equal((await fetch(`http://127.0.0.1:${at.http}/dynssl-flush/all`, page)).status, 403);
    assert.match(await at.post('/dynssl-flush'), /^400 /);
    assert.match(await at.post('/dynssl-flush/..%2fx_y!'), /^(?:400|404|500) /);
    const status = await at.get('/dynssl-status');
    assert.match(status, /flush_gen {4}: all=1 domain=1\n {2}flush_domain : example\.com/);
  });

  test('show what the cache, the breaker and the store are like', async () => {
    await using at = await dynamicServer({ directives: 'DynSSLCacheRenewDays 0' });
    await at.issue('example.com');
    await at.server.start();
    await at.shown('example.com');
    const text = (await at.get('/dynssl-status')).replace(/^200 /, '');
    const [engine] = at.server.children().engine;
    const shape = text
      .replace(/\d+ \/ \d+\n {2}shm_size/, '1 / N\n  shm_size')
      .replace(/slot_size {4}: \d+/, 'slot_size    : N');
    assert.equal(
      shape,
      `mod_dynssl status
========================================

Shared Cache
  entries      : 1 / N
  shm_size     : 512 MB
  slot_size    : N bytes
  min_ttl      : 300s
  renew_buffer : 0 days
  flush_gen    : all=0 domain=0
  flush_domain : (none)

  Cached domains (sample, up to 20):
    [example.com] re-fetch in 23h  cert expires in 23h

Circuit Breaker (pid ${engine})
  status     : closed
  failures   : 0 / 5
  reset after: 30s

Store
  url     : ${at.store.url}
  auth    : Bearer
  timeout : 20000ms
`,
    );
  });

  test('race with a fetch, and the old certificate does not come back', async () => {
    await using at = await dynamicServer();
    await at.issue('example.com');
    await at.server.start();
    const old = at.store.certificates.get('example.com');
    const held = Promise.withResolvers<void>();
    at.store.behaviour = async (request, response, name) => {
      if (at.store.hits.length > 1) return at.store.answer(request, response, name);
      await held.promise;
      response.writeHead(200).end(JSON.stringify({ cert: old?.chainPem, key: old?.keyPem }));
    };
    const early = at.shown('example.com');
    await eventually('the question', () => at.store.hits.length > 0);
    const second = await at.issue('example.com');
    await at.post('/dynssl-flush/example.com');
    held.resolve();
    assert.equal((await early).serial, second);
    for (let n = 0; n < 10; n++) assert.equal((await at.shown('example.com')).serial, second);
    assert.equal(at.store.hits.length, 2);
  });
});

suite('when something fails', { skip: missing('openssl') }, () => {
  test('the breaker opens for all workers, the fallback is served, and one probe closes it', async () => {
    await using at = await dynamicServer({ directives: 'DynSSLCircuitBreaker 3\nDynSSLCircuitReset 1' });
    await at.issue('known.example');
    await at.server.start();
    const { serial } = await at.shown('known.example');
    at.store.behaviour = saying(401);
    const begun = performance.now();
    for (let n = 0; n < 10; n++) assert.equal((await at.shown(`a${n}.example`)).subject, 'localhost');
    const probes = at.store.hits.length - 4;
    assert.ok(probes >= 0 && probes <= (performance.now() - begun) / 1000, `${probes} probes`);
    assert.match(await at.get('/dynssl-status'), /status {5}: open\n {2}failures {3}: \d+ \/ 3/);
    assert.equal((await at.shown('known.example')).serial, serial);
    await eventually('the log', () =>
      /refuses our token \(401\): check DynSSLStoreToken/.test(at.server.log()),
    );
    assert.doesNotMatch(at.server.log(), /mysecrettoken|PRIVATE/);
    at.store.behaviour = (request, response, name) => at.store.answer(request, response, name);
    await at.issue('b.example');
    await eventually(
      'the breaker to close',
      async () => (await at.shown('b.example')).subject === 'b.example',
    );
    assert.match(await at.get('/dynssl-status'), /status {5}: closed/);
  });

  test('a store that says nothing costs a handshake DynSSLTimeout, and then the fallback', async () => {
    await using at = await dynamicServer({ directives: 'DynSSLTimeout 200' });
    await at.server.start();
    at.store.behaviour = silence;
    assert.equal((await at.shown('a.example')).subject, 'localhost');
    await eventually('the log', () => /did not answer within 200 ms/.test(at.server.log()));
  });

  test('the engine and a worker killed in the middle of a fetch leave everything else as it was', async () => {
    await using at = await dynamicServer({ directives: 'DynSSLTimeout 2000' });
    const serial = await at.issue('known.example');
    const cold = await at.issue('cold.example');
    await at.server.start();
    await at.shown('known.example');
    let silent = true;
    at.store.behaviour = (request, response, name) => {
      if (!silent) at.store.answer(request, response, name);
    };
    const waiting = at.shown('cold.example').catch(() => undefined);
    await eventually('the question', () => at.store.names().includes('cold.example'));
    const [engine = 0] = at.server.children().engine;
    signal(engine, 'SIGKILL');
    silent = false;
    assert.equal((await at.shown('known.example')).serial, serial);
    await waiting;
    await eventually('the next engine', async () => (await at.shown('cold.example')).serial === cold);
    // It has found what was cached before.
    assert.equal(at.store.names().filter((name) => name === 'known.example').length, 1);
    await eventually('both in the status', async () =>
      / {2}entries {6}: 2 /.test(await at.get('/dynssl-status')),
    );

    const [worker = 0] = at.server.children().workers;
    silent = true;
    const many = Array.from({ length: 20 }, () => at.shown('other.example').catch(() => undefined));
    await eventually('the question', () => at.store.names().includes('other.example'));
    signal(worker, 'SIGKILL');
    silent = false;
    await Promise.all(many);
    await eventually('two workers', () => at.server.children().workers.length === 2);
    for (let n = 0; n < 10; n++) assert.equal((await at.shown('known.example')).serial, serial);
  });

  test('a restart is warm by a snapshot, but for what was flushed', async () => {
    await using at = await dynamicServer({ directives: 'DynSSLSnapshot snapshot' });
    const serial = await at.issue('example.com', 'www.example.com');
    await at.server.start();
    await at.shown('example.com');
    await at.server.stop();
    at.store.behaviour = saying(500);
    await at.server.start();
    // From the first handshake on.
    assert.equal((await at.shown('www.example.com')).serial, serial);
    assert.doesNotMatch(at.server.read('snapshot'), /example|PRIVATE/);
    await at.post('/dynssl-flush/example.com');
    // From here on no death could bring it back.
    assert.equal(existsSync(join(at.server.dir, 'snapshot')), false);
  });

  test('a reload keeps what is cached, and what it turns off is off', async () => {
    await using at = await dynamicServer();
    const serial = await at.issue('example.com');
    await at.server.start();
    await at.shown('example.com');
    at.configure('DynSSLTimeout 1000');
    assert.equal((await at.server.run('-k', 'graceful')).code, 0);
    assert.equal((await at.shown('example.com')).serial, serial);
    assert.equal(at.store.hits.length, 1);
    at.configure('DynSSLEnable off');
    assert.equal((await at.server.run('-k', 'graceful')).code, 0);
    await assert.rejects(at.shown('example.com'));
    assert.equal((await at.shown('localhost').catch(() => ({ subject: 'refused' }))).subject, 'refused');
  });
});
