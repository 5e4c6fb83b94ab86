import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import type { Socket } from 'node:net';
import { ask, httpBackend, listen, rawBackend, startFront, until } from './proxy.testing.ts';
import type { Front } from './proxy.testing.ts';

const ok = 'HTTP/1.1 200 OK\r\n';

/** Heads that are no answer: what is asked for is refused with 502, and nothing of them reaches the client. */
const refusedHeads: Readonly<Record<string, string>> = {
  'another protocol': 'SSH-2.0-OpenSSH_10.0\r\n\r\n',
  'a garbage status': 'HTTP/1.1 2x0 OK\r\n\r\n',
  'HTTP/0.9': '<html>hello</html>',
  'a bare CR in a header': `${ok}X: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n`,
  'a NUL in a header': `${ok}X: a\0b\r\nContent-Length: 0\r\n\r\n`,
  'a control character in a header': `${ok}X: a\x01b\r\nContent-Length: 0\r\n\r\n`,
  'a blank in a header name': `${ok}Set Cookie: evil=1\r\nContent-Length: 0\r\n\r\n`,
  'two lengths': `${ok}Content-Length: 1\r\nContent-Length: 5\r\n\r\nhello`,
  'a list of lengths': `${ok}Content-Length: 1, 5\r\n\r\nhello`,
  'chunks and a length': `${ok}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
  'a negative length': `${ok}Content-Length: -1\r\n\r\nhello`,
  'an upgrade that nobody asked for':
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
  'a header of 100 KiB': `${ok}X: ${'a'.repeat(100_000)}\r\nContent-Length: 0\r\n\r\n`,
  'a hundred thousand headers': ok + 'X: a\r\n'.repeat(100_000),
  'no end of interim answers': 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(50),
  'a close at once': '',
};

for (const [name, bytes] of Object.entries(refusedHeads))
  test(`${name} is a 502`, async (t) => {
    const to = await rawBackend(t, (socket) => {
      socket.end(bytes, 'latin1');
    });
    const front = await startFront(t, { to });
    const answer = await ask(front.url, { method: 'POST' });
    assert.deepEqual([answer.status, answer.body], [502, 'failed: 502']);
    assert.equal(answer.headers['set-cookie'], undefined);
    assert.match(
      front.log.join('\n'),
      /\[client 127\.0\.0\.1:4711\] AH01102: error reading status line from remote server/,
    );
  });

/** Bodies that break off: the client must not take what it got for the whole. */
const brokenBodies: Readonly<Record<string, string>> = {
  'fewer bytes than announced': `${ok}Content-Length: 10\r\n\r\nhalf`,
  'chunks without an end': `${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`,
  'a chunk cut short': `${ok}Transfer-Encoding: chunked\r\n\r\nff\r\nhalf`,
  'a chunk size that is none': `${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n`,
  'a chunk size beyond all numbers': `${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nffffffffffffffffff\r\n`,
};

for (const [name, bytes] of Object.entries(brokenBodies))
  test(`${name}: the client's connection is broken`, async (t) => {
    const to = await rawBackend(t, (socket) => {
      socket.end(bytes, 'latin1');
    });
    const front = await startFront(t, { to });
    const received = await raw(front, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(received, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(received, /\r\n0\r\n/, 'a last chunk');
    await assert.rejects(ask(front.url), /aborted|ECONNRESET|socket hang up/);
    assert.match(front.log.join('\n'), /AH01110: error reading response from 127\.0\.0\.1:\d+ for \//);
  });

test('what follows an answer on its connection is never the answer to another request', async (t) => {
  const to = await rawBackend(t, (socket) => {
    socket.write(`${ok}Content-Length: 2\r\n\r\nok${ok}Content-Length: 6\r\n\r\npoison`);
  });
  const front = await startFront(t, { to });
  for (let i = 0; i < 5; i++) assert.equal((await ask(front.url)).body, 'ok');
});

test('a body after HEAD is never the answer to another request', async (t) => {
  const to = await rawBackend(t, (socket, received) => {
    if (received.startsWith('HEAD'))
      socket.write(`${ok}Content-Length: 40\r\n\r\n${ok}Content-Length: 6\r\n\r\npoison`);
    else socket.write(`${ok}Content-Length: 2\r\n\r\nok`);
  });
  const front = await startFront(t, { to });
  assert.equal((await ask(front.url, { method: 'HEAD' })).body, '');
  assert.equal((await ask(front.url)).body, 'ok');
});

test('too late a head is a 504', async (t) => {
  const to = await rawBackend(t, () => {});
  const front = await startFront(t, { to, parameters: { timeout: '20ms' } });
  assert.equal((await ask(front.url)).status, 504);
  assert.match(front.log.join('\n'), /AH01102: .*Headers Timeout/);
});

test('too long a pause in the body breaks the connection', async (t) => {
  const to = await rawBackend(t, (socket) => {
    socket.write(`${ok}Content-Length: 10\r\n\r\nhalf`);
  });
  const front = await startFront(t, { to, parameters: { timeout: '20ms' } });
  await assert.rejects(ask(front.url));
  assert.match(front.log.join('\n'), /AH01110: .*Body Timeout/);
});

test('a backend that is not there, or has no address, is a 502', async (t) => {
  const server = createServer();
  const port = await listen(t, server);
  await new Promise((resolve) => server.close(resolve));
  const absent = await startFront(t, { to: `http://127.0.0.1:${port}` });
  assert.equal((await ask(absent.url)).status, 502);
  assert.match(
    absent.log.join('\n'),
    /AH01114: HTTP: failed to make connection to backend: 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
  );
  const nameless = await startFront(t, { to: 'http://nowhere.invalid' });
  assert.equal((await ask(nameless.url, { path: '/secret' })).body, 'failed: 502');
  assert.match(
    nameless.log.join('\n'),
    /AH00898: DNS lookup failure for: nowhere\.invalid returned by \/secret/,
  );
});

test('a URL that is none is a 500, and says so in the log', async (t) => {
  const front = await startFront(t, { to: 'gopher://pool' });
  assert.equal((await ask(front.url)).status, 500);
  assert.match(front.log.join('\n'), /AH00898: cannot proxy \/: no URL that can be proxied to: gopher:/);
});

test('an upload held up when its backend is not there leaves the connection usable', async (t) => {
  const server = createServer();
  const port = await listen(t, server);
  await new Promise((resolve) => server.close(resolve));
  const front = await startFront(t, { to: `http://127.0.0.1:${port}` });
  const body = 'x'.repeat(1024 * 1024);
  const received = await raw(
    front,
    `PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  );
  assert.equal(received.match(/HTTP\/1\.1 502/g)?.length, 2);
});

test('a kept connection that turns out to be closed costs a GET nothing, and no POST is sent twice', async (t) => {
  const seen: string[] = [];
  const served = new WeakSet<Socket>();
  const to = await rawBackend(t, (socket, received) => {
    seen.push(received.slice(0, received.indexOf(' ')));
    if (served.has(socket)) {
      socket.destroy();
      return;
    }
    served.add(socket);
    socket.write(`${ok}Content-Length: 2\r\n\r\nok`);
  });
  const reading = await startFront(t, { to });
  assert.equal((await ask(reading.url)).body, 'ok');
  assert.equal((await ask(reading.url)).body, 'ok');
  assert.deepEqual(seen.splice(0), ['GET', 'GET', 'GET']);
  const writing = await startFront(t, { to });
  assert.equal((await ask(writing.url, { method: 'POST' })).body, 'ok');
  assert.equal((await ask(writing.url, { method: 'POST' })).status, 502);
  assert.deepEqual(seen, ['POST', 'POST']);
});

test('endless chunks end with their client', async (t) => {
  let closed = false;
  const to = await rawBackend(t, (socket) => {
    socket.once('close', () => (closed = true));
    socket.write(`${ok}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    const feed = (): void => {
      while (!socket.destroyed && socket.write(chunk));
      if (!socket.destroyed) socket.once('drain', feed);
    };
    feed();
  });
  const front = await startFront(t, { to });
  const client = connect(front.port, '127.0.0.1', () => client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
  let received = 0;
  client.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > 8 * 1024 * 1024) client.destroy();
  });
  await until(() => closed && front.active() === 0);
});

test('requests that two parsers would read differently do not reach the backend', async (t) => {
  let reached = 0;
  const to = await httpBackend(t, (_request, response) => {
    reached++;
    response.end();
  });
  const front = await startFront(t, { to });
  const heads = [
    'Content-Length: 4\r\nTransfer-Encoding: chunked',
    'Content-Length: 4\r\nContent-Length: 5',
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding : chunked',
    'Content-Length: +4',
  ];
  for (const head of heads)
    assert.match(
      await raw(front, `POST / HTTP/1.1\r\nHost: x\r\n${head}\r\n\r\n0\r\n\r\n`),
      /^HTTP\/1\.1 (?:400|502)/,
    );
  assert.equal(reached, 0);
});

test('an upload that breaks off is not completed', async (t) => {
  const bodies: string[] = [];
  const to = await rawBackend(t, (socket, received) => {
    bodies.push(received);
    socket.once('close', () => bodies.push('closed'));
  });
  const front = await startFront(t, { to });
  const client = connect(front.port, '127.0.0.1', () => {
    client.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n');
  });
  await until(() => bodies.some((body) => body.includes('half')));
  client.destroy();
  await until(() => bodies.includes('closed'));
  assert.doesNotMatch(bodies.join(''), /\r\n0\r\n/);
});

test('disposing waits for what is under way', async (t) => {
  let finish: (() => void) | undefined;
  const to = await httpBackend(t, (_request, response) => {
    finish = () => void response.end('x');
  });
  const front = await startFront(t, { to });
  const answer = ask(front.url);
  await until(() => finish !== undefined);
  const disposed = front.proxy[Symbol.asyncDispose]();
  finish?.();
  await disposed;
  assert.equal((await answer).body, 'x');
});

/** Sends bytes and gives back all that comes until the connection ends. */
function raw(front: Front, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(front.port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    socket.once('error', () => {}).once('close', () => resolve(received));
  });
}
