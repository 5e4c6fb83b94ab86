/** What `-k graceful` and `-k restart` say of a reload that failed: their exit code is all a script looks at. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { eventually, freePorts, missing, selfSigned, signal, TestServer } from './latchkey.testing.ts';

const skip = missing('openssl') ?? false;

suite('-k graceful', { concurrency: 2 }, () => {
  test('says which certificate cannot be served, before it signals', { skip }, async () => {
    const [http = 0, https = 0] = await freePorts(2);
    await using server = new TestServer();
    const { cert, key } = selfSigned(server.dir, 'a.test');
    const other = selfSigned(server.dir, 'b.test');
    const configure = (keyFile: string) =>
      server.configure(`Workers 1
        Listen 127.0.0.1:${http}
        Listen 127.0.0.1:${https} https
        <VirtualHost *:${https}>
          ServerName a.test
          SSLEngine on
          SSLCertificateFile ${cert}
          SSLCertificateKeyFile ${keyFile}
        </VirtualHost>`);
    configure(key);
    await server.start();
    for (const [file, said] of [
      [other.key, /key/],
      [server.write('garbage.key', 'garbage'), /garbage\.key: This is not a private key in PEM format/],
    ] as const) {
      configure(file);
      const { code, stderr } = await server.run('-k', 'graceful');
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^AH00526: Syntax error on line \d+ of \S+httpd\.conf:\n/);
      assert.match(stderr, said);
    }
    assert.doesNotMatch(server.log(), /reload failed/);
  });

  test('waits for what comes of it, and tells a failure', async (t) => {
    const [port = 0, taken = 0] = await freePorts(2);
    const stranger = createServer().listen(taken, '127.0.0.1');
    await once(stranger, 'listening');
    t.after(() => stranger.close());
    await using server = new TestServer();
    const base = `Workers 1\nListen 127.0.0.1:${port}\n`;
    server.configure(base);
    await server.start();

    server.configure(`${base}Listen 127.0.0.1:${taken}\n`);
    for (const how of ['graceful', 'restart']) {
      const { code, stderr } = await server.run('-k', how);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`the running configuration stays: AH00072: .*:${taken} `));
    }
    server.configure(base);
    const { code, stderr } = await server.run('-k', 'graceful');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(server.log(), /AH00493: reloaded, generation 2/);

    signal(server.pid, 'SIGUSR1');
    await eventually('a reload by a plain signal', () => server.log().includes('generation 3'));
    await server.stop();
    assert.equal(existsSync(join(server.dir, 'logs/httpd.pid.reload')), false);
  });

  test('makes a store anew that was deleted under the server', async () => {
    const [port = 0] = await freePorts(1);
    await using server = new TestServer();
    server.configure(`Workers 1\nListen 127.0.0.1:${port}\nMDomain a.test\nMDRenewMode manual\n`);
    await server.start();
    const { engine, workers } = server.children();
    rmSync(join(server.dir, 'md'), { recursive: true });
    const renewal = await server.run('renew', 'a.test');
    assert.equal(renewal.code, 1);
    assert.match(renewal.stderr, /there is no store in .*\/md: .*reload/);

    const { code, stderr } = await server.run('-k', 'graceful');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(server.log(), /md:warn.* a new one has been made/);
    assert.equal(existsSync(join(server.dir, 'md/domains/a.test/md.json')), true);
    const domains = () => server.status().then((status) => status.domains.map(({ state }) => state));
    await eventually('a look at the new store', async () => (await domains())[0] === 'incomplete');
    assert.notDeepEqual(server.children().engine, engine);
    assert.deepEqual(server.children().workers, workers);
  });
});

test('a configuration without Listen is good for -t and for nothing else', async () => {
  const [port = 0] = await freePorts(1);
  await using server = new TestServer();
  server.configure('ServerName a.test\n');
  const checked = await server.run('-t');
  assert.equal(checked.code, 0, checked.stderr);
  const started = await server.run('-k', 'start');
  assert.equal(started.code, 1);
  assert.match(started.stderr, /^AH00451: no listening sockets available, shutting down/);
  assert.match(started.stderr, /Listen/);
  assert.deepEqual(server.processes(), []);

  server.configure(`Workers 1\nListen 127.0.0.1:${port}\n`);
  await server.start();
  server.configure('ServerName a.test\n');
  const reloaded = await server.run('-k', 'graceful');
  assert.equal(reloaded.code, 1);
  assert.match(reloaded.stderr, /no listening sockets available/);
});
