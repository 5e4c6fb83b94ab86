import assert from 'node:assert/strict';
import { connect, constants } from 'node:http2';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { httpBackend, rawBackend, startFront, until } from './proxy.testing.ts';
import type { Front } from './proxy.testing.ts';

interface Answered {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function session(t: TestContext, front: Front) {
  const client = connect(front.url);
  t.after(() => client.destroy());
  return client;
}

async function ask(
  t: TestContext,
  front: Front,
  headers: OutgoingHttpHeaders,
  body?: string,
): Promise<Answered> {
  const stream = session(t, front).request(headers, { endStream: body === undefined });
  const head = new Promise<IncomingHttpHeaders>((resolve, reject) => {
    stream.once('response', resolve).once('error', reject);
  });
  if (body !== undefined) stream.end(body);
  const [received, content] = await Promise.all([head, text(stream)]);
  return { headers: received, body: content };
}

test('a request over HTTP/2 becomes one of HTTP/1.1', async (t) => {
  const to = await httpBackend(t, (request, response) => {
    void text(request).then((body) =>
      response.end(JSON.stringify({ method: request.method, headers: request.headers, body })),
    );
  });
  const front = await startFront(t, { to, http2: true });
  const { body } = await ask(
    t,
    front,
    {
      ':method': 'POST',
      ':path': '/x?y',
      ':authority': 'www.example',
      cookie: ['a=1', 'b=2'],
      te: 'trailers',
    },
    'hello',
  );
  const seen = JSON.parse(body);
  assert.equal(seen.method, 'POST');
  assert.equal(seen.body, 'hello');
  assert.equal(seen.headers.cookie, 'a=1; b=2');
  assert.equal(seen.headers['x-forwarded-host'], 'www.example');
  assert.equal(seen.headers.te, undefined);
  assert.equal(seen.headers.host, to.slice('http://'.length));
  assert.deepEqual(
    Object.keys(seen.headers).filter((name) => name.startsWith(':')),
    [],
  );
});

test('an answer goes back over HTTP/2 without what that forbids', async (t) => {
  const to = await rawBackend(t, (socket) => {
    socket.end(
      'HTTP/1.1 201 Whatever\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nUpgrade: h2c\r\n' +
        'Set-Cookie: a\r\nSet-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    );
  });
  const front = await startFront(t, { to, http2: true });
  const { headers, body } = await ask(t, front, { ':path': '/' });
  assert.equal(headers[':status'], 201);
  assert.deepEqual(headers['set-cookie'], ['a', 'b']);
  assert.equal(body, 'ok');
  for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'x-hop'])
    assert.equal(headers[name], undefined);
});

test('an answer that breaks off resets the stream, and the connection lives on', async (t) => {
  const to = await rawBackend(t, (socket, received) => {
    if (received.startsWith('GET /whole')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    else socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
  });
  const front = await startFront(t, { to, http2: true });
  const client = session(t, front);
  const broken = client.request({ ':path': '/' });
  await assert.rejects(text(broken), /NGHTTP2_INTERNAL_ERROR/);
  assert.equal(broken.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
  assert.equal(await text(client.request({ ':path': '/whole' })), 'ok');
});

test('a stream that its client resets ends its backend request', async (t) => {
  let closed = 0;
  const to = await httpBackend(t, (request, response) => {
    request.socket.once('close', () => closed++);
    request.resume();
    if (request.method === 'GET') response.write('x');
  });
  const front = await startFront(t, { to, http2: true });
  const client = session(t, front);
  const download = client.request({ ':path': '/' });
  await new Promise((resolve) => download.once('data', resolve));
  download.close(constants.NGHTTP2_CANCEL);
  await until(() => closed === 1);
  const upload = client.request({ ':path': '/', ':method': 'PUT' }, { endStream: false });
  upload.on('error', () => {});
  upload.write('half');
  await until(() => front.active() === 1);
  upload.close(constants.NGHTTP2_CANCEL);
  await until(() => closed === 2 && front.active() === 0);
});

test('a bad head is a 502 over HTTP/2, too', async (t) => {
  const to = await rawBackend(t, (socket) => {
    socket.end('HTTP/1.1 200 OK\r\nX: a\x01b\r\nSet-Cookie: a\r\n\r\n');
  });
  const front = await startFront(t, { to, http2: true });
  const { headers } = await ask(t, front, { ':path': '/' });
  assert.equal(headers[':status'], 502);
  assert.equal(headers['set-cookie'], undefined);
});
