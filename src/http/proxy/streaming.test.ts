import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { connect, createServer } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { ask, httpBackend, listen, rawBackend, startFront, until } from './proxy.testing.ts';

test('64 MiB pass each way intact, and never more than the buffers waits', async (t) => {
  const chunk = Buffer.alloc(64 * 1024, 'latchkey');
  const chunks = 1024;
  const digest = createHash('sha256');
  for (let i = 0; i < chunks; i++) digest.update(chunk);
  const expected = digest.digest('hex');
  let written = 0;
  const to = await httpBackend(t, (request, response) => {
    if (request.method === 'PUT') {
      const hash = createHash('sha256');
      void pipeline(request, hash).then(() => response.end(hash.digest('hex')));
      return;
    }
    const body = Readable.from(
      (function* () {
        for (let i = 0; i < chunks; i++) {
          written += chunk.length;
          yield chunk;
        }
      })(),
    );
    body.pipe(response);
  });
  const front = await startFront(t, { to });

  const upload = Readable.from(
    (function* () {
      for (let i = 0; i < chunks; i++) yield chunk;
    })(),
  );
  assert.equal((await ask(front.url, { method: 'PUT' }, upload)).body, expected);

  const hash = createHash('sha256');
  await new Promise<void>((resolve, reject) => {
    http.get(front.url, { agent: false }, (response) => {
      // Nothing is read yet: the backend gets rid of what sockets and streams hold, and then has to wait.
      let before = -1;
      const timer = setInterval(() => {
        if (written !== before) {
          before = written;
          return;
        }
        clearInterval(timer);
        assert.ok(written < 32 * 1024 * 1024, `${written} bytes were taken from the backend unread`);
        pipeline(response, hash).then(resolve, reject);
      }, 100);
    });
  });
  assert.equal(hash.digest('hex'), expected);
});

test('a backend that reads nothing stops the client, and is given up', async (t) => {
  const server = createServer({ pauseOnConnect: true });
  const to = `http://127.0.0.1:${await listen(t, server)}`;
  const front = await startFront(t, { to, parameters: { timeout: '1' } });
  const request = http.request(front.url, { method: 'PUT', agent: false });
  request.once('error', () => {});
  const chunk = Buffer.alloc(1024 * 1024);
  let taken = 0;
  const feed = (): void => {
    while (taken < 256 * 1024 * 1024) {
      taken += chunk.length;
      if (!request.write(chunk)) return void request.once('drain', feed);
    }
  };
  feed();
  await until(() => /AH01102.*Headers Timeout/.test(front.log.join('\n')));
  request.destroy();
  assert.ok(taken < 64 * 1024 * 1024, `${taken} bytes were taken from the client`);
  await until(() => front.active() === 0);
});

test('many pipelined requests are proxied without a warning', async (t) => {
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  const to = await httpBackend(t, (_, response) => response.end('ok'));
  const front = await startFront(t, { to });
  const client = connect(front.port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(30));
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.equal((await text(client)).match(/HTTP\/1\.1 200 /g)?.length, 31);
  assert.deepEqual(warnings, []);
});

test('a client that closes its side counts as gone, early or late', async (t) => {
  const heard: http.IncomingMessage[] = [];
  const to = await httpBackend(t, (request, response) => {
    heard.push(request);
    if (request.url === '/late') response.write('half');
  });
  const front = await startFront(t, { to });
  const early = connect(front.port, '127.0.0.1');
  early.end('GET /early HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.equal(await text(early), '');
  const late = connect(front.port, '127.0.0.1');
  late.write('GET /late HTTP/1.1\r\nHost: x\r\n\r\n');
  late.once('data', () => late.end());
  assert.match(await text(late), /^HTTP\/1\.1 200 [^]*half/);
  await until(() => front.active() === 0 && heard.every(({ destroyed }) => destroyed));
});

test('the backend is given up when its client goes away, in either half of the exchange', async (t) => {
  let [heard, closed] = [0, 0];
  const to = await httpBackend(t, (request, response) => {
    heard++;
    request.socket.once('close', () => closed++);
    request.resume();
    if (request.method === 'GET') response.write('a beginning');
  });
  const front = await startFront(t, { to });
  const upload = connect(front.port, '127.0.0.1', () => {
    upload.write('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf');
  });
  await until(() => heard === 1);
  upload.destroy();
  await until(() => closed === 1 && front.active() === 0);
  const download = http.get(front.url, { agent: false }, (response) => response.destroy());
  download.once('error', () => {});
  await until(() => closed === 2 && front.active() === 0);
});

test('an early answer to an upload reaches the client, whose connection stays usable', async (t) => {
  const to = await rawBackend(t, (socket, received) => {
    if (received.startsWith('PUT')) socket.write('HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nbig');
    if (received.startsWith('GET')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext');
  });
  const front = await startFront(t, { to });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const body = Readable.from(
    (function* () {
      for (let i = 0; i < 64; i++) yield Buffer.alloc(64 * 1024);
    })(),
  );
  const refused = await ask(front.url, { method: 'PUT', agent }, body);
  assert.deepEqual([refused.status, refused.body], [413, 'big']);
  assert.equal((await ask(front.url, { agent })).body, 'next');
});
