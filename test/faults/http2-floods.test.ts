/** Clients of HTTP/2 that keep a worker busy with nothing: each loses its connection, and nobody else anything. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { TestServer, eventually, freePorts, missing, selfSigned } from '../latchkey.testing.ts';
import { getSecure, server } from './faults.testing.ts';
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  HEADERS,
  literal,
  opening,
  PING,
  PRIORITY,
  requestFor,
  RST_STREAM,
  SETTINGS,
  setting,
  WINDOW_UPDATE,
} from '../../src/http/http2-frames.testing.ts';

const NAME = 'a.latchkey.test';
const skip = missing('openssl') ?? false;
/** MB that a worker may grow by, whatever is sent: far below what a flood carries. */
const GROWTH = 96;

const request = requestFor(NAME);

let one: TestServer;
let http = 0;
let https = 0;
/** The same worker's, for those who are no attackers: a busy machine may make them slow. */
let calm = 0;
let children: ReturnType<TestServer['children']>;

async function open(first = opening, port = https): Promise<{ socket: TLSSocket; closed: Promise<unknown> }> {
  const options = { host: '127.0.0.1', port, servername: NAME, rejectUnauthorized: false };
  const socket = connect({ ...options, ALPNProtocols: ['h2'] });
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'secureConnect');
  assert.equal(socket.alpnProtocol, 'h2');
  socket.write(first);
  return { socket, closed };
}

/** Sends until the server has had enough; fails when it takes all of it. */
async function flood(chunks: (n: number) => Buffer, most: number): Promise<void> {
  const { socket, closed } = await open();
  socket.resume();
  for (let n = 0; n < most && !socket.closed; n++) {
    if (!socket.write(chunks(n))) await Promise.race([once(socket, 'drain').catch(() => {}), closed]);
    // Lets what has arrived be read.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
}

const megabytes = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

const authority = literal(':authority', NAME);
const many = (one: Buffer) => Buffer.concat(Array.from({ length: 200 }, () => one));

const STREAMS = Array.from({ length: 50 }, (_, n) => 1 + 2 * n);
/** Asks for a large file fifty times, and takes nothing of it. */
const withoutWindows = Buffer.concat([
  opening,
  frame(SETTINGS, 0, 0, setting(4, 0)),
  ...STREAMS.map((stream) =>
    frame(
      HEADERS,
      END_STREAM | END_HEADERS,
      stream,
      Buffer.concat([Buffer.of(0x82, 0x87), literal(':path', '/large.bin'), authority]),
    ),
  ),
]);

before(async () => {
  if (skip) return;
  [http = 0, https = 0, calm = 0] = await freePorts(3);
  one = new TestServer();
  one.write('htdocs/index.html', 'hello');
  one.write('htdocs/large.bin', 'x'.repeat(8 * 1024 * 1024));
  const { cert, key } = selfSigned(one.dir, NAME);
  one.configure(
    server(
      { http, https },
      'Protocols h2 http/1.1',
      'Workers 1',
      `Listen 127.0.0.1:${calm}`,
      `TLSEngine 127.0.0.1:${calm}`,
      ...[
        [https, 'RequestReadTimeout header=2 body=2', 'Timeout 2'],
        [calm, 'RequestReadTimeout handshake=0 header=0 body=0'],
      ].map(
        ([port, ...limits]) =>
          `<VirtualHost *:${port}>\nServerName ${NAME}\nTLSCertificate ${cert} ${key}\n${limits.join('\n')}\n</VirtualHost>`,
      ),
    ),
  );
  await one.start();
  children = one.children();
  // Once, so that what a first connection loads does not count as growth.
  assert.equal((await getSecure(calm, NAME)).body, 'hello');
});

after(async () => {
  await one?.[Symbol.asyncDispose]();
});

suite('HTTP/2: a client', { skip }, () => {
  const attacks: Record<string, () => Promise<void>> = {
    'that resets what it asks for, over and over': () =>
      flood((n) => {
        const streams = Array.from({ length: 100 }, (_, i) => 1 + 2 * (n * 100 + i));
        const frames = streams.flatMap((id) => [
          frame(HEADERS, END_STREAM | END_HEADERS, id, request),
          frame(RST_STREAM, 0, id, Buffer.of(0, 0, 0, 8)),
        ]);
        return Buffer.concat(frames);
      }, 1000),
    'whose header never ends': () =>
      flood(
        (n) =>
          n === 0
            ? frame(HEADERS, END_STREAM, 1, request)
            : frame(
                CONTINUATION,
                0,
                1,
                Buffer.concat(Array.from({ length: 100 }, () => literal('x-a', 'b'.repeat(100)))),
              ),
        10_000,
      ),
    'whose header grows when it is unpacked': () =>
      flood((n) => {
        // One long field goes into the table, the rest refers to it: a byte becomes four thousand.
        const value = Buffer.alloc(3900, 97);
        const field = Buffer.concat([Buffer.of(0x40, 1, 120, 0x7f, 0xbd, 0x1d), value]);
        const bomb = Buffer.concat([request, field, Buffer.alloc(12_000, 0x80 + 62)]);
        return frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * n, bomb);
      }, 5000),
    'that sends frames which do not belong': () => flood(() => frame(DATA, 0, 1, Buffer.alloc(1000)), 5000),
    'that pings without reading the answers': async () => {
      const { socket, closed } = await open();
      socket.pause();
      const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(PING, 0, 0, Buffer.alloc(8))));
      for (let n = 0; n < 500 && !socket.closed; n++) {
        socket.write(pings);
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.resume();
      await closed;
    },
    'that changes its settings over and over, and has large header tables made': () =>
      flood((n) => {
        const table = setting(1, n % 2 ? 0 : 2 ** 32 - 1);
        return many(frame(SETTINGS, 0, 0, Buffer.concat([table, setting(4, 65_535)])));
      }, 3000),
    'that sends data without any octet in it': () =>
      flood((n) => {
        const head = frame(HEADERS, END_HEADERS, 1, Buffer.concat([Buffer.of(0x83, 0x87, 0x84), authority]));
        return Buffer.concat([n === 0 ? head : Buffer.alloc(0), many(frame(DATA, 0, 1))]);
      }, 3000),
    'that talks of priorities only': () =>
      flood((n) => many(frame(PRIORITY, 0, 1 + 2 * (n % 1000), Buffer.of(0, 0, 0, 0, 16))), 100_000),
    'that opens windows over and over': () =>
      flood(() => many(frame(WINDOW_UPDATE, 0, 0, Buffer.of(0, 0, 0, 1))), 100_000),
    'that sends frames of unknown types': () =>
      flood(() => many(frame(0x77, 0, 0, Buffer.alloc(8))), 100_000),
    'that opens no window for what it asked for': async () => {
      const { socket, closed } = await open(withoutWindows);
      socket.resume();
      await closed;
    },
  };

  test('that asks in the same frames, once, is answered', async () => {
    const { socket } = await open(
      Buffer.concat([opening, frame(HEADERS, END_STREAM | END_HEADERS, 1, request)]),
      calm,
    );
    let got = '';
    for await (const chunk of socket) {
      got += String(chunk);
      if (got.includes('hello')) break;
    }
    assert.match(got, /hello/);
  });

  test('that takes its answers octet by octet hurts nobody else', async () => {
    const [worker = 0] = children.workers;
    const before = megabytes(worker);
    const { socket, closed } = await open(withoutWindows, calm);
    let octets = 0;
    socket.on('data', (chunk: Buffer) => (octets += chunk.length));
    const each = Buffer.concat(
      STREAMS.map((stream) => frame(WINDOW_UPDATE, 0, stream, Buffer.of(0, 0, 0, 1))),
    );
    for (let n = 0; n < 200; n++) {
      if (!socket.write(each)) await Promise.race([once(socket, 'drain'), closed]);
    }
    assert.equal((await getSecure(calm, NAME)).body, 'hello');
    await eventually('what there was room for', () => octets > 200 * STREAMS.length);
    assert.ok(megabytes(worker) < before + GROWTH);
    socket.destroy();
    await closed;
    assert.deepEqual(one.children(), children);
  });

  for (const [who, attack] of Object.entries(attacks)) {
    test(`${who} loses its connection, and others are served`, { timeout: 120_000 }, async () => {
      const [worker = 0] = children.workers;
      const before = megabytes(worker);
      const attacked = attack();
      assert.equal((await getSecure(calm, NAME)).body, 'hello');
      await attacked;
      assert.equal((await getSecure(calm, NAME)).body, 'hello');
      await eventually('its memory to be free again', () => megabytes(worker) < before + GROWTH);
      assert.deepEqual(one.children(), children);
    });
  }
});
