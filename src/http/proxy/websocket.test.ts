import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { httpBackend, rawBackend, startFront, until } from './proxy.testing.ts';
import type { Front } from './proxy.testing.ts';
import { echoBackend } from './websocket.testing.ts';

const websocket = { upgrade: 'websocket' };

const handshake =
  'GET /ws HTTP/1.1\r\nHost: www.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://www.example\r\n';

/** Sends `bytes`, collects what comes. */
function dial(
  front: Front,
  bytes: string,
): { socket: Socket; received: () => string; closed: () => boolean } {
  let received = '';
  let closed = false;
  const socket = connect(front.port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  socket.once('error', () => {}).once('close', () => (closed = true));
  return { socket, received: () => received, closed: () => closed };
}

for (const [how, scheme, parameters] of [
  ['upgrade=websocket', 'http', websocket],
  ['a ws: URL', 'ws', {}],
] as const)
  test(`messages of every size go both ways (${how})`, async (t) => {
    const backend = await echoBackend(t);
    const front = await startFront(t, { to: `${scheme}://${backend.host}`, parameters });
    const client = new WebSocket(`ws://127.0.0.1:${front.port}/chat?room=1`);
    client.binaryType = 'arraybuffer';
    await new Promise((resolve) => client.addEventListener('open', resolve, { once: true }));
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const message = Buffer.alloc(size, 'latchkey');
      const answer = new Promise<ArrayBuffer>((resolve) => {
        client.addEventListener('message', (event) => resolve(event.data as ArrayBuffer), {
          once: true,
        });
      });
      client.send(message);
      assert.equal(digest(await answer), digest(message));
    }
    const closed = new Promise<CloseEvent>((resolve) =>
      client.addEventListener('close', resolve, { once: true }),
    );
    client.close(1000, 'done');
    const { code, reason, wasClean } = await closed;
    assert.deepEqual([code, reason, wasClean], [1000, 'done', true]);
    await until(() => backend.sockets.size === 0 && front.active() === 0);
    assert.match(`${backend.heads[0]}\r\n`, /^GET \/chat\?room=1 HTTP\/1\.1\r\n/);
    assert.match(`${backend.heads[0]}\r\n`, /\r\nx-forwarded-for: 127\.0\.0\.1\r\n/);
  });

test('the handshake is relayed as it is', async (t) => {
  const backend = await echoBackend(
    t,
    'Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: timeout=3\r\n',
  );
  const front = await startFront(t, { to: `http://${backend.host}`, parameters: websocket });
  const client = dial(front, `${handshake}Sec-WebSocket-Protocol: chat, x\r\nKeep-Alive: x\r\n\r\n`);
  await until(() => client.received().endsWith('\r\n\r\n'));
  assert.deepEqual(client.received().split('\r\n').slice(0, -2), [
    'HTTP/1.1 101 Switching Protocols',
    'upgrade: websocket',
    'connection: Upgrade',
    'sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    'sec-websocket-protocol: chat',
    'set-cookie: a=1',
    'set-cookie: b=2',
  ]);
  const [head = ''] = backend.heads;
  for (const line of [
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'origin: https://www.example',
    'sec-websocket-protocol: chat, x',
  ])
    assert.ok(head.split('\r\n').includes(line), line);
  assert.doesNotMatch(head, /keep-alive/i);
  client.socket.destroy();
  await until(() => backend.sockets.size === 0);
});

test('frames sent along with the handshake are not lost', async (t) => {
  const backend = await echoBackend(t);
  const front = await startFront(t, { to: `http://${backend.host}`, parameters: websocket });
  const client = dial(front, `${handshake}\r\n\x81\x82\x00\x00\x00\x00hi`);
  await until(() => client.received().endsWith('\x81\x02hi'));
  client.socket.destroy();
});

test('a refused handshake is passed on', async (t) => {
  const to = await httpBackend(t, (_request, response) => {
    response.writeHead(403, { 'Content-Length': 2, 'X-Why': 'because' });
    response.end('no');
  });
  const front = await startFront(t, { to, parameters: websocket });
  const client = dial(front, `${handshake}\r\n`);
  await until(client.closed);
  assert.match(client.received(), /^HTTP\/1\.1 403 Forbidden\r\n[^]*x-why: because\r\n[^]*\r\n\r\nno$/i);
});

test('without upgrade=websocket, or for another protocol, it is a plain request', async (t) => {
  const to = await httpBackend(t, (request, response) => response.end(`upgrade: ${request.headers.upgrade}`));
  const plain = dial(await startFront(t, { to }), `${handshake}\r\n`);
  await until(plain.closed);
  assert.match(plain.received(), /\r\n\r\n[^]*upgrade: undefined/);
  const other = dial(
    await startFront(t, { to, parameters: websocket }),
    `${handshake}\r\n`.replace('websocket', 'h2c'),
  );
  await until(other.closed);
  assert.match(other.received(), /\r\n\r\n[^]*upgrade: undefined/);
});

test('an end that vanishes takes the other along', async (t) => {
  const backend = await echoBackend(t);
  const front = await startFront(t, { to: `http://${backend.host}`, parameters: websocket });
  const first = dial(front, `${handshake}\r\n`);
  await until(() => first.received() !== '' && backend.sockets.size === 1);
  first.socket.resetAndDestroy();
  await until(() => backend.sockets.size === 0);
  const second = dial(front, `${handshake}\r\n`);
  await until(() => second.received() !== '' && backend.sockets.size === 1);
  for (const socket of backend.sockets) socket.destroy();
  await until(second.closed);
});

test('a silent tunnel is closed', async (t) => {
  const backend = await echoBackend(t);
  const front = await startFront(t, {
    to: `http://${backend.host}`,
    parameters: { ...websocket, timeout: '50ms' },
  });
  const client = dial(front, `${handshake}\r\n`);
  await until(() => client.closed() && backend.sockets.size === 0);
  assert.match(client.received(), /^HTTP\/1\.1 101/);
  assert.match(front.log.join('\n'), /AH10212: tunnel running timeout/);
});

test('a client that leaves during the handshake leaves nothing behind', async (t) => {
  let backend: Socket | undefined;
  const to = await rawBackend(t, (socket) => (backend = socket));
  const front = await startFront(t, { to, parameters: websocket });
  const client = dial(front, `${handshake}\r\n`);
  await until(() => backend !== undefined);
  client.socket.destroy();
  await until(() => front.active() === 0 && backend?.destroyed === true);
});

test('a backend that is not there, or switches to something else, is a 502', async (t) => {
  const to = await rawBackend(t, (socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n');
  });
  const front = await startFront(t, { to, parameters: websocket });
  const client = dial(front, `${handshake}\r\n`);
  await until(client.closed);
  assert.match(client.received(), /^HTTP\/1\.1 502/);
});

function digest(bytes: ArrayBuffer | Buffer): string {
  return createHash('sha256').update(new Uint8Array(bytes)).digest('hex');
}
