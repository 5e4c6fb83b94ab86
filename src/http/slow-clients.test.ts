/** Clients that take their time on purpose: what each gets is its time, and no more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import tls from 'node:tls';
import { TestClock } from '../base/clock.testing.ts';
import type { ReadTimeout } from '../config/settings.ts';
import { createFallbackCertificate } from '../pki/selfsigned.ts';
import type { Handler } from './exchange.ts';
import { serve, type Credential, type Served } from './frontend.testing.ts';
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
  requestFor,
  SETTINGS,
  WINDOW_UPDATE,
} from './http2-frames.testing.ts';
import { defaultLimits, settingsOf, virtualHost } from './settings.testing.ts';
import { Client, secondsOpen } from './slow-client.testing.ts';

const swallow: Handler = async ({ request, response }) => {
  request.resume();
  request.on('end', () => response.end('got it'));
};

function settings(bodyTimeout: ReadTimeout = defaultLimits.bodyTimeout) {
  const limits = { ...defaultLimits, bodyTimeout };
  return settingsOf({ hosts: [virtualHost('a.test', { directory: { handler: 'swallow' }, limits })] });
}

/** Seconds until a connection is closed; what it is told each second is `drip`. */
async function lives(
  served: Served,
  clock: TestClock,
  client: Client,
  drip: string | Buffer = '',
): Promise<number> {
  const seconds = await secondsOpen(clock, client, 90, async () => {
    if (drip.length > 0 && !client.closed) await client.send(drip);
  });
  client.socket.destroy();
  while (served.frontend.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  return seconds;
}

function assertAbout(seconds: number, wanted: number, most = wanted + 3): void {
  assert.ok(seconds >= wanted && seconds <= most, `closed after ${seconds} s instead of ${wanted}`);
}

suite('HTTP/1: a client', () => {
  const HEAD = 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n';
  const slow = {
    'whose chunk has an extension that goes on': [`${HEAD}1;`, 'x'],
    'whose chunks are empty of anything but their size': [HEAD, '0'],
    'whose trailers go on': [`${HEAD}1\r\nx\r\n0\r\nX: `, 'y'],
  } as const;
  for (const [who, [first, drip]] of Object.entries(slow)) {
    test(`${who} has the time of a body`, async () => {
      const clock = new TestClock();
      await using served = await serve(settings(), { handlers: { swallow }, clock });
      const client = new Client(served.port);
      await client.send(first);
      assertAbout(await lives(served, clock, client, drip), 20);
      assert.match(client.received, /^HTTP\/1\.1 4\d\d /);
    });
  }

  test('whose second request does not end has the time of a head', async () => {
    const clock = new TestClock();
    await using served = await serve(settings(), { handlers: { swallow }, clock });
    const client = new Client(served.port);
    await client.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    await client.until(/got it/);
    await client.send('GET / HTTP/1.1\r\nX: ');
    assertAbout(await lives(served, clock, client, 'x'), 20);
    assert.match(client.received, /HTTP\/1\.1 408 /);
  });

  test('that keeps the pace of a body is ended at its maximum all the same', async () => {
    const clock = new TestClock();
    const time = { initial: 10_000, max: 30_000, minRate: 500 };
    await using served = await serve(settings(time), { handlers: { swallow }, clock });
    const client = new Client(served.port);
    await client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n');
    assertAbout(await lives(served, clock, client, 'x'.repeat(1000)), 30);
    assert.match(client.received, /^HTTP\/1\.1 408 /);
  });
});

suite('HTTP/2: a client', async () => {
  const { certPem: cert, keyPem: key } = await createFallbackCertificate({
    names: ['a.test'],
    now: Date.now(),
  });
  const request = requestFor('a.test');

  async function open(served: Served, credential: Credential): Promise<Client> {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: served.port,
      servername: 'a.test',
      ca: credential.cert,
      ALPNProtocols: ['h2'],
    });
    await once(socket, 'secureConnect');
    return new Client(served.port, socket);
  }

  const unfinished: Record<string, readonly [first: Buffer, drip: Buffer]> = {
    'that says nothing': [Buffer.alloc(0), Buffer.alloc(0)],
    'whose preface does not end': [opening.subarray(0, 10), Buffer.alloc(0)],
    'whose first frame does not end': [
      Buffer.concat([opening, frame(HEADERS, END_HEADERS, 1, request).subarray(0, 7)]),
      Buffer.alloc(0),
    ],
    // In one frame: of many, nine are too many, however slowly they come.
    'whose header block does not end': [
      Buffer.concat([
        opening,
        frame(HEADERS, END_STREAM, 1, request),
        frame(CONTINUATION, 0, 1, Buffer.alloc(1000)).subarray(0, 9),
      ]),
      literal('x', 'y'),
    ],
    'that pings, and changes settings and windows': [
      opening,
      Buffer.concat([
        frame(PING, 0, 0, Buffer.alloc(8)),
        frame(SETTINGS, 0, 0),
        frame(WINDOW_UPDATE, 0, 0, Buffer.of(0, 0, 0, 1)),
      ]),
    ],
  };
  for (const [who, [first, drip]] of Object.entries(unfinished)) {
    test(`${who} has the time of a head`, async () => {
      const clock = new TestClock();
      await using served = await serve(settings(), { handlers: { swallow }, clock }, { cert, key });
      const client = await open(served, { cert, key });
      if (first.length > 0) await client.send(first);
      // A stream that has not begun is waited for a little, once it is said that no more are taken.
      assertAbout(await lives(served, clock, client, drip), 20, 25);
    });

    if (first.length < opening.length) continue;
    test(`${who} after an answer is idle`, async () => {
      const clock = new TestClock();
      await using served = await serve(settings(), { handlers: { swallow }, clock }, { cert, key });
      const client = await open(served, { cert, key });
      await client.send(
        Buffer.concat([opening, frame(HEADERS, END_STREAM | END_HEADERS, 1, requestFor('a.test'))]),
      );
      await client.until(/got it/);
      const rest = first.subarray(opening.length);
      if (rest.length > 0) await client.send(onStream(3, rest));
      assertAbout(await lives(served, clock, client, onStream(3, drip)), 5, 10);
    });
  }

  test('whose data drips has the time of a body', async () => {
    const clock = new TestClock();
    await using served = await serve(settings(), { handlers: { swallow }, clock }, { cert, key });
    const client = await open(served, { cert, key });
    await client.send(Buffer.concat([opening, frame(HEADERS, END_HEADERS, 1, request)]));
    // Then its stream is ended, and the connection idle.
    assertAbout(await lives(served, clock, client, frame(DATA, 0, 1, Buffer.of(120))), 20, 32);
    assert.match(client.received, /408/);
  });
});

/** Frames of stream 1 as those of another. */
function onStream(stream: number, bytes: Buffer): Buffer {
  const moved = Buffer.from(bytes);
  for (let at = 0; at + 9 <= moved.length; at += 9 + moved.readUIntBE(at, 3)) {
    if (moved.readUInt32BE(at + 5) === 1) moved.writeUInt32BE(stream, at + 5);
  }
  return moved;
}
