/** Latchkey in front of nginx, and of a WebSocket backend. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { on, once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Agent, WebSocket } from 'undici';
import { echoBackend } from '../../src/http/proxy/websocket.testing.ts';
import { eventually, freePorts, missing, selfSigned, TestServer } from '../latchkey.testing.ts';
import { curl } from './clients.testing.ts';
import { startNginx } from './nginx.testing.ts';

const name = 'front.test';

test('nginx behind Latchkey', async (t) => {
  const lacking = missing('nginx', 'curl', 'openssl');
  if (lacking) return t.skip(lacking);
  const [https = 0, backend = 0, closed = 0] = await freePorts(3);
  await using server = new TestServer();
  await using _nginx = await startNginx(server.dir, backend);
  const { cert, key } = selfSigned(server.dir, name);
  const large = randomBytes(8 * 1024 * 1024);
  writeFileSync(join(server.dir, 'files/large.bin'), large);
  writeFileSync(join(server.dir, 'files/index.html'), 'hello from nginx\n');
  server.configure(`
Listen 127.0.0.1:${https} https
Protocols h2 http/1.1
<VirtualHost *:${https}>
  ServerName ${name}
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
  RequestHeader unset X-Secret
  ProxyPass /own !
  ProxyPass /gone/ http://127.0.0.1:${closed}/
  ProxyPass / http://127.0.0.1:${backend}/
  ProxyPassReverse / http://127.0.0.1:${backend}/
</VirtualHost>`);
  await server.start();
  const base = `https://${name}:${https}`;

  for (const http of ['--http1.1', '--http2']) {
    const ask = (path: string, ...args: string[]) => curl(base + path, '--cacert', cert, http, ...args);

    await t.test(`${http}: pages`, async () => {
      const { status, body, version } = await ask('/');
      assert.deepEqual([status, body, version], [200, 'hello from nginx\n', http.slice('--http'.length)]);
      assert.equal((await ask('/none')).status, 404);
    });

    await t.test(`${http}: what nginx is asked`, async () => {
      const { body } = await ask('/asked/a%20b?c=%2F', '-H', 'X-Secret: told');
      const [line, host, client, forwardedHost, secret] = body.split('|');
      assert.equal(line, 'GET /asked/a%20b?c=%2F');
      assert.equal(host, `127.0.0.1:${backend}`);
      assert.equal(client, '127.0.0.1');
      assert.equal(forwardedHost, `${name}:${https}`);
      assert.equal(secret, '');
    });

    await t.test(`${http}: a redirect leads back to Latchkey`, async () => {
      const { status, location } = await ask('/moved');
      assert.deepEqual([status, location], [302, `${base}/there?x=y`]);
    });

    await t.test(`${http}: a download, whole and in part`, async () => {
      const file = join(server.dir, 'got.bin');
      await ask('/large.bin', '-o', file);
      assert.ok(readFileSync(file).equals(large));
      const { status } = await ask('/large.bin', '-r', '1000000-1999999', '-o', file);
      assert.equal(status, 206);
      assert.ok(readFileSync(file).equals(large.subarray(1_000_000, 2_000_000)));
    });

    await t.test(`${http}: an upload, with its length and without`, async () => {
      const file = join(server.dir, 'files/large.bin');
      const stored = join(server.dir, 'files/stored.bin');
      for (const more of [[], ['-H', 'Transfer-Encoding: chunked']]) {
        const { status } = await ask('/stored.bin', '-T', file, ...more);
        assert.ok(status === 201 || status === 204, `${status}`);
        assert.ok(readFileSync(stored).equals(large));
        writeFileSync(stored, '');
      }
    });

    await t.test(`${http}: a backend that is not there`, async () => {
      const { status } = await ask('/gone/');
      assert.ok(status === 502 || status === 503, `${status}`);
      await eventually('the reason in the log', () => /\[proxy:error\].*refused/i.test(server.log()));
      assert.equal((await ask('/own')).status, 404, 'this is not for the backend');
    });
  }
});

test('a WebSocket through Latchkey', async (t) => {
  const lacking = missing('openssl');
  if (lacking) return t.skip(lacking);
  const backend = await echoBackend(t);
  const [https = 0] = await freePorts(1);
  await using server = new TestServer();
  const { cert, key } = selfSigned(server.dir, name);
  server.configure(`
Listen 127.0.0.1:${https} https
Protocols h2 http/1.1
<VirtualHost *:${https}>
  ServerName ${name}
  SSLEngine on
  SSLCertificateFile ${cert}
  SSLCertificateKeyFile ${key}
  ProxyPass /ws ws://${backend.host}/
  ProxyPass /http http://${backend.host}/ upgrade=websocket
</VirtualHost>`);
  await server.start();
  const ca = readFileSync(cert, 'utf8');
  const dispatcher = new Agent({ connect: { ca, lookup: toLoopback } });
  t.after(() => dispatcher.close());

  for (const path of ['/ws', '/http']) {
    const socket = new WebSocket(`wss://${name}:${https}${path}`, { dispatcher });
    const messages = listen(socket);
    await messages.opened;
    for (const text of ['one', 'two', 'x'.repeat(100_000)]) {
      socket.send(text);
      assert.equal(await messages.next(), text, path);
    }
    await reload(server);
    socket.send('after a reload');
    assert.equal(await messages.next(), 'after a reload');
    socket.close();
    await messages.closed;
  }
  assert.equal(backend.heads.length, 2);
});

async function reload(server: TestServer): Promise<void> {
  const reloads = () => server.log().match(/AH00493/g)?.length ?? 0;
  const before = reloads();
  const { code, stderr } = await server.run('-k', 'graceful');
  assert.equal(code, 0, stderr);
  await eventually('the reload', () => reloads() > before);
}

/** Any name, for net.connect(). */
const toLoopback: LookupFunction = (_name, options, callback) => {
  if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
  else callback(null, '127.0.0.1', 4);
};

/** What a WebSocket says, in order. */
function listen(socket: WebSocket) {
  const messages = on(socket, 'message');
  return {
    opened: once(socket, 'open'),
    closed: once(socket, 'close'),
    next: async () => {
      const { value } = (await messages.next()) as { value: [MessageEvent] };
      return value[0].data as unknown;
    },
  };
}
