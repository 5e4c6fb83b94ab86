/** Times, keep-alive, reload and draining, over HTTP/1 and HTTP/2. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import tls from 'node:tls';
import { TestClock } from '../base/clock.testing.ts';
import type { VirtualHostSettings } from '../config/settings.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import type { Exchange, Handler } from './exchange.ts';
import { serve } from './frontend.testing.ts';
import { Client, secondsOpen } from './slow-client.testing.ts';
import { defaultLimits, settingsOf, virtualHost } from './settings.testing.ts';

const ok: Handler = async ({ response }) => void response.end('ok');
/** Answers when the whole body is there. */
const swallow: Handler = async ({ request, response }) => {
  request.resume();
  request.on('end', () => response.end('got it'));
};
const handlers = { ok, swallow };

function settings(handler: string, changes: Partial<VirtualHostSettings> = {}) {
  return settingsOf({ hosts: [virtualHost('a.test', { directory: { handler }, ...changes })] });
}

const request = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

test('who says nothing is closed without a word; a head that does not end gets 408', async () => {
  const clock = new TestClock();
  await using served = await serve(settings('ok'), { handlers, clock });
  const silent = new Client(served.port);
  const slow = new Client(served.port);
  await slow.send('GET / HTTP/1.1\r\nHost: a');
  const seconds = await secondsOpen(clock, slow, 60);
  assert.ok(seconds >= 20 && seconds <= 23, `${seconds}`);
  await Promise.all([slow.end(), silent.end()]);
  assert.match(slow.received, /^HTTP\/1\.1 408 /);
  assert.equal(silent.received, '');
});

test('bytes extend the time for a head, but not beyond the maximum', async () => {
  const clock = new TestClock();
  const limits = {
    ...defaultLimits,
    requestFieldSize: 100_000,
    headerTimeout: { initial: 20_000, max: 40_000, minRate: 500 },
  };
  await using served = await serve(settings('ok', { limits }), { handlers, clock });
  const client = new Client(served.port);
  await client.send('GET / HTTP/1.1\r\nX: ');
  const seconds = await secondsOpen(clock, client, 80, () => client.send('x'.repeat(1000)));
  assert.ok(seconds >= 40 && seconds <= 43, `${seconds}`);
  assert.match(client.received, /^HTTP\/1\.1 408 /);
});

test('a body that drips gets 408, one that keeps the pace may take as long as it needs', async () => {
  const clock = new TestClock();
  await using served = await serve(settings('swallow'), { handlers, clock });
  const head = 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n';
  const dripping = new Client(served.port);
  await dripping.send(head);
  const seconds = await secondsOpen(clock, dripping, 60, () => dripping.send('x'));
  assert.ok(seconds >= 20 && seconds <= 23, `${seconds}`);
  assert.match(dripping.received, /^HTTP\/1\.1 408 /);

  const steady = new Client(served.port);
  await steady.send(head);
  await secondsOpen(clock, steady, 100, () => steady.send('x'.repeat(1000)));
  await steady.until(/got it/);
  assert.match(steady.received, /^HTTP\/1\.1 200 /);
  steady.socket.destroy();
});

test('an idle connection is closed after KeepAliveTimeout', async () => {
  const clock = new TestClock();
  await using served = await serve(settings('ok'), { handlers, clock });
  const client = new Client(served.port);
  await client.send(request);
  await client.until(/ok$/);
  const seconds = await secondsOpen(clock, client, 60);
  assert.ok(seconds >= 5 && seconds <= 8, `${seconds}`);
});

test('a client that does not take its answer is dropped after Timeout', async () => {
  const clock = new TestClock();
  const large: Handler = async ({ response }) => void response.end(Buffer.alloc(64 * 1024 * 1024));
  await using served = await serve(settings('large'), { handlers: { large }, clock });
  const client = new Client(served.port);
  client.socket.pause();
  await client.send(request);
  for (let second = 0; second < 70; second++) await clock.advance(1000);
  await until(() => served.frontend.connections === 0, clock);
  client.socket.destroy();
});

test("a handler that takes its time is not the client's fault", async () => {
  const clock = new TestClock();
  let answer = () => {};
  const late: Handler = async ({ response }) => void (answer = () => response.end('late'));
  await using served = await serve(settings('late'), { handlers: { late }, clock });
  const client = new Client(served.port);
  await client.send(request);
  for (let second = 0; second < 300; second++) await clock.advance(1000);
  answer();
  await client.until(/late$/);
  client.socket.destroy();
});

test('MaxKeepAliveRequests and KeepAlive Off end a connection politely', async () => {
  const few = { ...defaultLimits, maxKeepAliveRequests: 1 };
  await using served = await serve(settings('ok', { limits: few }), { handlers });
  const answers = await served.raw(request.repeat(3));
  assert.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 2);
  assert.match(answers.split('HTTP/1.1 200').at(-1) ?? '', /^Connection: close\r$/m);
  served.frontend.reconfigure(settings('ok', { limits: { ...defaultLimits, keepAlive: false } }));
  assert.equal((await served.raw(request.repeat(2))).match(/HTTP\/1\.1 200/g)?.length, 1);
});

test('after a reload the next request on an old connection has the new settings', async () => {
  await using served = await serve(settings('ok'), { handlers });
  const client = new Client(served.port);
  await client.send(request);
  await client.until(/200 OK[^]*ok$/);
  const bigger = { ...defaultLimits, requestLine: 20_000 };
  served.frontend.reconfigure(settings('none', { limits: bigger }));
  await client.send(request);
  await client.until(/404 Not Found/);
  client.socket.destroy();
  const fresh = await served.raw(
    `GET /${'x'.repeat(10_000)} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`,
  );
  assert.match(fresh, /^HTTP\/1\.1 404 /);
});

test('draining ends idle connections, finishes answers, and resolves when all are gone', async () => {
  const under: Exchange[] = [];
  const pending: Handler = async (exchange) => void under.push(exchange);
  await using served = await serve(settings('pending'), { handlers: { pending } });
  const idle = new Client(served.port);
  const busy = new Client(served.port);
  await busy.send(request);
  await until(() => under.length === 1 && served.frontend.connections === 2);
  let drained = false;
  const draining = served.frontend.drain().then(() => (drained = true));
  await idle.end();
  assert.equal(drained, false);
  under[0]?.response.end('done');
  await busy.end();
  assert.match(busy.received, /^Connection: close\r$/m);
  assert.ok(busy.received.endsWith('done'));
  await draining;
  // A drained front end ends whatever still comes.
  const late = new Client(served.port);
  await late.end();
  assert.equal(late.received, '');
});

/** Answers once the client has closed its side. */
const later: Handler = async ({ request, response }) => {
  const { socket } = request;
  await until(() => socket.readableEnded);
  response.end('later');
};

test('a client that closes its side after the request gets its answers, and then the end', async () => {
  await using served = await serve(settings('later'), { handlers: { later } });
  for (const [text, answers] of [
    ['GET / HTTP/1.0\r\nHost: a.test\r\n\r\n', 1],
    [request, 1],
    [request.repeat(2), 2],
  ] as const) {
    const client = new Client(served.port);
    client.socket.end(text);
    await client.end();
    assert.equal(client.received.match(/HTTP\/1\.1 200 /g)?.length, answers, client.received);
    assert.ok(client.received.endsWith('later'));
  }
  await until(() => served.frontend.connections === 0);
});

test('the same over TLS', async () => {
  const { certPem: cert, keyPem: key } = await createFallbackCertificate({
    names: ['a.test'],
    now: Date.now(),
  });
  await using served = await serve(settings('later'), { handlers: { later } }, { cert, key });
  const socket = tls.connect({ port: served.port, ca: cert, servername: 'a.test' });
  socket.end(request);
  assert.match(await text(socket), /^HTTP\/1\.1 200 [^]*later$/);
  await until(() => served.frontend.connections === 0);
});

test('a client that closes its side of an idle connection, or amid a head, is closed too', async () => {
  await using served = await serve(settings('ok'), { handlers });
  const kept = new Client(served.port);
  await kept.send(request);
  await kept.until(/ok$/);
  const mute = new Client(served.port);
  const broken = new Client(served.port);
  await broken.send('GET / HT');
  for (const { socket } of [kept, mute, broken]) socket.end();
  await Promise.all([kept.end(), mute.end(), broken.end()]);
  await until(() => served.frontend.connections === 0);
});

test('draining waits for the answer to a client that has closed its side', async () => {
  const under: Exchange[] = [];
  const pending: Handler = async (exchange) => void under.push(exchange);
  await using served = await serve(settings('pending'), { handlers: { pending } });
  const client = new Client(served.port);
  client.socket.end(request);
  await until(() => under.length === 1);
  const draining = served.frontend.drain();
  under[0]?.response.end('done');
  await client.end();
  assert.ok(client.received.endsWith('done'));
  await draining;
});

test('HTTP/2: requests, header rules, drained by GOAWAY', async () => {
  const { certPem: cert, keyPem: key } = await createFallbackCertificate({
    names: ['a.test'],
    now: Date.now(),
  });
  const under: Exchange[] = [];
  const pending: Handler = async (exchange) => void under.push(exchange);
  const directory = {
    headers: [
      {
        condition: 'always',
        action: 'set',
        name: 'X-Sni',
        value: '%{SSL_TLS_SNI}s %{SSL_PROTOCOL}s',
        replacement: undefined,
        env: undefined,
        expr: undefined,
      },
    ],
  } as const;
  const host = virtualHost('a.test', { directory: { handler: 'pending', ...directory } });
  await using served = await serve(settingsOf({ hosts: [host] }), { handlers: { pending } }, { cert, key });
  const session = http2.connect(`https://127.0.0.1:${served.port}`, { servername: 'a.test', ca: cert });
  const stream = session.request({ ':path': '/x', ':authority': 'a.test' });
  await until(() => under.length === 1);
  const goaway = once(session, 'goaway');
  const draining = served.frontend.drain();
  await goaway;
  under[0]?.response.end('done');
  const [headers] = await once(stream, 'response');
  assert.equal(headers[':status'], 200);
  assert.equal(headers['x-sni'], 'a.test TLSv1.3');
  assert.equal(headers['server'], 'Latchkey');
  assert.equal(headers['connection'], undefined);
  stream.resume();
  await draining;
});

test('HTTP/2: idle sessions are closed, slow bodies get 408', async () => {
  const clock = new TestClock();
  const { certPem: cert, keyPem: key } = await createFallbackCertificate({
    names: ['a.test'],
    now: Date.now(),
  });
  await using served = await serve(settings('swallow'), { handlers, clock }, { cert, key });
  const session = http2.connect(`https://127.0.0.1:${served.port}`, { servername: 'a.test', ca: cert });
  const stream = session.request({ ':path': '/', ':method': 'POST', ':authority': 'a.test' });
  stream.on('error', () => {});
  const response = once(stream, 'response');
  await new Promise<void>((resolve) => stream.write('x', () => resolve()));
  await until(() => served.frontend.connections > 0);
  let status = 0;
  void response.then(([headers]) => (status = headers[':status']));
  await until(() => status !== 0, clock);
  assert.equal(status, 408);
  stream.close();
  const closed = once(session, 'close');
  await until(() => served.frontend.connections === 0, clock);
  await closed;
});

/** Waits, letting the clock run if one is given. */
async function until(condition: () => boolean, clock?: TestClock): Promise<void> {
  while (!condition()) {
    if (clock) await clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
