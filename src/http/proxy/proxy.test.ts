import assert from 'node:assert/strict';
import http from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { defaultProxy } from '../settings.testing.ts';
import { ask, httpBackend, listen, rawBackend, startFront } from './proxy.testing.ts';

test('method, path, query, headers and body arrive as they were sent', async (t) => {
  const to = await httpBackend(t, (request, response) => {
    void text(request).then((body) =>
      response.end(
        JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }),
      ),
    );
  });
  const front = await startFront(t, { to });
  const path = '/a%2Fb/%2e%2e/c;d?x=%20&&y="\'{}|\\^`';
  const answer = await ask(
    front.url,
    { path, method: 'PATCH', headers: { 'X-Own': 'é~', 'Content-Type': 'text/x', constructor: 'c' } },
    'body',
  );
  const seen = JSON.parse(answer.body);
  assert.equal(answer.status, 200);
  assert.deepEqual([seen.method, seen.url, seen.body], ['PATCH', path, 'body']);
  assert.equal(seen.headers['x-own'], 'é~');
  assert.equal(seen.headers.constructor, 'c');
  assert.equal(seen.headers['content-type'], 'text/x');
});

test('headers of one connection stay there, and can take nothing of ours along', async (t) => {
  const to = await httpBackend(t, (request, response) => response.end(JSON.stringify(request.headers)));
  const front = await startFront(t, { to });
  const headers = {
    Connection: 'close, X-Private, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Host',
    'X-Private': '1',
    'Keep-Alive': 'timeout=9',
    'Proxy-Connection': 'x',
    'Proxy-Authorization': 'Basic Og==',
    TE: 'trailers',
    'X-Forwarded-For': '6.6.6.6',
    Host: 'www.example:8080',
  };
  const seen = JSON.parse((await ask(front.url, { headers })).body);
  assert.deepEqual(seen, {
    host: to.slice('http://'.length),
    connection: 'keep-alive',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'www.example:8080',
    'x-forwarded-server': 'front.example',
    'x-forwarded-proto': 'http',
  });
});

test('X-Forwarded-* are appended to; the scheme is what we see, not what we are told', async (t) => {
  const to = await httpBackend(t, (request, response) => response.end(JSON.stringify(request.headers)));
  const front = await startFront(t, {
    to,
    host: { directory: { proxyPreserveHost: true } },
  });
  const headers = {
    Host: 'b.example',
    'X-Forwarded-For': '192.0.2.1',
    'X-Forwarded-Host': 'a.example',
    'X-Forwarded-Server': 'edge',
    'X-Forwarded-Proto': 'https',
  };
  const seen = JSON.parse((await ask(front.url, { headers })).body);
  assert.equal(seen.host, 'b.example');
  assert.equal(seen['x-forwarded-for'], '192.0.2.1, 127.0.0.1');
  assert.equal(seen['x-forwarded-host'], 'a.example, b.example');
  assert.equal(seen['x-forwarded-server'], 'edge, front.example');
  assert.equal(seen['x-forwarded-proto'], 'http');
});

test('a body of known length keeps its length, one in chunks its chunks', async (t) => {
  const heads: http.IncomingHttpHeaders[] = [];
  const begun = Promise.withResolvers<void>();
  const to = await httpBackend(t, (request, response) => {
    heads.push(request.headers);
    if (heads.length === 2) begun.resolve();
    request.pipe(response);
  });
  const front = await startFront(t, { to });
  const known = await ask(front.url, { method: 'POST', headers: { 'Content-Length': 5 } }, 'hello');
  const slow = Readable.from(
    (async function* () {
      yield 'he';
      await begun.promise;
      yield 'llo';
    })(),
  );
  const chunked = await ask(front.url, { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' } }, slow);
  const empty = await ask(front.url, { method: 'POST' });
  assert.deepEqual([known.body, chunked.body, empty.body], ['hello', 'hello', '']);
  assert.deepEqual(
    heads.map((head) => [head['content-length'], head['transfer-encoding']]),
    [
      ['5', undefined],
      [undefined, 'chunked'],
      ['0', undefined],
    ],
  );
});

test('the answer passes on with status, reason and headers, without those of its connection', async (t) => {
  const to = await rawBackend(t, (socket) => {
    socket.end(
      'HTTP/1.1 299 Fine by me\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Hop: 1\r\nConnection: close, x-hop\r\n' +
        'Keep-Alive: timeout=1\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n',
    );
  });
  const front = await startFront(t, { to });
  const answer = await ask(front.url);
  assert.deepEqual([answer.status, answer.reason, answer.body], [299, 'Fine by me', 'ok']);
  assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
  assert.equal(answer.headers.date, 'Thu, 01 Jan 2026 00:00:00 GMT');
  assert.equal(answer.headers['x-hop'], undefined);
});

test('answers without a body have none', async (t) => {
  const to = await httpBackend(t, (request, response) => {
    if (request.url === '/204') response.writeHead(204);
    else if (request.url === '/304') response.writeHead(304, { ETag: '"e"' });
    else response.writeHead(200, { 'Content-Length': 1000 });
    response.end();
  });
  const front = await startFront(t, { to });
  const head = await ask(`${front.url}/`, { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '1000', '']);
  assert.equal((await ask(`${front.url}/204`)).status, 204);
  assert.equal((await ask(`${front.url}/304`)).headers.etag, '"e"');
});

test('a head that has no body yet goes out at once', async (t) => {
  let finish = () => {};
  const to = await httpBackend(t, (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    finish = () => void response.end('data: 1\n\n');
  });
  const front = await startFront(t, { to });
  const response = await new Promise<http.IncomingMessage>((resolve) => {
    http.get(front.url, { agent: false }, resolve);
  });
  finish();
  assert.equal(await text(response), 'data: 1\n\n');
});

test('interim answers are dropped, and Expect: 100-continue is answered by the front', async (t) => {
  let received = '';
  const to = await rawBackend(t, (socket, chunk) => {
    received += chunk;
    if (!received.includes('payload')) return;
    socket.write(
      'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    );
  });
  const front = await startFront(t, { to });
  const answer = await new Promise<string>((resolve) => {
    const request = http.request(front.url, {
      method: 'PUT',
      agent: false,
      headers: { Expect: '100-continue', 'Content-Length': 7 },
    });
    request.once('continue', () => request.end('payload'));
    request.once('response', (response) => resolve(text(response)));
    request.flushHeaders();
  });
  assert.equal(answer, 'ok');
  assert.doesNotMatch(received, /expect/i);
});

test('connections to a backend are kept, unless disablereuse=on', async (t) => {
  let connections = 0;
  const server = http.createServer((_request, response) => response.end('x'));
  server.on('connection', () => connections++);
  const to = `http://127.0.0.1:${await listen(t, server)}`;
  const keeping = await startFront(t, { to });
  for (let i = 0; i < 3; i++) await ask(keeping.url);
  assert.equal(connections, 1);
  const fresh = await startFront(t, { to, parameters: { disablereuse: 'on' } });
  for (let i = 0; i < 3; i++) await ask(fresh.url);
  assert.equal(connections, 4);
});

test('ProxyPassReverse writes the backend URLs as the client knows them', async (t) => {
  const to = await httpBackend(t, (request, response) => {
    response.writeHead(302, {
      Location: `http://${request.headers.host}/login?x=1`,
      'Content-Location': 'http://other.example/',
    });
    response.end();
  });
  const front = await startFront(t, {
    to,
    host: { proxy: { ...defaultProxy, reverse: [{ from: '/app/', to: `${to}/` }] } },
  });
  const { headers } = await ask(front.url, { headers: { Host: 'www.example' } });
  assert.equal(headers.location, 'http://www.example/app/login?x=1');
  assert.equal(headers['content-location'], 'http://other.example/');
});
