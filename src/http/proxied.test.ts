/** The whole front with the proxy behind it: what reaches a backend, byte by byte, and WebSockets over HTTP/2. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { silent } from '../base/log.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import { launchChromium, withoutChromium } from '../status/browser.testing.ts';
import { serve } from './frontend.testing.ts';
import { createProxy } from './proxy/proxy.ts';
import { listen, until } from './proxy/proxy.testing.ts';
import { echoBackend } from './proxy/websocket.testing.ts';
import { settingsOf, virtualHost } from './settings.testing.ts';

async function startFront(t: TestContext, to: string, parameters: Record<string, string> = {}, from = '/') {
  const proxy = createProxy({ log: () => silent('proxy') });
  const mappings = [{ kind: 'proxy', from, to, parameters }] as const;
  const { certPem: cert, keyPem: key } = await createFallbackCertificate({
    names: ['a.test'],
    now: Date.now(),
  });
  const settings = settingsOf({ hosts: [virtualHost('a.test', { mappings })] });
  const plain = await serve(settings, { proxy });
  const secure = await serve(settings, { proxy }, { cert, key });
  t.after(async () => {
    await plain[Symbol.asyncDispose]();
    await secure[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });
  return { raw: (bytes: Buffer) => plain.raw(bytes), port: secure.port, frontend: secure.frontend };
}

/** Answers whatever comes, and remembers every byte. */
async function recorder(t: TestContext): Promise<{ to: string; take: () => string }> {
  let received = '';
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    });
  });
  const port = await listen(t, server);
  const take = () => {
    const all = received;
    received = '';
    return all;
  };
  return { to: `http://127.0.0.1:${port}/`, take };
}

const head = 'Host: a.test\r\n';
const post = (fields: string, body = '') => `POST / HTTP/1.1\r\n${head}${fields}\r\n\r\n${body}`;
const chunked = (body: string) => post('Transfer-Encoding: chunked', body);
const get = (fields: string) => `GET / HTTP/1.1\r\n${head}${fields}\r\n\r\n`;
const smuggled = `GET /smuggled HTTP/1.1\r\n${head}\r\n`;

/** Two readers could take these for different things. */
const ambiguous: Readonly<Record<string, string>> = {
  'a length, then chunks': post('Content-Length: 4\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  'chunks, then a length': post('Transfer-Encoding: chunked\r\nContent-Length: 4', '0\r\n\r\n'),
  'two lengths': post('Content-Length: 0\r\nContent-Length: 44'),
  'two equal lengths': post('Content-Length: 3\r\nContent-Length: 3', 'abc'),
  'a list of lengths': post('Content-Length: 3, 3', 'abc'),
  'a signed length': post('Content-Length: +3', 'abc'),
  'a hexadecimal length': post('Content-Length: 0x3', 'abc'),
  'an empty length': post('Content-Length: ', ''),
  'two numbers in one length': post('Content-Length: 3 4', 'abc'),
  'a length beyond all numbers': post('Content-Length: 18446744073709551619', 'abc'),
  'a folded length': post('Content-Length: 3\r\n 4', 'abc'),
  'a blank before the colon of a length': post('Content-Length : 44'),
  'a blank before the colon of chunks': post('Transfer-Encoding : chunked', '0\r\n\r\n'),
  'a folded encoding': post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n'),
  'an unknown encoding': post('Transfer-Encoding: xchunked', '0\r\n\r\n'),
  'chunks that are not last': post('Transfer-Encoding: chunked, identity', '0\r\n\r\n'),
  'chunks twice': post('Transfer-Encoding: chunked, chunked', '0\r\n\r\n'),
  'chunks in two fields': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  'compressed chunks': post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'),
  'identity and chunks': post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  'a vertical tab before chunked': post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n'),
  'a NUL after chunked': post('Transfer-Encoding: chunked\0', '0\r\n\r\n'),
  'a quoted encoding': post('Transfer-Encoding: "chunked"', '0\r\n\r\n'),
  'chunks in HTTP/1.0': `POST / HTTP/1.0\r\n${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'a bare line feed between fields': get('X: a\nTransfer-Encoding: chunked'),
  'a bare carriage return in a field': get('X: a\rTransfer-Encoding: chunked'),
  'a bare line feed after the head': `GET / HTTP/1.1\r\n${head}\n`,
  'bare line feeds only': 'GET / HTTP/1.1\nHost: a.test\n\n',
  'a folded field': get('X: a\r\n b'),
  'a first field that is folded': `GET / HTTP/1.1\r\n ${head}X: a\r\n\r\n`,
  'a blank in a name': get('X A: b'),
  'a tab after a name': get('X\t: b'),
  'no name': get(': b'),
  'no colon': get('X'),
  'a NUL in a name': get('X\0: b'),
  'a NUL in a value': get('X: a\0b'),
  'a control character in a value': get('X: a\x01b'),
  'another Host': get('Host: b.test'),
  'a Host with a path': 'GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n',
  'a NUL in the target': `GET /\0 HTTP/1.1\r\n${head}\r\n`,
  'a blank in the target': `GET /a b HTTP/1.1\r\n${head}\r\n`,
  'two versions': `GET / HTTP/1.1 HTTP/1.1\r\n${head}\r\n`,
  'HTTP/1.2': `GET / HTTP/1.2\r\n${head}\r\n`,
  'HTTP/2 in words': `GET / HTTP/2.0\r\n${head}\r\n`,
  'HTTP/01.1': `GET / HTTP/01.1\r\n${head}\r\n`,
  'a target of another scheme': `GET ftp://a.test/ HTTP/1.1\r\n${head}\r\n`,
  'a target with a user': `GET http://u@a.test/ HTTP/1.1\r\n${head}\r\n`,
};

/** Their heads may have been passed on when they come to light: the backend's message then never ends. */
const broken: Readonly<Record<string, string>> = {
  'a chunk size with 0x': chunked('0x3\r\nabc\r\n0\r\n\r\n'),
  'a signed chunk size': chunked('+3\r\nabc\r\n0\r\n\r\n'),
  'no chunk size': chunked('\r\nabc\r\n0\r\n\r\n'),
  'a chunk size beyond all numbers': chunked('10000000000000003\r\nabc\r\n0\r\n\r\n'),
  'a chunk size that ends in a bare line feed': chunked('3\nabc\r\n0\r\n\r\n'),
  'a chunk that ends in a bare line feed': chunked('3\r\nabc\n0\r\n\r\n'),
  'a chunk that is longer than it says': chunked('3\r\nabcd\r\n0\r\n\r\n'),
  'an extension with a bare line feed': chunked('3;a\nb\r\nabc\r\n0\r\n\r\n'),
  'an extension with a bare carriage return': chunked('3;a\rb\r\nabc\r\n0\r\n\r\n'),
  'a bare line feed after the last chunk': chunked('3\r\nabc\r\n0\r\n\n'),
};

for (const [name, message] of Object.entries(ambiguous))
  test(`${name}: refused, and nothing reaches the backend`, async (t) => {
    const backend = await recorder(t);
    const { raw } = await startFront(t, backend.to);
    const answer = await raw(Buffer.from(message + smuggled, 'latin1'));
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1);
    assert.equal(backend.take(), '');
  });

for (const [name, message] of Object.entries(broken))
  test(`${name}: the backend's message stays unfinished, and what follows is not read`, async (t) => {
    const backend = await recorder(t);
    const { raw } = await startFront(t, backend.to);
    const answer = await raw(Buffer.from(message + smuggled, 'latin1'));
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length ?? 0, answer === '' ? 0 : 1);
    const received = backend.take();
    assert.doesNotMatch(received, /\r\n0\r\n/);
    assert.doesNotMatch(received, /smuggled/);
  });

/** One reading only, but in words that a backend might not know: what it gets is written anew. */
for (const [name, message, expected] of [
  [
    'extensions and trailers of chunks',
    chunked('3;a=b;c="d"\r\nabc\r\n0;x\r\nX-Trailer: 1\r\n\r\n'),
    /^POST \/ HTTP\/1\.1\r\n[^]*\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/i,
  ],
  [
    'an absolute target',
    `GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n`,
    /^GET \/x HTTP\/1\.1\r\nhost: 127/i,
  ],
  ['blanks around a value', get('X: \t a \t'), /\r\nx: a\r\n/i],
  ['fields named in Connection', get('Connection: x-secret, close\r\nX-Secret: 1'), /^(?![^]*x-secret)GET/i],
  [
    'a length named in Connection',
    post('Connection: content-length, close\r\nContent-Length: 3', 'abc'),
    /\r\ncontent-length: 3\r\n[^]*\r\nabc$/i,
  ],
  [
    'an old-fashioned Keep-Alive',
    get('Connection: keep-alive\r\nKeep-Alive: 300'),
    /^(?![^]*keep-alive: 300)GET/i,
  ],
] as const)
  test(`${name}: passed on in other words`, async (t) => {
    const backend = await recorder(t);
    const { raw } = await startFront(t, backend.to);
    const answer = await raw(Buffer.from(message + get('Connection: close'), 'latin1'));
    assert.match(answer, /^HTTP\/1\.1 200 /);
    const [first = ''] = backend
      .take()
      .split(/(?=GET \/ HTTP\/1\.1\r\n)/)
      .filter((one) => one.length > 0);
    assert.match(first, expected);
    assert.doesNotMatch(first, /[^\r]\n|\r[^\n]|\0/);
  });

/** Masked, as clients have to: opcode text, with the mask 0. */
function textFrame(message: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | message.length, 0, 0, 0, 0]), Buffer.from(message)]);
}

const bootstrap = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'https',
  ':path': '/chat?room=1',
  ':authority': 'a.test',
  'sec-websocket-version': '13',
  'sec-websocket-protocol': 'chat',
};

async function dial(t: TestContext, port: number): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    servername: 'a.test',
    rejectUnauthorized: false,
  });
  t.after(() => session.destroy());
  await once(session, 'remoteSettings');
  return session;
}

test('a WebSocket over HTTP/2 is one over HTTP/1.1 to the backend', async (t) => {
  const backend = await echoBackend(t, 'Sec-WebSocket-Protocol: chat\r\n');
  const { port } = await startFront(t, `http://${backend.host}/`, { upgrade: 'websocket' });
  const session = await dial(t, port);
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const stream = session.request(bootstrap, { endStream: false });
  const [head] = await once(stream, 'response');
  assert.equal(head[':status'], 200);
  assert.equal(head['sec-websocket-protocol'], 'chat');
  assert.equal(head['sec-websocket-accept'], undefined);
  stream.write(textFrame('hello'));
  const [echo] = await once(stream, 'data');
  assert.equal(Buffer.from(echo).toString('latin1'), '\x81\x05hello');
  assert.match(
    `${backend.heads[0]}\r\n`,
    /^GET \/chat\?room=1 HTTP\/1\.1\r\n[^]*\r\nupgrade: websocket\r\n/i,
  );
  assert.match(`${backend.heads[0]}\r\n`, /\r\nsec-websocket-key: [A-Za-z\d+/]{22}==\r\n/i);
  // Other streams go their way meanwhile, and the end of the tunnel is the end of its stream alone.
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await until(() => backend.sockets.size === 0);
  const again = session.request(bootstrap, { endStream: false });
  await once(again, 'response');
  const ended = new Promise((resolve) => again.once('error', () => {}).once('close', resolve));
  for (const socket of backend.sockets) socket.destroy();
  await ended;
  assert.equal(session.destroyed, false);
});

test(
  'Chromium talks to a WebSocket over the HTTP/2 connection that it has',
  { skip: withoutChromium },
  async (t) => {
    const backend = await echoBackend(t);
    const { port, frontend } = await startFront(
      t,
      `http://${backend.host}/`,
      { upgrade: 'websocket' },
      '/ws/',
    );
    const browser = await launchChromium();
    t.after(() => browser.close());
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    await page.goto(`https://127.0.0.1:${port}/`);
    const script = `new Promise((resolve, reject) => {
    const socket = new WebSocket('wss://127.0.0.1:${port}/ws/');
    socket.onopen = () => socket.send('hello');
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = () => reject(new Error('no WebSocket'));
  })`;
    const connections = frontend.connections;
    assert.equal(await page.evaluate(script), 'hello');
    assert.equal(frontend.connections, connections);
    assert.equal(backend.sockets.size, 1);
  },
);

test('where no WebSocket is allowed, CONNECT is refused', async (t) => {
  const backend = await recorder(t);
  const { port } = await startFront(t, backend.to);
  const session = await dial(t, port);
  for (const headers of [
    bootstrap,
    { ...bootstrap, ':protocol': 'connect-udp' },
    { ':method': 'CONNECT', ':authority': 'a.test:443' },
  ]) {
    const stream = session.request(headers, { endStream: false });
    const [head] = await once(stream, 'response');
    assert.ok(head[':status'] >= 400, JSON.stringify(head));
    await text(stream);
  }
  assert.equal(backend.take(), '');
});

test('a backend that answers a WebSocket over HTTP/2 wrongly is a 502', async (t) => {
  for (const answer of [
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n',
  ]) {
    const server = net.createServer((socket) => {
      socket.on('error', () => {}).once('data', () => socket.write(answer));
    });
    const { port } = await startFront(t, `http://127.0.0.1:${await listen(t, server)}/`, {
      upgrade: 'websocket',
    });
    const session = await dial(t, port);
    const [head] = await once(session.request(bootstrap, { endStream: false }), 'response');
    assert.equal(head[':status'], 502);
  }
});
