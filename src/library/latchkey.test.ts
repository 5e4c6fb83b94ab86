import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttps } from 'node:https';
import { test } from 'node:test';
import { get, handshake, openLatchkey, serialAt, settled } from './library.testing.ts';

test('an app is served by https with the certificate that was obtained', async () => {
  await using latchkey = await openLatchkey();
  const { port } = await latchkey.listen((request, response) => response.end(`hello ${request.url}`));
  await latchkey.ready();
  const { status, body } = await get(port, { servername: 'www.example.org', path: '/a' });
  assert.deepEqual([status, body], [200, 'hello /a']);
  const [report] = latchkey.status();
  assert.equal(report?.state, 'complete');
  assert.deepEqual(
    report.certificates.map(({ serial }) => serial),
    [await serialAt(port, 'example.org')],
  );
  assert.deepEqual(
    latchkey.certificates('www.example.org').map(({ serial }) => serial),
    [await serialAt(port, 'www.example.org')],
  );
});

test('who has waited for a certificate finds it in the status', async () => {
  await using latchkey = await openLatchkey();
  latchkey.start();
  const shown = () =>
    latchkey.status().flatMap(({ certificates }) => certificates.map(({ serial }) => serial));
  const served = () => latchkey.certificates('example.org').map(({ serial }) => serial);
  await latchkey.ready();
  assert.equal(served().length, 1);
  assert.deepEqual(shown(), served());
  const { serials } = await latchkey.renew('example.org');
  assert.deepEqual([shown(), served()], [serials, serials]);
});

test('plain HTTP is redirected to https, for names of ours alone', async () => {
  await using latchkey = await openLatchkey();
  const { port, httpPort = 0 } = await latchkey.listen(() => {});
  const ask = (host: string, method = 'GET') =>
    get(httpPort, { path: '/a?b', method, headers: { host } }).then(({ status, headers }) => [
      status,
      headers.location,
    ]);
  assert.deepEqual(await ask('example.org'), [301, 'https://example.org/a?b']);
  assert.deepEqual(await ask('WWW.example.org.:80', 'POST'), [308, `https://www.example.org:${port}/a?b`]);
  assert.deepEqual(await ask('evil.example'), [404, undefined]);
  assert.deepEqual(await ask('example.org@evil.example'), [404, undefined]);
});

test('a client without a name gets the first certificate, one with a foreign name none', async () => {
  await using latchkey = await openLatchkey();
  const { port } = await latchkey.listen(() => {});
  await latchkey.ready();
  const nameless = await handshake(port, { servername: '' });
  assert.match(nameless.getPeerX509Certificate()?.subjectAltName ?? '', /DNS:example\.org/);
  nameless.destroy();
  await assert.rejects(handshake(port, { servername: 'other.example' }), /unrecognized name/i);
});

test('a renewed certificate is in the next handshake, and what is connected goes on', async () => {
  await using latchkey = await openLatchkey();
  const { port } = await latchkey.listen((_request, response) => response.end('still here'));
  await settled(latchkey);
  const open = await handshake(port);
  const before = await serialAt(port, 'example.org');
  const steps: string[] = [];
  const { serials } = await latchkey.renew('example.org', { onProgress: ({ step }) => steps.push(step) });
  assert.notEqual(serials[0], before);
  assert.equal(await serialAt(port, 'example.org'), serials[0]);
  assert.deepEqual(steps, ['order', 'activation']);
  open.write('GET / HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n');
  assert.match(Buffer.concat((await open.toArray()) as Buffer[]).toString(), /still here$/);
});

test('a server of the program gets its connections through secure()', async () => {
  await using latchkey = await openLatchkey();
  const server = latchkey.secure(createHttps((_request, response) => response.end('mine')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await latchkey.ready();
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  assert.equal((await get(port, { servername: 'example.org' })).body, 'mine');
  server.close();
});
