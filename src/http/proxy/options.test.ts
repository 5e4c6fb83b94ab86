/** What directives change of a request or an answer on its way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultProxy } from '../settings.testing.ts';
import { ask, httpBackend, rawBackend, startFront, until } from './proxy.testing.ts';

test('ProxyErrorOverride answers instead of the backend, whose connection lives on', async (t) => {
  const ports = new Set<number | undefined>();
  const to = await httpBackend(t, (request, response) => {
    ports.add(request.socket.remotePort);
    response.writeHead(Number(request.url?.slice(1)), { 'X-Theirs': '1' }).end('theirs');
  });
  const some = await startFront(t, { to, host: { directory: { proxyErrorOverride: [404, 500] } } });
  for (const [status, body] of [
    [404, 'failed: 404'],
    [500, 'failed: 500'],
    [403, 'theirs'],
    [200, 'theirs'],
  ] as const)
    assert.equal((await ask(`${some.url}/${status}`)).body, body, `${status}`);
  assert.equal(ports.size, 1);
  const all = await startFront(t, { to, host: { directory: { proxyErrorOverride: 'all' } } });
  assert.equal((await ask(`${all.url}/418`)).body, 'failed: 418');
});

test('an error page without end is not read to its end', async (t) => {
  let closed = false;
  const to = await rawBackend(t, (socket) => {
    socket.once('close', () => (closed = true));
    socket.write('HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n');
    const feed = (): void => {
      while (!socket.destroyed && socket.write(`1000\r\n${'x'.repeat(0x1000)}\r\n`));
      if (!socket.destroyed) socket.once('drain', feed);
    };
    feed();
  });
  const front = await startFront(t, { to, host: { directory: { proxyErrorOverride: 'all' } } });
  assert.equal((await ask(front.url)).body, 'failed: 500');
  await until(() => closed);
});

test('ProxyAddHeaders Off tells nothing of the client, and passes on what it says', async (t) => {
  const to = await httpBackend(t, (request, response) => response.end(JSON.stringify(request.headers)));
  const front = await startFront(t, { to, host: { directory: { proxyAddHeaders: false } } });
  const { body } = await ask(front.url, { headers: { 'X-Forwarded-For': '192.0.2.1' } });
  const seen = JSON.parse(body);
  assert.equal(seen['x-forwarded-for'], '192.0.2.1');
  for (const name of ['host', 'server', 'proto']) assert.equal(seen[`x-forwarded-${name}`], undefined);
});

test('Max-Forwards is counted down, and its end is told', async (t) => {
  const to = await httpBackend(t, (request, response) =>
    response.end(request.headers['max-forwards'] ?? '-'),
  );
  const front = await startFront(t, { to });
  const forwards = (value: string) => ask(front.url, { headers: { 'Max-Forwards': value } });
  assert.equal((await ask(front.url)).body, '-');
  assert.equal((await forwards('5')).body, '4');
  assert.equal((await forwards('1')).body, '0');
  for (const value of ['0', '-1', 'x']) assert.equal((await forwards(value)).status, 400, value);
  const bounded = await startFront(t, { to, host: { proxy: { ...defaultProxy, maxForwards: 7 } } });
  assert.equal((await ask(bounded.url)).body, '7');
});

test('domains and paths of cookies are mapped back', async (t) => {
  const cookies = [
    'a=1; Domain=Backend.Example; Path=/app/x; HttpOnly',
    'b=2; path=/other; domain=else.example',
    'domain=backend.example',
  ];
  const to = await httpBackend(t, (_request, response) => response.setHeader('Set-Cookie', cookies).end());
  const proxyCookies = [
    { attribute: 'domain', from: 'backend.example', to: 'www.example' },
    { attribute: 'path', from: '/app/', to: '/' },
  ] as const;
  const front = await startFront(t, { to, host: { directory: { proxyCookies } } });
  assert.deepEqual((await ask(front.url)).headers['set-cookie'], [
    'a=1; Domain=www.example; Path=/x; HttpOnly',
    'b=2; path=/other; domain=else.example',
    'domain=backend.example',
  ]);
});

test('ProxyPassReverse of a balancer stands for its members', async (t) => {
  const to = await httpBackend(t, (_request, response) =>
    response.writeHead(302, { Location: 'http://b2.example:8080/x/y' }).end(),
  );
  const members = ['http://b1.example/x', 'http://b2.example:8080/x'].map((url) => ({ url, parameters: {} }));
  const balancers = [{ name: 'balancer://app', members, parameters: {} }];
  const reverse = [{ from: '/a/', to: 'balancer://app/' }];
  const front = await startFront(t, { to, host: { proxy: { ...defaultProxy, balancers, reverse } } });
  assert.equal(
    (await ask(front.url, { headers: { Host: 'f.example' } })).headers.location,
    'http://f.example/a/y',
  );
});
