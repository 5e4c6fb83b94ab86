import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { suite, test } from 'node:test';
import { inspect } from 'node:util';
import { TestClock } from '../base/clock.testing.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import { AcmeClient } from './client.ts';
import { AcmeError } from './errors.ts';
import { startHostileCa } from './hostile-ca.testing.ts';

const { certPem, keyPem } = await createFallbackCertificate({
  names: ['localhost', '127.0.0.1'],
  now: Date.now(),
});
const tls = { cert: certPem, key: keyPem };

type Tunnel = (request: IncomingMessage, socket: Socket) => void;

const open: Tunnel = ({ url = '' }, socket) => {
  const [host = '', port = ''] = url.split(':');
  const there = connect(Number(port), host, () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    socket.pipe(there).pipe(socket);
  });
  for (const end of [socket, there]) end.on('error', () => end.destroy()).on('close', () => there.destroy());
};

const answering =
  (head: string): Tunnel =>
  (_request, socket) => {
    socket.on('error', () => {}).end(`HTTP/1.1 ${head}\r\ncontent-length: 0\r\n\r\n`);
  };

/** A proxy that does as told, and keeps what it was asked. */
async function startProxy(tunnel: Tunnel, server: Server = createServer()) {
  const asked: IncomingMessage[] = [];
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    asked.push(request);
    tunnel(request, socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    at: `localhost:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}

async function failure(url: string, timeout = 30_000): Promise<AcmeError> {
  const directoryUrl = 'https://ca.invalid/directory';
  await using client = new AcmeClient({ directoryUrl, proxy: { url }, timeout });
  const error: unknown = await client.directory().catch((reason: unknown) => reason);
  assert.ok(error instanceof AcmeError, String(error));
  return error;
}

suite('a proxy', () => {
  test('is asked to connect to the CA, which is spoken to by TLS of its own', async () => {
    await using ca = await startHostileCa({ tls });
    await using proxy = await startProxy(open);
    const { directoryUrl } = ca;
    await using client = new AcmeClient({ directoryUrl, ca: certPem, proxy: { url: `http://${proxy.at}` } });
    await client.directory();
    assert.equal(proxy.asked[0]?.url, new URL(directoryUrl).host);
    assert.equal(proxy.asked[0].headers['proxy-authorization'], undefined);
    await assert.rejects(
      () => new AcmeClient({ directoryUrl, proxy: { url: `http://${proxy.at}` } }).directory(),
      { code: 'acme-tls' },
    );
  });

  test('that is https itself is verified, and told user and password', async () => {
    await using ca = await startHostileCa({ tls });
    await using proxy = await startProxy(open, createSecureServer(tls));
    const { directoryUrl } = ca;
    const url = `https://me:p%40ss@${proxy.at}`;
    await using client = new AcmeClient({ directoryUrl, ca: certPem, proxy: { url, ca: certPem } });
    await client.directory();
    const login = Buffer.from('me:p@ss').toString('base64');
    assert.equal(proxy.asked[0]?.headers['proxy-authorization'], `Basic ${login}`);
    const untrusted = await failure(url);
    assert.equal(untrusted.code, 'acme-proxy');
    assert.match(untrusted.message, /^The proxy at https:\/\/localhost:\d+ \(MDHttpProxy\) can't be reached/);
  });

  test('that refuses says so', async () => {
    for (const status of ['403 Forbidden', '502 Bad Gateway', '301 Moved']) {
      await using proxy = await startProxy(answering(status));
      const { code, message } = await failure(`http://${proxy.at}`);
      assert.equal(code, 'acme-proxy');
      assert.match(
        message,
        new RegExp(`refuses to connect to ca\\.invalid \\(status ${status.slice(0, 3)}\\)`),
      );
    }
  });

  test('that demands a login says so, and what was given to it stays secret', async () => {
    await using proxy = await startProxy(answering('407 Proxy Authentication Required'));
    const error = await failure(`http://me:SECRET@${proxy.at}`);
    assert.equal(error.code, 'acme-proxy');
    assert.match(error.message, /demands a login \(status 407\)/);
    const basic = Buffer.from('me:SECRET').toString('base64');
    for (const secret of ['SECRET', basic]) assert.ok(!inspect(error, { depth: 10 }).includes(secret));
  });

  test('that hangs is given up', async () => {
    await using proxy = await startProxy(() => {});
    const { code } = await failure(`http://${proxy.at}`, 300);
    assert.ok(code === 'acme-proxy' || code === 'acme-timeout', code);
    await using patient = new AcmeClient({
      directoryUrl: 'https://ca.invalid/directory',
      proxy: { url: `http://${proxy.at}` },
      clock: new TestClock(),
      timeout: 100,
    });
    // The clock stands still: it is the proxy's own time that is up.
    await assert.rejects(patient.directory(), /did not connect to ca\.invalid within 0\.1 seconds/);
  });

  test('that speaks garbage, breaks off or goes on for ever is told, and nothing of what it says is believed', async () => {
    for (const words of [
      'SSH-2.0-OpenSSH_9.2\r\n',
      '\u0000\u0001\u0002\u0003',
      'HTTP/1.1 2',
      'HTTP/1.1 200 OK\r\nbad header\r\n\r\n',
      `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(100_000)}`,
      // It pretends to be the CA itself: no TLS, no belief.
      'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}',
    ]) {
      await using proxy = await startProxy((_request, socket) => {
        socket.on('error', () => {}).end(words);
      });
      const { code } = await failure(`http://${proxy.at}`, 300);
      assert.match(code, /^acme-(?:proxy|tls|unreachable|timeout)$/, words.slice(0, 40));
    }
  });

  test('that is not there is told', async () => {
    const { at } = await (async () => {
      await using proxy = await startProxy(open);
      return proxy;
    })();
    const { code, message } = await failure(`http://${at}`);
    assert.equal(code, 'acme-proxy');
    assert.match(message, /^The proxy at http:\/\/localhost:\d+ \(MDHttpProxy\) can't be reached/);
  });
});
