/** Backends that are not HTTP/1.1 over TCP: HTTP/2, unix sockets, balancers. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { constants, createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ask, listen, startFront, until } from './proxy.testing.ts';

async function h2cBackend(
  t: TestContext,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  sessions = { opened: 0 },
): Promise<{ readonly to: string; readonly server: Http2Server }> {
  const server = createHttp2Server();
  server.on('session', () => sessions.opened++);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers);
  });
  return { to: `h2c://127.0.0.1:${await listen(t, server)}`, server };
}

test('h2c: requests and answers go both ways, all on one connection', async (t) => {
  const sessions = { opened: 0 };
  const { to } = await h2cBackend(
    t,
    (stream, headers) => {
      void text(stream).then((body) => {
        stream.respond({
          ':status': 201,
          'set-cookie': ['a=1', 'b=2'],
          'x-seen': String(headers['x-custom']),
        });
        stream.end(`${headers[':method']} ${headers[':path']} ${headers[':authority']} ${body}`);
      });
    },
    sessions,
  );
  const front = await startFront(t, { to });
  const asked = Array.from({ length: 5 }, () =>
    ask(
      `${front.url}/x?y`,
      { method: 'POST', headers: { 'X-Custom': 'z', Connection: 'keep-alive' } },
      'hello',
    ),
  );
  for (const answer of await Promise.all(asked)) {
    assert.equal(answer.status, 201);
    assert.equal(answer.body, `POST /x?y ${to.slice('h2c://'.length)} hello`);
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(answer.headers['x-seen'], 'z');
  }
  assert.equal(sessions.opened, 1);
});

test('h2c: fields that are called like what every object has are passed on as they are', async (t) => {
  const { to } = await h2cBackend(t, (stream, headers) => {
    stream.respond({ ':status': 200 });
    stream.end(String(headers['constructor']));
  });
  const front = await startFront(t, { to });
  const answer = await ask(front.url, { headers: { Constructor: 'crane' } });
  assert.equal(answer.body, 'crane');
});

/** A frame of HTTP/2 (RFC 9113, section 4.1) on stream 1, or 0 for settings. */
function frame(type: number, flags: number, payload: readonly number[]): Buffer {
  const stream = type === 4 ? 0 : 1;
  return Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream, ...payload]);
}

// Node as a backend ends its streams before it resets them, so this one writes its frames itself.
for (const code of [2, 7, 8])
  test(`h2c: an answer that is reset with code ${code} never looks complete`, async (t) => {
    const backend = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(frame(4, 0, []));
        const head = frame(1, 4, [0x88]);
        const half = frame(0, 0, [...Buffer.from('half')]);
        socket.write(Buffer.concat([head, half, frame(3, 0, [0, 0, 0, code])]));
      });
    });
    const front = await startFront(t, { to: `h2c://127.0.0.1:${await listen(t, backend)}` });
    await assert.rejects(ask(front.url), /aborted|ECONNRESET|socket hang up/);
    assert.match(front.log.join('\n'), /AH01110: error reading response/);
  });

test('h2c: a stream that is reset before its answer is a 502', async (t) => {
  const { to } = await h2cBackend(t, (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  const front = await startFront(t, { to });
  assert.equal((await ask(front.url, { method: 'POST' })).status, 502);
});

test('h2c: a backend that says nothing in time is a 504, one that speaks HTTP/1.1 a 502', async (t) => {
  const { to } = await h2cBackend(t, () => {});
  const front = await startFront(t, { to, parameters: { timeout: '20ms' } });
  assert.equal((await ask(front.url)).status, 504);
  const http1 = await listen(t, createHttpServer());
  const wrong = await startFront(t, { to: `h2c://127.0.0.1:${http1}` });
  assert.equal((await ask(wrong.url)).status, 502);
});

test('h2c: after the backend went away, the next request opens a connection', async (t) => {
  const sessions = { opened: 0 };
  const { to, server } = await h2cBackend(
    t,
    (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('ok', () => stream.session?.goaway());
    },
    sessions,
  );
  const front = await startFront(t, { to });
  for (let i = 0; i < 3; i++) assert.equal((await ask(front.url)).body, 'ok');
  assert.ok(sessions.opened >= 2);
  assert.equal(server.listening, true);
});

test('h2c: a client that leaves resets its stream and no other', async (t) => {
  const closed: (number | undefined)[] = [];
  let opened = 0;
  const { to } = await h2cBackend(t, (stream) => {
    opened++;
    stream.once('close', () => closed.push(stream.rstCode));
    stream.respond({ ':status': 200 });
    stream.write('x');
  });
  const front = await startFront(t, { to });
  const controller = new AbortController();
  const asked = ask(front.url, { signal: controller.signal });
  await until(() => front.active() === 1 && opened === 1);
  controller.abort();
  await assert.rejects(asked);
  await until(() => front.active() === 0 && closed.length === 1);
  assert.deepEqual(closed, [constants.NGHTTP2_CANCEL]);
});

test('a unix socket is connected to, and the URL behind it is what the backend sees', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-unix-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'backend.sock');
  const server = createHttpServer((request, response) =>
    response.end(`${request.headers.host} ${request.url}`),
  );
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  const front = await startFront(t, { to: `unix:${path}|http://localhost` });
  assert.equal((await ask(`${front.url}/a?b`)).body, 'localhost /a?b');
  const absent = await startFront(t, { to: `unix:${folder}/none|http://localhost` });
  assert.equal((await ask(absent.url)).status, 502);
});
