import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp, type Server } from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { get, handshake, openLatchkey, settled } from './library.testing.ts';

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function overHttp2(port: number): Promise<string> {
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    servername: 'example.org',
    rejectUnauthorized: false,
  });
  const stream = session.request({ ':path': '/' });
  const chunks = await stream.toArray();
  session.close();
  return Buffer.concat(chunks as Buffer[]).toString();
}

test('HTTP/2 and HTTP/1.1 are spoken on one port where HTTP/2 is asked for', async () => {
  await using latchkey = await openLatchkey();
  const app = (request: { httpVersion: string }, response: { end: (text: string) => void }) =>
    response.end(request.httpVersion);
  const { port } = await latchkey.listen(app, { http2: true });
  await latchkey.ready();
  assert.equal(await overHttp2(port), '2.0');
  assert.equal((await get(port, { servername: 'example.org' })).body, '1.1');
});

test('servers of node:http2 and node:tls are secured as those of node:https', async (t) => {
  await using latchkey = await openLatchkey();
  const h2 = latchkey.secure(http2.createSecureServer({}, (_request, response) => response.end('two')));
  const raw = latchkey.secure(
    tls.createServer((socket) => socket.end(`for ${socket.alpnProtocol}`)),
    { alpn: ['imap'] },
  );
  t.after(() => [h2.close(), raw.close()]);
  const [h2Port, rawPort] = [await listening(h2), await listening(raw)];
  await latchkey.ready();
  assert.equal(await overHttp2(h2Port), 'two');
  const socket = await handshake(rawPort, { ALPNProtocols: ['imap'] });
  assert.equal(String(await once(socket, 'data')), 'for imap');
});

test('a program that counts the connections of a server hears of them, secured once or twice', async (t) => {
  await using latchkey = await openLatchkey();
  const server = createHttps((_request, response) => response.end('counted'));
  let connections = 0;
  server.on('connection', () => connections++);
  latchkey.secure(latchkey.secure(server));
  t.after(() => server.close());
  const port = await listening(server);
  await latchkey.ready();
  assert.equal((await get(port, { servername: 'example.org' })).body, 'counted');
  assert.equal(connections, 1);
});

test('a server without TLS is refused, and so is what is no server', async () => {
  await using latchkey = await openLatchkey();
  const wrong = [createTcp(), tls.createServer(), () => {}, undefined];
  for (const server of wrong) {
    assert.throws(() => latchkey.secure(server as tls.Server), { code: 'not-a-tls-server' });
  }
});

test('an app that is no function is refused, with what to give instead', async () => {
  await using latchkey = await openLatchkey();
  await assert.rejects(latchkey.listen({ routing: () => {} } as never), {
    code: 'bad-option',
    message: /Hono.*Fastify/,
  });
  await assert.rejects(
    latchkey.listen(() => {}, { port: 8443 } as never),
    {
      code: 'bad-option',
      message: /option ports of open\(\)/,
    },
  );
});

test('a connection that is upgraded stays as long as both sides want', async () => {
  await using latchkey = await openLatchkey();
  const { port, server } = await latchkey.listen(() => {});
  (server as Server).on('upgrade', (_request, socket: tls.TLSSocket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n');
    socket.pipe(socket);
  });
  await latchkey.ready();
  const socket = await handshake(port);
  socket.write('GET / HTTP/1.1\r\nhost: example.org\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n');
  assert.match(String(await once(socket, 'data')), /^HTTP\/1\.1 101/);
  socket.write('ping');
  assert.equal(String(await once(socket, 'data')), 'ping');
  socket.destroy();
});

test('an answer under way is sent to its end when the server is closed', async () => {
  const latchkey = await openLatchkey();
  const asked = Promise.withResolvers<() => void>();
  const { port } = await latchkey.listen((_request, response) => asked.resolve(() => response.end('done')));
  await latchkey.ready();
  const answer = get(port, { servername: 'example.org' });
  const finish = await asked.promise;
  const closed = latchkey.close();
  finish();
  assert.equal((await answer).body, 'done');
  await closed;
  await assert.rejects(handshake(port));
});

test('node:tls gets certificates by SNICallback, and a new one is used at once', async (t) => {
  await using latchkey = await openLatchkey();
  const server = createHttps(latchkey.tlsOptions(), (_request, response) => response.end('plain node'));
  t.after(() => server.close());
  const port = await listening(server);
  await settled(latchkey);
  assert.equal((await get(port, { servername: 'example.org' })).body, 'plain node');
  const { serials } = await latchkey.renew('example.org');
  const socket = await handshake(port);
  assert.equal(socket.getPeerX509Certificate()?.serialNumber, serials[0]);
  socket.destroy();
  await assert.rejects(handshake(port, { servername: 'other.example' }));
});

test('client certificates are asked for and judged', async () => {
  await using latchkey = await openLatchkey({
    tls: { clientAuth: 'require', clientCa: tls.rootCertificates[0] },
  });
  const { port } = await latchkey.listen((_request, response) => response.end('let in'));
  await latchkey.ready();
  await assert.rejects(get(port, { servername: 'example.org' }));
});

test('a port that is taken is named, with what to do, and nothing stays open', async () => {
  await using other = await openLatchkey();
  const taken = await other.listen(() => {});
  await using latchkey = await openLatchkey({ ports: { http: taken.httpPort, https: 0 } });
  await assert.rejects(
    latchkey.listen(() => {}),
    { code: 'listen', message: /another program has it/ },
  );
});

test('the challenge handler is middleware that lets everything else through', async () => {
  await using latchkey = await openLatchkey();
  const { challengeHandler } = latchkey;
  const { httpPort = 0 } = await latchkey.listen(() => {});
  const passed = Promise.withResolvers<string>();
  challengeHandler(
    { url: '/.well-known/acme-challenge/none', headers: { host: 'example.org' } } as never,
    {} as never,
    () => passed.resolve('next'),
  );
  assert.equal(await passed.promise, 'next');
  const { status } = await get(httpPort, {
    path: '/.well-known/acme-challenge/..%2f..',
    headers: { host: 'other.example' },
  });
  assert.equal(status, 404);
});
